"""Amounts of memory and disk: what the user says, and what there is."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

_SIZE = re.compile(r"(\d+(?:\.\d*)?(?:[eE]\d+)?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the bytes that ``4GB``, ``500 MB``, ``1.5GiB`` or ``1e9`` stand for."""
    found = _SIZE.fullmatch(text.strip())
    size = 0
    if found:
        number, unit, binary = found.groups()
        step = 1024 if binary else 1000
        wanted = float(number) * step ** (" KMGT".index(unit.upper()) if unit else 0)
        size = int(wanted) if wanted < 2**63 else 0
    if size < 1:
        raise ValueError(f"found {text!r}, expected a size such as 500MB, 4GB or 1.5GiB")
    return size


def free_memory() -> int:
    """Bytes that programs may still take: what the system says, within the limit of the container."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limit, used = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    if limit and used and limit[0].isdigit():
        free = min(free, max(0, int(limit[0]) - int(used[0])))
    return free


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def free_disk(folder: Path) -> int:
    """Bytes free on the disk of a folder (or of the nearest one above that exists)."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def shown_size(size: float) -> str:
    """Write a number of bytes as people read it."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.5 else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
