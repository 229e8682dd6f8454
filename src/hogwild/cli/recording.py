"""What `hogwild train` and `hogwild cluster train` keep of a run: its record, its report, its followers."""

from __future__ import annotations

import contextlib
import datetime
import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hogwild import Progress
from hogwild.cli.terminal import CommandError, check_output, print_pairs
from hogwild.data.files import read_bytes
from hogwild.data.hashing import hash_names, place
from hogwild.data.names import recover_names
from hogwild.data.other_rows import FolderRows
from hogwild.data.sources import TextRows

_MOST_DOCUMENTS = 3_000  # of a folder that are looked at for names

Follower = Callable[..., None]


def check_report(path: Path) -> None:
    """Fail now rather than after the training."""
    check_output(path)
    if importlib.util.find_spec("matplotlib") is None:
        raise CommandError("--report draws with Matplotlib, which is not installed: pip install hogwild[report]")


def check_kept(wishes: Any) -> None:
    """Fail now rather than after the training, whatever is to be kept of the run."""
    if wishes.report is not None:
        check_report(wishes.report)
    if wishes.history is not None:
        check_output(wishes.history)
    for option, folder in (("--run", wishes.run), ("--tensorboard", wishes.tensorboard)):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise CommandError(f"{option} {folder}: found a file, expected a folder or nothing")
    if wishes.tensorboard is not None and importlib.util.find_spec("tensorboardX") is None:
        raise CommandError(
            "--tensorboard writes with tensorboardX, which is not installed: pip install hogwild[tensorboard]"
        )
    if wishes.run is not None and not wishes.run.exists():
        check_output(wishes.run)


def keeps_record(wishes: Any) -> bool:
    """Whether a record is wanted."""
    return wishes.run is not None or wishes.report is not None


@contextlib.contextmanager
def followers(wishes: Any) -> Iterator[list[Follower]]:
    """Open what follows the run from outside; closed at the end, however it comes."""
    with contextlib.ExitStack() as opened:
        found: list[Follower] = []
        if wishes.tensorboard is not None:
            from hogwild.report.tensorboard import TensorBoard

            found.append(opened.enter_context(TensorBoard(wishes.tensorboard)))
        if wishes.history is not None:
            from hogwild.report.history_file import HistoryFile

            found.append(opened.enter_context(HistoryFile(wishes.history)))
        yield found


def tell(followers: Sequence[Follower], progress: Progress, **scores: float | None) -> None:
    """Tell the followers; scores and step sizes that are not known are left out."""
    known = {name: value for name, value in scores.items() if value is not None and math.isfinite(value)}
    for follower in followers:
        follower(progress, **known)


def new_record(title: str, **found: Any) -> Any:
    """Make the record of the run that is under way."""
    from hogwild.report.environment import command_line, describe_environment
    from hogwild.report.record import Record

    now = datetime.datetime.now(datetime.UTC)
    written = f"{now:%Y-%m-%d %H:%M} UTC"
    return Record(title, written, command_line(), describe_environment(), **found)


def keep(wishes: Any, record: Any) -> None:
    """Write the record, its report, or both, and say where."""
    written = []
    if wishes.run is not None:
        record.save(wishes.run)
        written.append(("run", str(wishes.run)))
    if wishes.report is not None:
        from hogwild.report.run import write_run

        write_run(record, wishes.report)
        written.append(("report", str(wishes.report)))
    if not wishes.quiet:
        print_pairs(written)


def named_weights(estimator: Any, rows: Any, reader: dict[str, Any]) -> dict[str, Any]:
    """Return the heaviest weights as a record keeps them, with the names that a second pass over the rows finds.

    Parameters
    ----------
    estimator : estimator
    rows : object
        What was trained on.
    reader : dict
        Name and options of its format.
    """
    from hogwild.report.weights import heaviest, known_names

    found = heaviest(estimator)
    if found is None:
        return {}
    names, note = known_names(estimator), ""
    if not names and reader["name"] not in ("svmlight", "hog") and len(found.features):
        with contextlib.suppress(OSError, ValueError):  # the rows may be gone: numbers then
            names = _recovered(rows, found.features)
        if len(names) < len(found.features):
            note = "Numbers: hashed features whose names the rows, read a second time, have not told."
    return {"weights": found.named(names, first_index_of(reader)), "weights_note": note}


def _recovered(rows: Any, wanted: np.ndarray) -> dict[int, str]:
    """Names of hashed features, as far as the rows tell them when they are read again."""
    if isinstance(rows, TextRows):
        return recover_names(rows, wanted) if rows.repeatable else {}
    if not isinstance(rows, FolderRows):
        return {}
    text = replace(rows.format, label="none").with_arrays(rows.format.arrays())
    missing, found = set(wanted.tolist()), {}
    for path in rows.locations[:: max(1, len(rows.locations) // _MOST_DOCUMENTS)]:
        if not missing:
            break
        grams = list(set(text.names(read_bytes(path).tobytes().replace(b"\n", b" "))))
        for feature, gram in zip(place(hash_names(grams), text.n_features)[0].tolist(), grams, strict=True):
            if feature in missing:
                found[feature] = gram
                missing.discard(feature)
    return found


def first_index_of(reader: dict[str, Any]) -> int:
    """Return the number that the first feature has in files of this format."""
    return 0 if reader["options"].get("zero_based", True) is True else 1


def named_scores(columns: dict[str, dict[str, float | None]]) -> dict[str, dict[str, float | None]]:
    """Return scores by the names that people write."""
    from hogwild.cli.scores import NAMES

    return {rows: {NAMES[name]: value for name, value in scores.items()} for rows, scores in columns.items()}
