"""The work of `hogwild aliases`."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from hogwild.cli.terminal import CommandError
from hogwild.data.files import write_whole

Call = tuple[str, ...]  # a module of ours and its first words
_SERVED = ("classifier", "regression", "recommender", "nearest_neighbor", "anomaly", "stat", "weight")
_UNSERVED = ("bandit", "burst", "clustering", "graph")  # their servers say so to whoever calls

ALIASES: dict[str, dict[str, Call]] = {
    "libffm": {name: ("hogwild.cli.main", name) for name in ("ffm-train", "ffm-predict")},
    "jubatus": {
        **{f"juba{kind}": ("hogwild.cli.serving", kind) for kind in (*_SERVED, *_UNSERVED)},
        **{f"juba{kind}_proxy": ("hogwild.cli.proxying", kind) for kind in _SERVED},
        **{name: (f"hogwild.cli.{name}",) for name in ("jubaconfig", "jubactl")},
    },
}
_MARK = "# written by `hogwild aliases`"
_READABLE = 0o444
_NAMED = 2  # programs whose place on PATH is told


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
        call = shlex.join((sys.executable, "-m", *ALIASES[replaced][path.name]))
        with write_whole(path) as file:
            file.write(f'#!/bin/sh\n{_MARK}\nexec {call} "$@"\n'.encode())
        mode = path.stat().st_mode
        path.chmod(mode | (mode & _READABLE) >> 2)  # executable for those who may read it
        print(f"{path}: {'written again' if there else 'written'}, calls {_shown(ALIASES[replaced][path.name])}")
    hidden = {path.name: first for path in paths if not _is_same(first := shutil.which(path.name), path)}
    for name, first in list(hidden.items())[:_NAMED]:
        print(f"{name} on PATH is {first or 'not found'}: put {into.resolve()} in front of PATH to use this one")
    if len(hidden) > _NAMED:
        print(f"... and {len(hidden) - _NAMED} more")


def _is_same(found: str | None, path: Path) -> bool:
    return found is not None and Path(found).samefile(path)


def _shown(call: Call) -> str:
    """Return a call as one would write it."""
    module, *words = call
    command = {"main": [], "serving": ["serve"]}.get(name := module.rpartition(".")[2], [name])
    return " ".join(("hogwild", *command, *words))


def _is_ours(path: Path) -> bool:
    try:
        return path.is_file() and not path.is_symlink() and _MARK in path.read_text(errors="replace")
    except OSError:
        return False
