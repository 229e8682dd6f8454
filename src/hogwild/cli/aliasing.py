"""The work of `hogwild aliases`."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from hogwild.cli.terminal import CommandError
from hogwild.data.files import write_whole

ALIASES = {"libffm": ("ffm-train", "ffm-predict")}
_MARK = "# written by `hogwild aliases`"
_READABLE = 0o444


def run(replaced: str, into: Path) -> None:
    """Write the programs that `replaced` consists of."""
    if not into.is_dir():
        raise CommandError(f"{into}: found no such folder, expected one to write programs into")
    paths = [into / name for name in ALIASES[replaced]]
    for path in paths:
        if os.path.lexists(path) and not _is_ours(path):
            raise CommandError(f"{path}: found a file that hogwild did not write: nothing was changed")
    for path in paths:
        there = path.exists()
        call = f"{shlex.quote(sys.executable)} -m hogwild.cli.main {path.name}"
        with write_whole(path) as file:
            file.write(f'#!/bin/sh\n{_MARK}\nexec {call} "$@"\n'.encode())
        mode = path.stat().st_mode
        path.chmod(mode | (mode & _READABLE) >> 2)  # executable for those who may read it
        print(f"{path}: {'written again' if there else 'written'}, calls hogwild {path.name}")
    for path in paths:
        first = shutil.which(path.name)
        if first is None or not Path(first).samefile(path):
            print(
                f"{path.name} on PATH is {first or 'not found'}: put {into.resolve()} in front of PATH to use this one"
            )


def _is_ours(path: Path) -> bool:
    try:
        return path.is_file() and not path.is_symlink() and _MARK in path.read_text(errors="replace")
    except OSError:
        return False
