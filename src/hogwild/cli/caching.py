"""Cache files of the command line: where they lie, when they are used again, how they are made."""

from __future__ import annotations

import atexit
import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hogwild.cli.memory import free_disk, shown_size
from hogwild.cli.rows import FORMAT_KEY, Sources, packed, reader_arrays, reader_of, say_bad_lines
from hogwild.cli.terminal import CommandError, check_output, live_line, print_pairs
from hogwild.data.batch import Batch
from hogwild.data.errors import DataError
from hogwild.folders import cache_folder

_DISK = 2.2  # times the size of the rows that writing a cache takes on disk: temporary files, and the cache itself
_WRITER = 0.6  # share of the memory that rows on their way into a cache may take; the rest is for reading
ARRAYS_KEY = "arrays"
_SOURCE_KEY = "source"  # of what a cache says about itself


def source_state(rows: Any, is_open: bool) -> str | None:
    """Return what tells one state of the sources and their options from another; None for standard input."""
    if not getattr(rows, "repeatable", True):
        return None
    return rows.fingerprint() + ("-open" if is_open else "")


def cache_path(rows: Any, sources: Sources, wish: str, is_open: bool) -> Path:
    """Return where the cache of these rows lies: named by the user, or by the state of the sources."""
    if wish not in ("auto", "on", "off"):
        return Path(wish)
    key = source_state(rows, is_open) or f"stdin-{os.getpid()}"
    first = "rows" if sources.names[0] == "-" else Path(sources.names[0]).name.split(".")[0]
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in first)
    return cache_folder() / "data" / f"{name or 'rows'}-{key}.hog"


def build_cache(
    rows: Any, sources: Sources, path: Path, *, memory: int, needed: int | None, is_open: bool, quiet: bool
) -> Any:
    """Open the cache of these rows at `path`; write it first if it is not there or of another state of the sources."""
    from hogwild.data.hog import open_hog

    source = source_state(rows, is_open)
    if path.exists() and source is not None:
        with contextlib.suppress(DataError):
            found = open_hog([path])
            if found.about.get(_SOURCE_KEY) == source:
                if not quiet:
                    print_pairs([("cache", f"{path}: {shown_size(path.stat().st_size)}, used again")])
                return found
            found.close()
    check_disk(path, needed)
    if not quiet:
        size = f", about {shown_size(needed)}" if needed else ""
        print_pairs([("cache", f"{path}{size}: to be written (--memory {shown_size(memory)}, --cache off for none)")])
    path.parent.mkdir(parents=True, exist_ok=True)
    if source is None and path.parent == cache_folder() / "data":  # nobody can use it again
        atexit.register(path.unlink, missing_ok=True)
    about = {_SOURCE_KEY: source, "first_index_open": is_open}
    return write_cache(rows, sources, path, memory=memory, about=about, quiet=quiet)


def run(sources: Sources, output: Path, *, memory: int, quiet: bool, shards: int, **options: Any) -> None:
    """Write the cache file of `hogwild cache`."""
    check_output(output)
    if output.suffix.lower() != ".hog":
        raise CommandError(f"{output}: found extension {output.suffix!r}, expected .hog")
    rows = sources.open()
    limit_blocks(rows, memory)
    is_open = leave_first_index_open(sources, rows)
    needed = rows.estimated_bytes() if hasattr(rows, "estimated_bytes") else None
    check_disk(output, needed)
    about = {"first_index_open": is_open}
    write_cache(rows, sources, output, memory=memory, about=about, quiet=quiet, shards=shards, **options)
    say_bad_lines(rows, str(sources))


def limit_blocks(rows: Any, memory: int) -> None:
    """Read text in blocks that are small beside the memory: some six of them and their batches are held at a time."""
    if hasattr(rows, "block_bytes"):
        rows.block_bytes = max(1 << 18, min(rows.block_bytes, memory // 24))


def leave_first_index_open(sources: Sources, rows: Any) -> bool:
    """Read svmlight indices as they are written where only the last row tells whether they count from 0 or from 1."""
    text_format = getattr(rows, "format", None)
    is_open = getattr(text_format, "name", "") == "svmlight" and "zero_based" not in sources.options
    if is_open:
        rows.format = replace(text_format, zero_based=True)
    return is_open


def check_disk(path: Path, needed: int | None) -> None:
    """Fail now rather than after an hour."""
    free = free_disk(path.parent)
    if needed is not None and needed * _DISK > free:
        raise CommandError(
            f"{path}: found {shown_size(free)} free on this disk, expected {shown_size(needed * _DISK)} for a cache "
            "and its temporary files (--cache PATH writes it elsewhere, --cache off none)"
        )


def write_cache(
    rows: Any, sources: Sources, path: Path, *, memory: int, about: dict[str, Any], quiet: bool, **options: Any
) -> Any:
    """Write a cache file of `rows` and open it."""
    from hogwild.data.hog_writer import write_hog

    began = time.perf_counter()
    opened = getattr(rows, "opened", rows)
    about = {FORMAT_KEY: reader_of(opened), ARRAYS_KEY: packed(reader_arrays(opened)), **about}
    with live_line(f"caching {sources}", quiet) as line:
        found = write_hog(
            _followed(rows, line),
            path,
            n_features=rows.n_features,
            memory=int(memory * _WRITER),
            about=about,
            **options,
        )
    seconds = time.perf_counter() - began
    if not quiet:
        reading = getattr(rows, "reading", None)
        rate = f", {shown_size(reading.text_bytes / seconds)}/s of text" if reading and reading.text_bytes else ""
        size = shown_size(sum(os.path.getsize(name) for name in found.paths))
        print_pairs([("cached", f"{size}, {found.n_rows:,} rows in {found.n_blocks:,} blocks, {seconds:.1f} s{rate}")])
    return found


def _followed(rows: Any, line: Any) -> Iterator[Batch]:
    """Batches, with the live line moving."""
    for batch in rows:
        if line is not None:
            reading = rows.reading
            line.update(f"caching  {reading.rows:,} rows  {shown_size(reading.text_bytes)} of text")
        yield batch
