"""What is kept of a run: everything that its report shows, as a file that can be read again."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import types
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from hogwild.data.files import write_whole
from hogwild.report.judged import Judged
from hogwild.report.weights import Heaviest

FORMAT = 1
FILE, HISTORY = "run.json", "history.csv"
_MOST_POINTS, _MOST_EVENTS = 200, 100


class Epoch(NamedTuple):
    """A pass over the rows; None: not known.

    Attributes
    ----------
    number : int
    loss : float or None
        Mean of each row before its own step.
    validation : float or None
        The metric that was followed.
    seconds, rows_per_second : float or None
        Without validation.
    eta : float or None
        Step size of the last row.
    """

    number: int
    loss: float | None
    validation: float | None = None
    seconds: float | None = None
    rows_per_second: float | None = None
    eta: float | None = None


class WorkerShares(NamedTuple):
    """What a worker of a cluster did; shares of its time."""

    name: str
    rows: int
    phases: int
    compute: float
    exchange: float
    waiting: float
    sent_bytes: int


@dataclass
class Cluster:
    """A job on a cluster.

    Attributes
    ----------
    workers : list of WorkerShares
    staleness : list of (int, int)
        Pushes of others between a push and the pull before it, and how often.
    phase_rows : list of (seconds, rows)
        Phase lengths over time.
    happened : list of (seconds, what, node)
    evictions : list of (worker, reason)
    """

    workers: list[WorkerShares]
    staleness: list[tuple[int, int]]
    phase_rows: list[tuple[float, int]]
    happened: list[tuple[float, str, str]]
    evictions: list[tuple[str, str]]

    @classmethod
    def of(cls, report: Any) -> Cluster:
        """Make it of a `ClusterReport`."""
        return cls(
            workers=[WorkerShares(*(getattr(each, name) for name in WorkerShares._fields)) for each in report.workers],
            staleness=[(int(late), int(n)) for late, n in report.staleness.items()],
            phase_rows=thinned([(float(at), int(rows)) for at, rows in report.phase_rows]),
            happened=[(float(at), what, node) for at, what, node in report.happened[:_MOST_EVENTS]],
            evictions=[(worker, reason) for worker, reason in report.evictions[:_MOST_EVENTS]],
        )


@dataclass
class Search:
    """Settings that were tried by cross-validation.

    Attributes
    ----------
    score : str
        Name of the score.
    folds : int
    names : list of str
        Parameters that vary.
    settings : list of list of float
        Their values.
    means, deviations : list of float or None
        Of the score over the folds; None where a setting diverged.
    ranks : list of int
    best : int
    """

    score: str
    folds: int
    names: list[str]
    settings: list[list[float]]
    means: list[float | None]
    deviations: list[float | None]
    ranks: list[int]
    best: int


@dataclass
class Record:
    """A run, with everything that its report shows.

    Attributes
    ----------
    title : str
    written : str
        When, in words.
    command : str
        What repeats it; "" where that is not known.
    environment : dict of str to str
    settings, outcome : list of (name, text)
        What was to be done, and what became of it.
    interrupted : bool
    epochs : list of Epoch
    loss_of : str
        Whose loss the epochs tell.
    metric : str
        Name of the metric that was followed on validation rows.
    metric_is_loss : bool
        Whether it can stand beside the training loss.
    progressive : list of (rows, loss)
        Mean loss since the point before, each row before its own step.
    seconds : dict of str to float
        What took how long.
    scores : dict of str to dict
        Rows ("training", "validation"): name of the metric and its value.
    judged : Judged, optional
    weights : list of Heaviest
    weights_note : str
    search : Search, optional
    cluster : Cluster, optional

    Examples
    --------
    >>> import tempfile
    >>> from hogwild.report.record import Epoch, Record
    >>> record = Record("a run", epochs=[Epoch(1, 0.7), Epoch(2, 0.5)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     record.save(folder)
    ...     Record.load(folder) == record
    True
    """

    title: str
    written: str = ""
    command: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    settings: list[tuple[str, str]] = field(default_factory=list)
    outcome: list[tuple[str, str]] = field(default_factory=list)
    interrupted: bool = False
    epochs: list[Epoch] = field(default_factory=list)
    loss_of: str = "training, each row before its own step"
    metric: str = ""
    metric_is_loss: bool = False
    progressive: list[tuple[float, float | None]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    scores: dict[str, dict[str, float | None]] = field(default_factory=dict)
    judged: Judged | None = None
    weights: list[Heaviest] = field(default_factory=list)
    weights_note: str = ""
    search: Search | None = None
    cluster: Cluster | None = None

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``run.json`` and ``history.csv`` into `folder`, which is made; each appears whole or not at all."""
        folder = Path(folder)
        folder.mkdir(exist_ok=True)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Epoch._fields)
        writer.writerows(["" if _unknown(cell) else cell for cell in epoch] for epoch in self.epochs)
        content = json.dumps({"format": FORMAT, **_plain(asdict(self))}, indent=1, allow_nan=False)
        with write_whole(folder / HISTORY) as file:
            file.write(text.getvalue().encode())
        with write_whole(folder / FILE) as file:
            file.write(content.encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Record:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or path-like
            The folder, or its ``run.json``.

        Raises
        ------
        ValueError
            If the file is damaged, of a newer format, or something else.
        """
        path = Path(path)
        path = path / FILE if path.is_dir() else path
        try:
            found = json.loads(path.read_bytes())
        except ValueError as error:  # no JSON, or no text at all
            raise ValueError(f"{path}: found no whole JSON ({error}), expected the record of a run") from None
        number = found.get("format") if isinstance(found, dict) else None
        if not isinstance(number, int) or "title" not in found:
            raise ValueError(f"{path}: found JSON that tells of no run, expected what --run wrote")
        if number > FORMAT:
            raise ValueError(f"{path}: found format {number}, expected at most {FORMAT}: a newer hogwild wrote it")
        del found["format"]
        try:
            return _typed(found, cls, "the record")
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: found a damaged record of a run: {error}") from None


def thinned(points: Sequence[Any], most: int = _MOST_POINTS) -> list[Any]:
    """Return at most so many points, evenly chosen, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[k * (len(points) - 1) // (most - 1)] for k in range(most)]


def _unknown(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _plain(value: Any) -> Any:
    """What JSON can hold: numbers that are not finite are unknown, and half characters are replaced."""
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if hasattr(value, "item"):
        value = value.item()
    return None if _unknown(value) else value


def _typed(value: Any, hint: Any, where: str) -> Any:
    """Return `value` as what `hint` says; a ValueError where it is something else."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        return None if value is None else _typed(value, inner[0], where)
    if is_dataclass(hint):
        return _typed_fields(value, hint, where)
    if isinstance(hint, type) and hasattr(hint, "_fields"):
        hints = get_type_hints(hint)
        _expect(isinstance(value, list) and len(value) == len(hints), value, f"{len(hints)} values", where)
        return hint(*(_typed(each, hints[name], f"{where}.{name}") for name, each in zip(hints, value, strict=True)))
    if kind is list:
        _expect(isinstance(value, list), value, "a list", where)
        return [_typed(each, inner[0], f"{where}[{k}]") for k, each in enumerate(value)]
    if kind is tuple:
        _expect(isinstance(value, list) and len(value) == len(inner), value, f"{len(inner)} values", where)
        return tuple(_typed(each, one, where) for each, one in zip(value, inner, strict=True))
    if kind is dict:
        _expect(isinstance(value, dict), value, "names and values", where)
        return {key: _typed(each, inner[1], f"{where}[{key!r}]") for key, each in value.items()}
    accepted = (int, float) if hint is float else hint
    _expect(isinstance(value, accepted) and (hint is bool or not isinstance(value, bool)), value, hint.__name__, where)
    return hint(value)


def _typed_fields(value: Any, hint: Any, where: str) -> Any:
    _expect(isinstance(value, dict), value, "names and values", where)
    hints = get_type_hints(hint)
    unknown = set(value) - {each.name for each in fields(hint)}
    _expect(not unknown, sorted(unknown), f"no such fields of {hint.__name__}", where)
    return hint(**{name: _typed(each, hints[name], name) for name, each in value.items()})


def _expect(holds: bool, value: Any, expected: str, where: str) -> None:
    if not holds:
        raise ValueError(f"{where} is {str(value)[:60]!r}, expected {expected}")
