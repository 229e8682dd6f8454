"""The files of a log: segments (``00000001.log``), snapshots (``00000003.safetensors``: the model before segment 3).

The last two snapshots and all segments after the older one are kept, so that one snapshot may be damaged.
"""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

from hogwild.folders import make, sync
from hogwild.online.storage.segments import segment_path

_SEGMENT = re.compile(r"(\d{8,})\.log")
_SNAPSHOT = re.compile(r"(\d{8,})\.safetensors")
_LEFT = re.compile(r"\.\d{8,}\.safetensors-.*")  # by a writer that was killed
_KEPT = 2


class LockedError(OSError):
    """Another process uses the log."""


class LogFolder:
    """A folder that belongs to one process, until it is unlocked or the process is gone.

    Parameters
    ----------
    path : Path
        Made where it is missing.

    Raises
    ------
    LockedError
        It belongs to another process.
    """

    def __init__(self, path: Path) -> None:
        make(path)
        self.path = path
        self._lock = _locked(path / "lock")
        for one in path.iterdir():
            if _LEFT.fullmatch(one.name):
                one.unlink()

    def unlock(self) -> None:
        """Let others have it."""
        os.close(self._lock)

    def segments(self) -> list[int]:
        """Return the numbers of the segments that are there, ascending."""
        return self._numbers(_SEGMENT)

    def snapshots(self) -> list[int]:
        """Return the numbers of the snapshots that are there, ascending: each of the first segment after it."""
        return self._numbers(_SNAPSHOT)

    def snapshot_path(self, number: int) -> Path:
        """Return where a snapshot is."""
        return self.path / f"{number:08d}.safetensors"

    def forget(self) -> None:
        """Remove what is older than the snapshots that are kept."""
        snapshots = self.snapshots()
        if len(snapshots) < _KEPT:
            return
        oldest = snapshots[-_KEPT]
        for number in snapshots:
            if number < oldest:
                self.snapshot_path(number).unlink(missing_ok=True)
        for number in self.segments():
            if number < oldest:
                segment_path(self.path, number).unlink(missing_ok=True)
        sync(self.path)

    def _numbers(self, pattern: re.Pattern[str]) -> list[int]:
        names = map(pattern.fullmatch, os.listdir(self.path))
        return sorted(int(found[1]) for found in names if found)


def _locked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(descriptor, 20, 0).decode("ascii", "replace")
        os.close(descriptor)
        if not isinstance(error, BlockingIOError):
            raise
        raise LockedError(f"{path.parent}: the log is in use by process {owner or '(unknown)'}") from None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
