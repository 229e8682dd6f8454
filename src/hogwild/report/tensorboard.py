"""A fit that TensorBoard shows while it runs: `TensorBoard` writes event files."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hogwild.report.followers import Follower

if TYPE_CHECKING:
    from hogwild.engine.training import Progress

_FLUSH_SECONDS = 0.1  # between two flushes, which wait for the disk: epochs may be shorter than that
_NUMBERS = itertools.count()  # of files of this process: two that begin in one second have names of their own


class TensorBoard(Follower):
    """A callback that writes TensorBoard's event files: ``tensorboard --logdir FOLDER`` shows the fit while it runs.

    Scalars by rows: ``loss/recent``, the mean progressive loss since the last point of the progressive curve, and
    ``rows_per_second``. By epochs: ``loss/epoch``, the mean progressive loss of the epoch, and ``validation/NAME`` for
    each score (``validation_NAME`` likewise), ``eta`` for the step size.

    Parameters
    ----------
    folder : str or path-like
        Made if it is not there. One folder for each run: TensorBoard draws all files of a folder as one line.
    every : float, default=1.0
        Seconds of the fit between two points by rows; the end of an epoch is always one. 0: after every slice.

    Raises
    ------
    ImportError
        Without tensorboardX, which writes the files.

    Notes
    -----
    Files are flushed at each epoch's end (at most ten times a second, unless `every` is 0) and by `close`. A second
    fit with the same follower goes on where the first one ended; problems that one fit solves side by side
    (`LinearSVC` with several classes) come one after another.

    Examples
    --------
    >>> import os, tempfile
    >>> from hogwild import SGDClassifier
    >>> from hogwild.data import make_rcv1_like
    >>> from hogwild.report import TensorBoard
    >>> X, y = make_rcv1_like(2_000, 300, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with TensorBoard(folder) as follower:
    ...         _ = SGDClassifier(max_iter=2, tol=None, callback=follower).fit(X, y)
    ...     len(os.listdir(folder))
    1
    """

    def __init__(self, folder: str | os.PathLike[str], *, every: float = 1.0) -> None:
        super().__init__()
        if every < 0:
            raise ValueError(f"every must be at least 0 seconds, found {every!r}")
        try:
            from tensorboardX import event_file_writer, summary
            from tensorboardX.proto import event_pb2
        except ImportError as error:
            raise ImportError(
                "TensorBoard's files are written by tensorboardX, which is not installed: pip install "
                "hogwild[tensorboard]"
            ) from error
        self.folder, self._every = Path(folder), every
        self._event, self._scalar = event_pb2.Event, summary.scalar
        self._before = 0, 0  # epochs and rows of the fits before this one
        self._last = 0, 0, 0.0  # epoch, rows and seconds of the last point
        self._due = self._flush_at = 0.0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # its SummaryWriter writes from a thread of its own, where the errors of a full disk are lost
            self._writer: Any = event_file_writer.EventsWriter(
                str(self.folder / "events"), f".{os.getpid()}.{next(_NUMBERS)}"
            )
            self._writer.flush()
        except OSError as error:
            raise self._failed(error) from error

    def __repr__(self) -> str:
        return f"TensorBoard({str(self.folder)!r})"

    def _follow(self, progress: Progress, scores: dict[str, float], begins: bool) -> None:
        if begins:  # steps go on from those of the fit before
            self._before = self._before[0] + self._last[0], self._before[1] + self._last[1]
            self._last, self._due = (0, 0, 0.0), 0.0
        _, rows, seconds = self._last
        ends = progress.epoch_ended
        try:
            if ends or progress.seconds >= self._due:
                step = self._before[1] + progress.rows
                self._add("loss/recent", progress.recent_loss, step)
                if progress.rows > rows:
                    rate = (progress.rows - rows) / max(progress.seconds - seconds, 1e-9)
                    self._add("rows_per_second", rate, step)
                self._due = progress.seconds + self._every
                self._last = progress.epoch, progress.rows, progress.seconds
            epoch = self._before[0] + progress.epoch
            if ends:
                self._add("loss/epoch", progress.loss, epoch)
            for name, value in scores.items():
                self._add(_tag(name), value, epoch)
            if (ends or scores) and time.monotonic() >= self._flush_at:
                self._writer.flush()
                self._flush_at = time.monotonic() + min(self._every, _FLUSH_SECONDS)
        except OSError as error:
            raise self._failed(error) from error

    def _add(self, name: str, value: float, step: int) -> None:
        event = self._event(summary=self._scalar(name, float(value)), step=step, wall_time=time.time())
        self._writer.write_event(event)

    def _failed(self, error: OSError) -> OSError:
        """Close what is half written; returns the error to raise."""
        self._closed = True
        if hasattr(self, "_writer"):
            with contextlib.suppress(OSError):
                self._writer.close()
        return OSError(error.errno, f"TensorBoard's files cannot be written: {error.strerror}", str(self.folder))

    def _end(self) -> None:
        try:
            self._writer.close()
        except OSError as error:
            raise self._failed(error) from error


def _tag(name: str) -> str:
    """Where a score is shown: beside the others of the validation rows, the step size by itself."""
    if name == "eta":
        return name
    return "validation/" + re.sub(r"[^-\w./]", "_", name.removeprefix("validation_"))
