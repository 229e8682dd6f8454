"""Findings as files (CSV, PNG, one JSON file from which all can be told again) and as parts of a report."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hogwild.data.files import write_whole
from hogwild.experiments.findings import Cell, Experiment, Findings, Measured, Picture, Published, Remark, Statement
from hogwild.report import parts, save_plot

FORMAT = 1
FILE = "findings.json"


def shown(cell: Cell, how: str) -> str:
    """Return a cell as it is printed."""
    if cell is None:
        return "-"
    return str(cell) if isinstance(cell, str | bool) or not how else format(cell, how)


def shown_rows(table: Measured) -> list[list[str]]:
    """Return the rows of a table as they are printed."""
    return [[shown(cell, how) for cell, how in zip(row, table.columns.values(), strict=True)] for row in table.rows]


def write_findings(experiment: Experiment, findings: Findings, about: dict[str, str], folder: Path) -> None:
    """Write findings into a folder: a CSV file for each table, a PNG for each picture, summary.csv, findings.json.

    Parameters
    ----------
    experiment : Experiment
    findings : Findings
    about : dict of str to str
        Scale, seed, threads, machine, versions.
    folder : Path
        Made if it is not there; files of the same names are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in findings.parts:
        if isinstance(part, Measured):
            _write_csv(folder / f"{part.key}.csv", list(part.columns), part.rows)
        elif isinstance(part, Picture):
            save_plot(part.plot, folder / f"{part.key}.png")
    summary = [[each.claim, each.verdict, each.source] for each in findings.statements]
    _write_csv(folder / "summary.csv", ["claim", "verdict", "whose"], summary)
    record = {
        "format": FORMAT,
        "name": experiment.name,
        "title": experiment.title,
        "about": experiment.about,
        "environment": about,
        "parts": [_packed(part) for part in findings.parts],
        "statements": [each._asdict() for each in findings.statements],
    }
    with write_whole(folder / FILE) as file:
        file.write(json.dumps(record, indent=1, default=_plain).encode())


def report_parts(title: str, about: str, environment: dict[str, str], findings: Findings) -> list[parts.Part]:
    """Return what a report shows of findings."""
    found: list[parts.Part] = [parts.Chapter(title), parts.Text(about)]
    if findings.statements:
        rows = [[each.claim, each.verdict, each.source] for each in findings.statements]
        found.append(parts.Table("Summary", ["claim", "here", "whose"], rows))
    for part in findings.parts:
        if isinstance(part, Measured):
            found.append(parts.Table(part.heading, list(part.columns), shown_rows(part), part.note))
        elif isinstance(part, Published):
            heading = f"Published: {part.heading}"
            found.append(parts.Table(heading, part.columns, part.rows, f"Source: {part.source}"))
        elif isinstance(part, Picture):
            found.append(part.plot)
        else:
            found.append(parts.Text(part.text))
    found.append(parts.Table("Run", ["", ""], [[name, value] for name, value in environment.items()]))
    return found


def read_findings(folder: Path) -> list[parts.Part]:
    """Return the report's parts of findings that were written into `folder`.

    Raises
    ------
    ValueError
        If the file is damaged or of a newer format.
    """
    path = folder / FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] > FORMAT:
            raise ValueError(
                f"{path}: found format {record['format']}, expected at most {FORMAT}: a newer hogwild wrote it"
            )
        findings = Findings(
            [_unpacked(part) for part in record["parts"]], [Statement(**each) for each in record["statements"]]
        )
        return report_parts(record["title"], record["about"], record["environment"], findings)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path}: found a damaged file of findings ({error}), expected one of hogwild reproduce"
        ) from None


_KINDS = {kind.__name__: kind for kind in (Measured, Published, Picture, Remark, parts.Lines, parts.Bars, parts.Groups)}


def _packed(part: Any) -> dict[str, Any]:
    fields = part._asdict()
    if isinstance(part, Picture):
        fields["plot"] = _packed(part.plot)
    return {"kind": type(part).__name__, **fields}


def _plain(value: Any) -> Any:
    """Turn NumPy's arrays and numbers into Python's."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"found a {type(value).__name__} in findings, expected numbers and texts")


def _unpacked(record: dict[str, Any]) -> Any:
    fields = dict(record)
    kind = _KINDS[fields.pop("kind")]
    if kind is Picture:
        fields["plot"] = _unpacked(fields["plot"])
    return kind(**fields)


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    with write_whole(path) as file:
        file.write(text.getvalue().encode())
