"""What `jubaconfig` and `jubactl` have alike."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any

from hogwild.cli.terminal import one_line, say_error


def command(
    parser: argparse.ArgumentParser, words: Sequence[str] | None, run: Callable[[argparse.Namespace], int]
) -> int:
    """Read the words, run, and return the exit status: an error that a user can mend is one line."""
    found = parser.parse_args(words)
    try:
        return run(found)
    except (OSError, ValueError, ImportError) as error:
        if os.environ.get("HOGWILD_TRACEBACK"):
            raise
        say_error(one_line(error))
        return 1


def required(found: argparse.Namespace, field: str, option: str) -> Any:
    """Return an option that the command cannot do without."""
    value = getattr(found, field)
    if value in (None, ""):
        raise ValueError(f"--cmd {found.cmd} needs {option}")
    return value


def zookeeper_of(found: argparse.Namespace) -> str:
    """Return where ZooKeeper is."""
    hosts = found.zookeeper or os.environ.get("ZK", "")
    if not hosts:
        raise ValueError("expected where ZooKeeper is: --zookeeper HOST:2181, or ZK in the environment")
    return hosts
