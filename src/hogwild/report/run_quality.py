"""How good the model of a run is: scores, curves of predictions beside the truth, settings that were tried."""

from __future__ import annotations

from collections.abc import Iterator

from hogwild.report.cv import score_lines
from hogwild.report.judged import Binary, Classes, Judged, Numbers
from hogwild.report.parts import Groups, Lines, Part, Table
from hogwild.report.record import Record, Search
from hogwild.report.words import shortened

_LABEL = 24  # characters of a class in a crowded table
_FEW = 12  # classes whose F1 is drawn


def search_parts(record: Record) -> Iterator[Part]:
    """Parts about the settings that were tried."""
    search = record.search
    if search is None:
        return
    columns, rows = search_table(search)
    rows = [[cell.replace(" ", "\u00a0") for cell in row] for row in rows]  # a score is not torn apart
    yield Table("Settings tried", columns, rows)
    known = [
        (dict(zip(search.names, setting, strict=True)), mean, deviation or 0.0)
        for setting, mean, deviation in zip(search.settings, search.means, search.deviations, strict=True)
        if mean is not None
    ]
    if len(known) > 1:
        results = dict(zip(("params", "mean_test_score", "std_test_score"), zip(*known, strict=True), strict=True))
        yield score_lines(results, search.names, search.score)


def search_table(search: Search) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the table of settings, in their order, the best one marked."""
    rows = []
    for place, setting in enumerate(search.settings):
        mean, deviation = search.means[place], search.deviations[place]
        shown = "diverged" if mean is None else f"{mean:.5f} \u00b1 {deviation or 0.0:.5f}"
        best = "best" if place == search.best else ""
        rows.append([*(f"{value:g}" for value in setting), shown, str(search.ranks[place]), best])
    return [*search.names, f"{search.score}, {search.folds} folds", "rank", ""], rows


def quality_parts(record: Record) -> Iterator[Part]:
    """Parts about scores and predictions."""
    if record.scores:
        names = list(dict.fromkeys(name for scores in record.scores.values() for name in scores))
        rows = [[name, *(_score(scores.get(name)) for scores in record.scores.values())] for name in names]
        yield Table("Scores", ["", *record.scores], rows)
    judged = record.judged
    if judged is None:
        return
    if judged.binary is not None:
        yield from _binary(judged.binary, _which(judged))
    if judged.classes is not None:
        yield from _classes(judged.classes, _which(judged))
    if judged.numbers is not None:
        yield from _numbers(judged.numbers, _which(judged))


def _score(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.5f}" if 1e-3 <= abs(value) < 1e3 or value == 0 else f"{value:.5g}"


def _which(judged: Judged) -> str:
    rows = f"{judged.rows:,} {judged.on}"
    return rows if judged.rows == judged.all_rows else f"{judged.rows:,} of {judged.all_rows:,} {judged.on}"


def _columns(points: list[tuple]) -> tuple[list[float], list[float]]:
    return [point[0] for point in points], [point[1] for point in points]


def _binary(found: Binary, rows: str) -> Iterator[Part]:
    positive = f"class {shortened(found.positive, _LABEL)}"
    yield Lines(
        f"ROC: {rows}",
        f"share of the others taken for {positive}",
        f"share of {positive} found",
        {f"area {found.roc_area:.4f}": _columns(found.roc), "guessing": ([0, 1], [0, 1])},
        dashed=["guessing"],
    )
    yield Lines(
        f"Precision and recall: {rows}",
        f"recall: share of {positive} found",
        "precision",
        {
            f"average precision {found.average_precision:.4f}": _columns(found.precision_recall),
            "guessing": ([0, 1], [found.share, found.share]),
        },
        from_zero=True,
        dashed=["guessing"],
    )
    if len(found.calibration) > 1:
        yield Lines(
            f"Calibration: {rows}",
            f"predicted probability of {positive}",
            f"share of {positive}",
            {"rows with like predictions": _columns(found.calibration), "as predicted": ([0, 1], [0, 1])},
            dashed=["as predicted"],
        )


def _classes(found: Classes, rows: str) -> Iterator[Part]:
    if found.n_classes <= _FEW:
        yield Groups("F1 by class", "F1", {label: {"F1": f1} for label, _, _, _, f1 in found.each})
    header = ["class", "rows", "precision", "recall", "F1"]
    each = [[label, f"{n:,.0f}", f"{p:.3f}", f"{r:.3f}", f"{f1:.3f}"] for label, n, p, r, f1 in found.each]
    worst = "" if found.n_classes == len(found.each) else f"The {len(found.each)} with the lowest F1. "
    yield Table("Classes", header, each, f"{worst}{_capital(rows)}.")
    if found.confusion:
        numbers = [str(k + 1) for k in range(len(found.confusion))]
        labels = [f"{k} {shortened(label, _LABEL)}" for k, (label, *_) in zip(numbers, found.each, strict=True)]
        totals = [sum(row) or 1.0 for row in found.confusion]
        cells = [
            [label, *(f"{count:,.0f}" if count else "" for count in row)]
            for label, row in zip(labels, found.confusion, strict=True)
        ]
        shades = [[count / total for count in row] for total, row in zip(totals, found.confusion, strict=True)]
        note = f"{_capital(rows)}: a row for each true class, a column for each predicted one; the shade is its share."
        yield Table("Confusion", ["true", *numbers], cells, note, shades)
    if found.mistaken:
        mistaken = [[f"{true} taken for {taken}", f"{count:,.0f}"] for true, taken, count in found.mistaken]
        yield Table("Most frequent mistakes", ["", "rows"], mistaken[:10])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _numbers(found: Numbers, rows: str) -> Iterator[Part]:
    if len(found.binned) > 1:
        predicted, true = _columns(found.binned)
        ends = [min(predicted), max(predicted)]
        yield Lines(
            f"Predicted and true: {rows}",
            "mean prediction",
            "mean true value, and its deviation",
            {"rows with like predictions": (predicted, true), "as predicted": (ends, ends)},
            spread={"rows with like predictions": [deviation for _, _, deviation, _ in found.binned]},
            dashed=["as predicted"],
        )
    shares = _columns(found.residuals)
    yield Lines(
        f"Errors: {rows}",
        "predicted - true",
        "share of rows",
        {"share of rows": shares},
        True,
        filled=["share of rows"],
    )
