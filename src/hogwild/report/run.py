"""The report of a run: which parts a page shows of a record, and in which order."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

from hogwild.report.page import write_report
from hogwild.report.parts import Bars, Chapter, Code, Lines, Part, Table, Text
from hogwild.report.record import Record, thinned
from hogwild.report.run_cluster import cluster_parts
from hogwild.report.run_quality import quality_parts, search_parts
from hogwild.report.weights import TOP
from hogwild.report.words import shortened

_FEW_CLASSES = 5  # of which all features are listed
_LONGEST = 500  # characters of a setting
_MOST_EPOCHS = 20  # rows of the table
_STRETCHED = 30  # a progressive curve over more than so many times its first rows has a logarithmic axis


def write_run(record: Record, path: str | os.PathLike[str]) -> None:
    """Write a run's report, a self-contained HTML page that appears whole or not at all.

    Parameters
    ----------
    record : Record
    path : str or path-like

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    """
    write_report(path, record.title, run_parts(record))


def run_parts(record: Record) -> list[Part]:
    """Return what a report shows of a run."""
    parts: list[Part] = []
    if record.interrupted:
        parts.append(Text("Ctrl-C ended this run before its last epoch; it is shown as far as it came."))
    chapters = {
        "Result": (*search_parts(record), *quality_parts(record)),
        "Training": tuple(_training(record)),
        "Weights": tuple(_weights(record)),
        "Cluster": tuple(cluster_parts(record)),
        "Run": tuple(_about(record)),
    }
    for heading, told in chapters.items():
        if told:
            parts += [Chapter(heading), *told]
    return parts


def _training(record: Record) -> Iterator[Part]:
    epochs, several = record.epochs, len(record.epochs) > 1
    numbers = [epoch.number for epoch in epochs]
    followed = [(epoch.number, epoch.validation) for epoch in epochs if epoch.validation is not None]
    validation = [number for number, _ in followed], [value for _, value in followed]
    if several:
        curves = {record.loss_of: (numbers, [_number(epoch.loss) for epoch in epochs])}
        if followed and record.metric_is_loss:
            curves["validation"] = validation
        yield Lines("Loss by epoch", "epoch", "mean loss", curves)
    points = [(rows, loss) for rows, loss in record.progressive if loss is not None]
    if len(points) > 1:
        line = {"each row before its own step": ([rows for rows, _ in points], [loss for _, loss in points])}
        stretched = points[-1][0] > _STRETCHED * points[0][0]
        yield Lines("Progressive loss", "rows stepped", "mean loss since the point before", line, log_x=stretched)
    if len(followed) > 1 and not record.metric_is_loss:
        name = record.metric
        yield Lines(f"Validation: {name} by epoch", "epoch", name, {"validation": validation})
    sizes = [_number(epoch.eta) for epoch in epochs]
    if len({epoch.eta for epoch in epochs if epoch.eta is not None}) > 1:
        positive = all(size > 0 for size in sizes)
        wide = positive and max(sizes) > 10 * min(sizes)
        yield Lines(
            "Step size",
            "epoch",
            "step size at its end",
            {"step size at its end": (numbers, sizes)},
            not wide,
            log_y=wide,
        )
    if several and any(epoch.rows_per_second is not None for epoch in epochs):
        rates = numbers, [_number(epoch.rows_per_second) for epoch in epochs]
        yield Lines("Throughput", "epoch", "rows/s", {"rows/s": rates}, from_zero=True)
    if record.seconds:
        yield Bars("Time", "seconds", record.seconds)
    if epochs:
        yield _table(record)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _table(record: Record) -> Table:
    """Figures of the epochs; what no epoch knows has no column."""
    named = {
        "loss": ([epoch.loss for epoch in record.epochs], ".5f"),
        f"validation {record.metric}": ([epoch.validation for epoch in record.epochs], ".5f"),
        "step size": ([epoch.eta for epoch in record.epochs], ".4g"),
        "seconds": ([epoch.seconds for epoch in record.epochs], ".3g"),
        "rows/s": ([epoch.rows_per_second for epoch in record.epochs], ",.0f"),
    }
    named = {name: column for name, column in named.items() if any(value is not None for value in column[0])}
    if len(record.epochs) > 1 and len(set(named.get("step size", ((), ""))[0])) == 1:
        del named["step size"]  # it stands among the settings
    rows = [
        [str(epoch.number), *("-" if values[k] is None else format(values[k], how) for values, how in named.values())]
        for k, epoch in enumerate(record.epochs)
    ]
    note = f"Loss: {record.loss_of}."
    if len(rows) > _MOST_EPOCHS:
        note += f" {_MOST_EPOCHS} of {len(rows)} epochs; --run writes all of them into history.csv."
    return Table("Epochs", ["epoch", *named], thinned(rows, _MOST_EPOCHS), note)


def _weights(record: Record) -> Iterator[Part]:
    told = [each for each in record.weights if each.features]
    if not told:
        return
    if {each.label for each in record.weights} == {"raises", "lowers"} or len(record.weights) == 2:
        towards = {"raises": "raise it", "lowers": "lower it"}
        bars = {name: weight for each in told for name, weight in each.features}
        yield Bars("Heaviest weights", "weight", dict(sorted(bars.items(), key=lambda item: -item[1])))
        sides = [[(name, f"{weight:.4g}") for name, weight in each.features] for each in record.weights]
        rows = [
            [cell for pair in pairs for cell in pair] for pairs in itertools.zip_longest(*sides, fillvalue=("", ""))
        ]
        columns = [towards.get(each.label, f"for {each.label}") for each in record.weights]
        header = [cell for column in columns for cell in (column, "weight")]
        yield Table("Features with the heaviest weights", header, rows, record.weights_note)
        return
    most = TOP if len(told) <= _FEW_CLASSES else TOP // 2
    rows = [[each.label, ", ".join(f"{name} {weight:.3g}" for name, weight in each.features[:most])] for each in told]
    yield Table("Heaviest weights of each class", ["", ""], rows, record.weights_note)


def _about(record: Record) -> Iterator[Part]:
    for heading, pairs in (("Outcome", record.outcome), ("Settings", record.settings)):
        if pairs:
            yield Table(heading, ["", ""], [[shortened(text, _LONGEST) for text in pair] for pair in pairs])
    environment = [[name, value] for name, value in record.environment.items()]
    if record.written:
        environment.append(["written", record.written])
    if environment:
        yield Table("Environment", ["", ""], environment)
    if record.command:
        yield Code("The command to repeat it", record.command)
