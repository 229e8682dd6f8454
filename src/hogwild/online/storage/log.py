"""The write-ahead log: every update is written before it is answered, and replayed after a crash.

Its files: `log_folder`, `segments`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Literal

from hogwild.data.errors import DataError
from hogwild.online.storage.errors import UnfitModelError
from hogwild.online.storage.log_folder import LockedError as LockedError
from hogwild.online.storage.log_folder import LogFolder
from hogwild.online.storage.segments import Segment, read_segment, segment_path

Fsync = Literal["always", "interval", "never"]

SEGMENT_BYTES = 64 << 20
LARGEST = 2 << 30  # bytes of a record
INTERVAL = 0.1  # seconds between two fsyncs

logger = logging.getLogger(__name__)


class LogFailedError(OSError):
    """Records could not be written: what they say is not durable, and nothing more is accepted."""


def open_log(directory: str | os.PathLike[str], fsync: Fsync = "always", segment_bytes: int = SEGMENT_BYTES) -> Log:
    """Open a folder's log, or begin one.

    Parameters
    ----------
    directory : str or path-like
        Made where it is missing.
    fsync : {"always", "interval", "never"}
        When records reach the disk: before they are answered (nothing is lost when the power fails), every 100 ms, or
        when the operating system likes. A killed process loses nothing in any case.
    segment_bytes : int
        About the largest size of a file.

    Raises
    ------
    LockedError
        Another process uses it.
    """
    return Log(Path(directory), fsync, segment_bytes)


@dataclass
class LogFigures:
    """What a log has done since it was opened.

    Attributes
    ----------
    records, bytes : int
        Appended.
    batches : int
        Written: the records of one reach the disk together.
    fsyncs : int
    replayed : int
        Records.
    snapshots : int
    last_snapshot : float
        A time of `time.time`; 0 where there was none.
    """

    records: int = 0
    bytes: int = 0
    batches: int = 0
    fsyncs: int = 0
    replayed: int = 0
    snapshots: int = 0
    last_snapshot: float = 0.0


class Log:
    """The log of one server, see `open_log`.

    `replay` comes first; the rest belongs to one event loop.

    Attributes
    ----------
    failure : OSError or None
        Why nothing more is accepted, once a write has failed.
    figures : LogFigures
    """

    def __init__(self, folder: Path, fsync: Fsync, segment_bytes: int) -> None:
        self._folder, self._fsync, self._segment_bytes = LogFolder(folder), fsync, segment_bytes
        self.failure: OSError | None = None
        self.figures = LogFigures()
        self._number = 0  # of the segment that the next record goes into; 0: not replayed yet
        self._filled = 0  # bytes of records in it
        self._replayed = 0  # bytes of records
        self._saved_bytes = 0  # of all records, those that a snapshot holds
        self._bytes_at: dict[int, int] = {}  # by cut
        self._pending: list[tuple[int, bytes]] = []
        self._written = 0  # records
        self._segment: Segment | None = None
        self._writer = ThreadPoolExecutor(1, "hogwild-log")
        self._flushing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._syncing: asyncio.Task[None] | None = None

    # -------------------------------------------------------------------------------------------- reading

    def replay(self, load: Callable[[Path], object]) -> Iterator[bytes]:
        """Load the newest good snapshot, if there is one, and yield the records after it; run it to its end.

        Raises
        ------
        DataError
            A segment is damaged or missing, or no snapshot is good; the message names the file.
        """
        first = self._restore(load)
        numbers = [number for number in self._folder.segments() if number >= first]
        for expected, number in enumerate(numbers, first):
            if number != expected:
                path = segment_path(self._folder.path, expected)
                raise DataError(path, found=f"no such file before segment {number}", expected="all segments of the log")
            for record in read_segment(self._folder.path, number, last=number == numbers[-1]):
                self.figures.replayed += 1
                self._replayed += len(record)
                yield record
        self._number = max([first, *(number + 1 for number in self._folder.segments())])

    def _restore(self, load: Callable[[Path], object]) -> int:
        """Return the number of the first segment that the snapshot does not hold."""
        problem: DataError | None = None
        for number in reversed(self._folder.snapshots()):
            path = self._folder.snapshot_path(number)
            try:
                load(path)
            except UnfitModelError:
                raise
            except DataError as error:
                logger.warning("%s", error)
                problem = problem or error
            else:
                return number
        if problem is not None:
            raise problem
        return 1

    # -------------------------------------------------------------------------------------------- writing

    def append(self, record: bytes) -> None:
        """Take a record, in the order in which updates are applied.

        Raises
        ------
        LogFailedError
            An earlier write has failed, or the record is too large.
        """
        self._check_replayed()
        if len(record) > LARGEST:  # what it says has been applied: the log is no longer what the model is
            self._fail(OSError(errno.EFBIG, f"a record of {len(record):,} bytes, at most {LARGEST:,} are written"))
        self._check()
        if self._filled >= self._segment_bytes:
            self._turn()
        self._filled += len(record)
        self.figures.records += 1
        self.figures.bytes += len(record)
        self._pending.append((self._number, record))

    async def commit(self) -> None:
        """Return when all that has been appended so far is as durable as the policy says.

        Raises
        ------
        LogFailedError
            It could not be written.
        """
        mine = self.figures.records
        while self._written < mine:
            self._check()
            if self._flushing is None:
                self._flushing = asyncio.create_task(self._flush())
            await asyncio.shield(self._flushing)

    async def _flush(self) -> None:
        batch, self._pending = self._pending, []
        if await self._in_thread(lambda: self._write(batch)):
            self._written += len(batch)
        self._flushing = None
        if self._fsync == "interval" and self._timer is None and self.failure is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._sync_later)

    def _sync_later(self) -> None:
        self._timer = None
        self._syncing = asyncio.create_task(self._in_thread(self._sync))

    async def _in_thread(self, work: Callable[[], None]) -> bool:
        """Return whether it went well; all work follows one another."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, work)
        except Exception as error:  # memory may be short as well
            self._fail(error if isinstance(error, OSError) else OSError(repr(error)))
            return False
        return True

    def _fail(self, error: OSError) -> None:
        if self.failure is None:
            self.failure = error
            logger.error("%s: the log cannot be written, updates are refused: %s", self._folder.path, error)

    def _write(self, batch: list[tuple[int, bytes]]) -> None:
        if self.failure is not None:  # what follows a lost record must not be there
            raise self.failure
        for number, records in groupby(batch, itemgetter(0)):
            if self._segment is None or self._segment.number != number:
                if self._segment is not None:
                    self._sync()
                    self._segment.close()
                self._segment = Segment(self._folder.path, number)
            self._segment.append([record for _, record in records])
            self.figures.batches += 1
        if self._fsync == "always":
            self._sync()

    def _sync(self) -> None:
        if self._segment is not None and self._segment.sync():
            self.figures.fsyncs += 1

    def _check_replayed(self) -> None:
        if not self._number:
            raise RuntimeError("a log is replayed before it is written")

    def _check(self) -> None:
        if self.failure is not None:
            reason = self.failure.strerror or str(self.failure)
            raise LogFailedError(f"the log cannot be written, updates are refused: {reason}")

    # -------------------------------------------------------------------------------------------- snapshots

    @property
    def since_snapshot(self) -> int:
        """Bytes of records that no snapshot holds."""
        return self._all_bytes() - self._saved_bytes

    def cut(self) -> int:
        """Return what `snapshot` asks for: all that has been appended so far is before the cut.

        Called in the same step in which the model's state is taken.
        """
        self._check_replayed()
        if self._filled:
            self._turn()
        self._bytes_at[self._number] = self._all_bytes()
        return self._number

    async def snapshot(self, cut: int, save: Callable[[Path], object]) -> None:
        """Keep the model as it was at a cut, and remove what is no longer needed.

        Parameters
        ----------
        cut : int
        save : callable
            Writes the model to the path that it is given, durably; it runs in a thread.
        """

        def work() -> None:
            save(self._folder.snapshot_path(cut))
            self._folder.forget()

        await asyncio.to_thread(work)
        self._saved_bytes = max(self._saved_bytes, self._bytes_at.pop(cut, 0))
        self.figures.snapshots += 1
        self.figures.last_snapshot = time.time()

    def _all_bytes(self) -> int:
        return self._replayed + self.figures.bytes

    def status(self) -> dict[str, str]:
        """Return figures for `get_status`."""
        figures = {f"log.{name}": str(value) for name, value in asdict(self.figures).items()}
        failure = "" if self.failure is None else str(self.failure)
        return {**figures, "log.since_snapshot": str(self.since_snapshot), "log.failure": failure}

    # -------------------------------------------------------------------------------------------- files

    async def close(self) -> None:
        """Write what is left, and let go of the folder.

        Raises
        ------
        LogFailedError
            It could not be written.
        """
        try:
            if self._timer is not None:
                self._timer.cancel()
            if self._syncing is not None:
                await self._syncing
            if self.failure is None:
                await self.commit()
                await self._in_thread(self._sync)
                self._check()
        finally:
            self._writer.shutdown()
            if self._segment is not None:
                self._segment.close()
            self._folder.unlock()

    def _turn(self) -> None:
        self._number += 1
        self._filled = 0
