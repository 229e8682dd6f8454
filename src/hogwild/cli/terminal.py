"""What the commands print: results on standard output, all else on standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status


class CommandError(Exception):
    """Something that the user can mend: printed as one line, exit status 1."""


@contextlib.contextmanager
def needing(extra: str) -> Iterator[None]:
    """Say which extra has what is imported here, where it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise CommandError(f"this needs {error.name}, which is not installed: pip install hogwild[{extra}]") from None


def check_output(path: Path, *, compressed: bool = False) -> None:
    """Fail now rather than after the training."""
    if path.is_dir():
        raise CommandError(f"{path}: found a folder, expected the name of a file to write")
    if not path.parent.is_dir():
        raise CommandError(f"{path}: found no folder {path.parent} to write to")
    if not os.access(path.parent, os.W_OK):
        raise CommandError(f"{path}: found no permission to write to the folder {path.parent}")
    if not compressed and path.suffix.lower() in (".gz", ".bz2", ".xz", ".zst"):
        raise CommandError(f"{path}: this kind of file is not compressed, expected another name")


def one_line(error: BaseException) -> str:
    """Say what is wrong and where, without a line break."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {(error.strerror or type(error).__name__).lower()}"
    if isinstance(error, MemoryError):
        return f"not enough memory ({error})" if str(error) else "not enough memory"
    return " ".join(str(error).split()) or type(error).__name__


def say_error(message: str, hint: str | None = None) -> None:
    """Print ``error: message`` to standard error."""
    print(f"error: {message}" + (f" ({hint})" if hint else ""), file=sys.stderr)


def say_warning(message: str) -> None:
    """Print ``warning: message`` to standard error."""
    print(f"warning: {' '.join(message.split())}", file=sys.stderr)


def console() -> Console:
    """Return Rich's console on standard output; what is piped is not wrapped at 80 columns."""
    from rich.console import Console

    wide = None if sys.stdout.isatty() else 200
    return Console(file=sys.stdout, highlight=False, soft_wrap=False, width=wide)


@contextlib.contextmanager
def live_line(message: str, quiet: bool = False) -> Iterator[Status | None]:
    """Show a line that changes, on standard error and only on a terminal; None is yielded elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True, highlight=False).status(message) as status:
        yield status


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> None:
    """Print a table: texts to the left, numbers to the right."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title and escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        cells = [row[number] for row in rows if row[number] not in ("", "-")]
        texts = number == 0 or (bool(cells) and not any(cell[:2].strip("+-.")[:1].isdigit() for cell in cells))
        table.add_column(escape(column), justify="left" if texts else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console().print(table)


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values under each other."""
    from rich.text import Text

    out, width = console(), max(len(name) for name, _ in pairs)
    for name, value in pairs:
        out.print(Text.assemble((f"{name:<{width}}", "bold"), f"  {value}"), soft_wrap=True)
