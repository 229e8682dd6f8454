"""The history of a fit as a CSV file that can be read while the fit runs: `HistoryFile`."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hogwild.data.errors import DataError
from hogwild.data.files import COMPRESSED, write_whole
from hogwild.report.followers import Follower

if TYPE_CHECKING:
    from hogwild.engine.training import Progress

COLUMNS = ("epoch", "rows", "seconds", "rows_per_second", "loss")


class HistoryFile(Follower):
    """A callback that writes one line of CSV for each epoch, as it ends.

    The columns are ``epoch``, ``rows`` and ``seconds`` since the fit began, ``rows_per_second`` of this epoch, its mean
    progressive ``loss``, and one for each score. The first line names them; it is written with the first epoch. From
    then on a score that is missing is an empty cell, and a name that is not in the first line is an error.

    Parameters
    ----------
    path : str or path-like
        A file that is there stays as it was until the first epoch has ended; then the new one takes its place. At every
        moment the file holds whole lines only.
    append : bool, default=False
        Go on below the lines of a file that is there, in its columns: for a fit that goes on from a checkpoint.

    Notes
    -----
    A second fit with the same follower goes on below: its epochs count from 1 again. Several problems that one fit
    solves side by side (`LinearSVC` with more than two classes) each write their epochs.

    Examples
    --------
    >>> import os, tempfile
    >>> from hogwild import SGDClassifier
    >>> from hogwild.data import make_rcv1_like
    >>> from hogwild.report import HistoryFile
    >>> X, y = make_rcv1_like(2_000, 300, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "history.csv")
    ...     with HistoryFile(path) as follower:
    ...         _ = SGDClassifier(max_iter=2, tol=None, callback=follower).fit(X, y)
    ...     with open(path) as file:
    ...         [line.split(",")[:2] for line in file]
    [['epoch', 'rows'], ['1', '2000'], ['2', '4000']]
    """

    def __init__(self, path: str | os.PathLike[str], *, append: bool = False) -> None:
        super().__init__()
        self.path = Path(path)
        self._scores: tuple[str, ...] | None = None  # None: no line is written yet
        self._file: int | None = None
        self._last = (0, 0.0)
        if self.path.suffix.lower() in COMPRESSED:
            raise ValueError(f"{self.path}: a history is written line by line, expected a name that is not compressed")
        if self.path.is_dir():
            raise IsADirectoryError(f"{self.path}: found a folder, expected a file or nothing")
        folder = Path(os.path.realpath(self.path)).parent
        if not folder.is_dir():
            raise FileNotFoundError(f"{self.path}: found no folder to write it in")
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{self.path}: found a folder that may not be written in")
        if append and self.path.is_file() and self.path.stat().st_size:
            self._scores = self._read_scores()
            self._open()

    def __repr__(self) -> str:
        return f"HistoryFile({str(self.path)!r})"

    def _follow(self, progress: Progress, scores: dict[str, float], begins: bool) -> None:
        if begins:
            self._last = 0, 0.0
        if not progress.epoch_ended:
            return
        rows, seconds = self._last
        self._last = progress.rows, progress.seconds
        rate = (progress.rows - rows) / max(progress.seconds - seconds, 1e-9)
        line = [progress.epoch, progress.rows, f"{progress.seconds:.6f}", f"{rate:.1f}", repr(float(progress.loss))]
        if self._scores is None:
            clash = sorted(set(scores) & set(COLUMNS))
            if clash:
                raise ValueError(f"{self.path}: found a score named {clash[0]!r}, which is a column of every history")
            names = tuple(scores)
            self._begin(_text([[*COLUMNS, *names], [*line, *_cells(names, scores)]]))
            self._scores = names
            return
        unknown = [name for name in scores if name not in self._scores]
        if unknown:
            known = ", ".join(self._scores) or "none"
            raise ValueError(f"{self.path}: found the score {unknown[0]!r}, expected those of its first line: {known}")
        self._write(_text([[*line, *_cells(self._scores, scores)]]))

    def _begin(self, text: bytes) -> None:
        """Put the first lines in the place of what was there."""
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(self.path.stat().st_mode):  # a pipe or a device is written to, not replaced
                self._open()
                self._write(text)
                return
        try:
            with write_whole(self.path) as file:
                file.write(text)
        except OSError as error:
            raise self._failed(error) from error
        self._open()

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND)

    def _write(self, text: bytes) -> None:
        """Append lines, all of them or nothing."""
        regular = stat.S_ISREG(os.fstat(self._file).st_mode)
        before = os.fstat(self._file).st_size
        try:
            while text:
                text = text[os.write(self._file, text) :]
        except OSError as error:
            if regular:
                os.ftruncate(self._file, before)
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> OSError:
        return OSError(error.errno, f"the history cannot be written: {error.strerror}", str(self.path))

    def _read_scores(self) -> tuple[str, ...]:
        """Return the names of the scores in the first line of the file that is there."""
        content = self.path.read_text(encoding="utf-8", errors="replace")
        found = next(csv.reader([content.split("\n", 1)[0]]), [])
        if tuple(found[: len(COLUMNS)]) != COLUMNS:
            raise DataError(self.path, 1, found=f"{','.join(found)!r:.60}", expected=",".join(COLUMNS))
        if not content.endswith("\n"):
            raise DataError(self.path, content.count("\n") + 1, found="half a line", expected="whole lines")
        return tuple(found[len(COLUMNS) :])

    def _end(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _cells(names: Sequence[str], scores: dict[str, float]) -> list[str]:
    return [repr(float(scores[name])) if name in scores else "" for name in names]


def _text(lines: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()
