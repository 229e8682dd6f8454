"""The work of `hogwild serve`, and of the `juba...` programs.

They start without Typer: whoever starts one gives it a second to answer.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import select
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hogwild.cli.serve_options import OPTIONS, Option, settings_of, shown_default
from hogwild.cli.terminal import one_line
from hogwild.online.methods import TYPES
from hogwild.online.running import serve
from hogwild.online.service.unserved import UNSERVED
from hogwild.online.settings import ServeSettings

_PIPE = 4096  # bytes that a pipe takes at once where it takes any

# --------------------------------------------------------------------------------------------------- the programs


def run(settings: ServeSettings, logdir: Path | None = None) -> int:
    """Serve, and return the exit status."""
    start_logging(f"{settings.kind}_{settings.port}", logdir)
    return asyncio.run(serve(settings, say))


def say(line: str) -> None:
    """Print a line to standard output; nothing where nobody reads it."""
    _write(sys.stdout, line)


def program(kind: str, words: Sequence[str]) -> int:
    """Be ``juba<kind>``: read its options, serve, and return the exit status."""
    parser = _parser(f"juba{kind}")
    found = vars(parser.parse_args(words))
    try:
        return run(settings_of(kind, {option.field: found[option.field] for option in OPTIONS}), found["logdir"])
    except (OSError, ValueError, ImportError) as error:
        if os.environ.get("HOGWILD_TRACEBACK"):
            raise
        _write(sys.stderr, f"error: {one_line(error)}")
        return 1


def main() -> None:
    """Run ``python -m hogwild.cli.serving TYPE ...``, as the programs do, and leave no thread to wait for."""
    kind, *words = sys.argv[1:]
    if kind not in (*TYPES, *UNSERVED):
        raise SystemExit(f"error: found the type {kind!r}, expected one of {', '.join((*TYPES, *UNSERVED))}")
    status = program(kind, words)
    sys.stdout.flush()
    os._exit(status)


def _parser(name: str) -> argparse.ArgumentParser:
    from hogwild import __version__

    parser = argparse.ArgumentParser(prog=name, description="See hogwild serve.", allow_abbrev=False)
    parser.add_argument("--version", "-v", action="version", version=f"{name} (hogwild {__version__})")
    for option in OPTIONS:
        default = shown_default(option)
        about = f"{option.about} [{default}]" if default else option.about
        parser.add_argument(*option.names, dest=option.field, type=_reader(option), metavar=option.metavar, help=about)
    return parser


def _reader(option: Option) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return option.read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


# -------------------------------------------------------------------------------------------------------- messages


class _Told(logging.Handler):
    """Writes messages to standard error, and never waits for one who does not read it."""

    def emit(self, record: logging.LogRecord) -> None:
        _write(sys.stderr, self.format(record))


def start_logging(name: str, logdir: Path | None) -> None:
    """Write warnings to standard error, or to the file of that name in a folder."""
    handler: logging.Handler = _Told()
    if logdir is not None:
        handler = logging.FileHandler(logdir / f"{name}.log", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _write(stream: Any, line: str) -> None:
    """Write a line, as far as that can be done at once: pipes that nobody reads are full some day."""
    try:
        stream.flush()
        if select.select([], [stream], [], 0)[1]:
            os.write(stream.fileno(), (line.encode(errors="backslashreplace") + b"\n")[-_PIPE:])
    except (OSError, ValueError):  # closed
        return


if __name__ == "__main__":
    main()
