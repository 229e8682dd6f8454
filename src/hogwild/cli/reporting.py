"""The work of `hogwild report`: find out what RUN is, and write its page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hogwild.cli.recording import check_report, first_index_of
from hogwild.cli.rows import Opened, Sources, open_like, open_model
from hogwild.cli.terminal import CommandError, print_pairs
from hogwild.report import parts, write_report
from hogwild.report.record import FILE, Epoch, Record
from hogwild.report.run import run_parts
from hogwild.report.weights import heaviest, known_names
from hogwild.report.words import shortened

_EXPECTED = "a folder of `train --run` or of `reproduce`, or a model file"
_FINDINGS = "findings.json"
_LONGEST = 200  # characters of a parameter


def run(path: Path, output: Path | None, names: tuple[str, ...], quiet: bool) -> None:
    """Write the page of whatever `path` is."""
    output = output if output is not None else _beside(path)
    check_report(output)
    title, told = _told(path, names)
    write_report(output, title, told)
    if not quiet:
        print_pairs([("report", str(output))])


def _beside(path: Path) -> Path:
    path = path if path.name not in ("", "..") else path.resolve()
    return path.with_name(f"{path.name}.html") if path.is_dir() else path.with_suffix(".html")


def _told(path: Path, names: tuple[str, ...]) -> tuple[str, list[parts.Part]]:
    """Title and parts of the page."""
    if not path.exists():
        raise CommandError(f"{path}: found no such file or folder, expected {_EXPECTED}")
    if path.name == _FINDINGS and path.is_file():
        path = path.parent
    if path.is_dir() and not (path / FILE).is_file():
        _refuse_names(names)
        return "hogwild: published figures, measured again", _findings(path)
    if path.is_dir() or _first_bytes(path).lstrip()[:1] == b"{":
        _refuse_names(names)
        record = Record.load(path)
    elif _first_bytes(path)[8:9] == b"{":  # safetensors: the length of a description in JSON comes first
        record = record_of_model(open_model(path), names)
    else:
        raise CommandError(f"{path}: found a file of another kind, expected {_EXPECTED}")
    return record.title, run_parts(record)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _refuse_names(names: tuple[str, ...]) -> None:
    if names:
        raise CommandError("found --names, expected it with a model file only: a run keeps its names")


def _findings(folder: Path) -> list[parts.Part]:
    """Parts of one experiment, or of all in the folder."""
    from hogwild.experiments import FINDABLE
    from hogwild.experiments.writing import read_findings

    if (folder / _FINDINGS).is_file():
        return read_findings(folder)
    found = [inner.parent for inner in folder.glob(f"*/{_FINDINGS}")]
    if not found:
        content = sorted(inner.name for inner in folder.iterdir())
        held = f"holds {', '.join(content[:3])}{' ...' if len(content) > 3 else ''}" if content else "is empty"
        raise CommandError(f"{folder}: found a folder that {held}, expected {_EXPECTED}")
    order = list(FINDABLE)
    found.sort(key=lambda each: (order.index(each.name) if each.name in order else len(order), each.name))
    return [part for each in found for part in read_findings(each)]


# ------------------------------------------------------------------------------------------------ models


def record_of_model(model: Opened, names: tuple[str, ...] = ()) -> Record:
    """Return what a model file knows of the run that it came from.

    Parameters
    ----------
    model : Opened
    names : tuple of str
        Rows to take the names of hashed features from.
    """
    about, fitted = model.about, model.about["fitted"]
    losses = fitted.get("loss_curve_") or []
    scores = fitted.get("validation_scores_") or []
    scores = [None] * (len(losses) - len(scores)) + list(scores)
    followed = "accuracy" if model.classes is not None else "R2"
    return Record(
        f"hogwild: {model.path.name}",
        settings=list(_settings(model)),
        outcome=list(_outcome(model)),
        interrupted=bool(about["extra"].get("interrupted")),
        epochs=[Epoch(k + 1, _known(loss), _known(scores[k])) for k, loss in enumerate(losses)],
        metric=f"{followed} on held-out rows" if fitted.get("validation_scores_") else "",
        progressive=[(float(rows), _known(loss)) for rows, loss in fitted.get("progressive_curve_") or []],
        **_weights(model, names),
    )


def _known(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _settings(model: Opened) -> Iterator[tuple[str, str]]:
    about = model.about
    yield "model", f"{about['class']}, format {about['format']}, written by hogwild {about['hogwild']}"
    if model.classes is not None:
        labels = " ".join(map(str, model.classes[:20].tolist()))
        more = " ..." if len(model.classes) > 20 else ""
        yield "task", f"classification, {len(model.classes)} classes: {shortened(labels, _LONGEST)}{more}"
    if "source" in about["extra"]:
        yield "trained on", f"{about['extra']['source']}, {about['extra']['rows']:,} rows"
    for name, value in sorted(about["parameters"].items()):
        if value is not None:
            yield name, shortened(f"{value:g}" if isinstance(value, float) else str(value), _LONGEST)
    if about["absent"]:
        yield "not in the file", ", ".join(about["absent"])


def _outcome(model: Opened) -> Iterator[tuple[str, str]]:
    fitted = model.about["fitted"]
    for key, name in (
        ("n_iter_", "epochs"),
        ("n_features_in_", "features"),
        ("n_threads_", "threads"),
        ("engine_", "engine"),
        ("eta0_", "eta0"),
        ("objective_", "objective"),
        ("dual_gap_", "duality gap"),
    ):
        value = fitted.get(key)
        if value is not None:
            yield (
                name,
                f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value),
            )
    losses = fitted.get("loss_curve_") or []
    if losses:
        yield "loss", f"{losses[-1]:.5f} in the last epoch, each row before its own step"


def _weights(model: Opened, names: tuple[str, ...]) -> dict[str, Any]:
    """Fields of the record about the heaviest weights."""
    found = heaviest(model.estimator)
    if found is None:
        return {}
    known, note = known_names(model.estimator), ""
    if names:
        from hogwild.data.names import recover_names
        from hogwild.data.sources import TextRows

        rows = open_like(Sources(names, n_jobs=1, bad_lines="skip"), model, with_labels=False)
        if not isinstance(rows, TextRows):
            raise CommandError(f"{names[0]}: found no text, expected the rows that the model was trained on as text")
        known = recover_names(rows, found.features)
    elif not known and model.reader["name"] not in ("svmlight", "hog"):
        note = "Numbers of hashed features: --names DATA finds their names in the rows."
    return {"weights": found.named(known, first_index_of(model.reader)), "weights_note": note}
