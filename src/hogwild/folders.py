"""Folders: where hogwild keeps what it can make again, and how they outlive a power cut."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Return the user's cache folder for hogwild (it may not exist yet).

    ``$HOGWILD_CACHE`` if set, else the platform's place: ``$XDG_CACHE_HOME/hogwild`` or ``~/.cache/hogwild`` on Linux,
    ``~/Library/Caches/hogwild`` on macOS.
    """
    chosen = os.environ.get("HOGWILD_CACHE")
    if chosen:
        return Path(chosen)
    try:
        home = Path.home()
    except RuntimeError:  # no home folder is known for this user
        return Path(tempfile.gettempdir()) / "hogwild-without-home"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "hogwild"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "hogwild"


def writable(folder: Path) -> bool:
    """Make `folder` if need be and tell whether a private file can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
            return False  # somebody else's folder: compiled code is never read from there
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def make(folder: Path) -> None:
    """Make a folder and those above it, so that they outlive a power cut."""
    if folder.is_dir():
        return
    make(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


def sync(folder: Path) -> None:
    """Return when the names in a folder have reached the disk."""
    with contextlib.suppress(OSError):  # not every file system can sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
