"""The work of `hogwild convert`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hogwild.cli.memory import shown_size
from hogwild.cli.rows import Sources, numbered, say_bad_lines
from hogwild.cli.terminal import CommandError, check_output, live_line, print_pairs, say_warning
from hogwild.data.batch import Batch, merge_repeats
from hogwild.data.locations import suffix

_KINDS = {".svm": "svmlight", ".svmlight": "svmlight", ".libsvm": "svmlight", ".ffm": "libffm", ".libffm": "libffm"}
_KINDS[".parquet"] = "parquet"


def run(sources: Sources, output: Path, *, quiet: bool) -> None:
    """Write the rows in the format of `output`."""
    kind = _KINDS.get(suffix(str(output)))
    if kind is None:
        raise CommandError(f"{output}: found extension {suffix(str(output))!r}, expected one of {', '.join(_KINDS)}")
    check_output(output, compressed=kind != "parquet")
    rows = numbered(sources.open())
    as_written = kind == getattr(getattr(rows, "format", None), "name", "") == "svmlight"
    if as_written:  # indices stay what they are
        rows.format = replace(rows.format, zero_based=True)
    counted = _Counted(rows, has_weights=kind == "parquet", has_fields=kind == "libffm")
    began = time.perf_counter()
    with live_line(f"converting {sources}", quiet) as line:
        _writer(kind, as_written)(counted.batches(line), output)
    say_bad_lines(rows, str(sources))
    for what, lost in (("weights", counted.lost_weights), ("fields", counted.lost_fields)):
        if lost:
            say_warning(f"{output}: the rows have {what}, for which {kind} has no place: they were left out")
    if not quiet:
        seconds = time.perf_counter() - began
        size = shown_size(output.stat().st_size)
        print_pairs([("written", f"{output}: {counted.n_rows:,} rows, {size}, {seconds:.1f} s")])


def _writer(kind: str, as_written: bool) -> Callable[[Iterable[Batch], Path], Any]:
    if kind == "svmlight":
        from hogwild.data.svmlight import write_svmlight

        return lambda batches, path: write_svmlight(batches, path, zero_based=as_written)
    if kind == "libffm":
        from hogwild.data.libffm import dump_libffm

        return dump_libffm
    from hogwild.data.arrow import write_parquet

    return write_parquet


class _Counted:
    """Batches on their way to a writer: how many rows, and what is lost."""

    def __init__(self, rows: Any, *, has_weights: bool, has_fields: bool) -> None:
        self._rows, self._has_weights, self._has_fields = rows, has_weights, has_fields
        self.n_rows, self.lost_weights, self.lost_fields = 0, False, False

    def batches(self, line: Any) -> Iterator[Batch]:
        for batch in self._rows:
            self.n_rows += batch.n_rows
            if len(batch.weights) and not self._has_weights:
                self.lost_weights, batch = True, batch._replace(weights=batch.weights[:0])
            if len(batch.fields) and not self._has_fields:
                self.lost_fields, batch = True, merge_repeats(batch._replace(fields=batch.fields[:0]))
            if line is not None:
                line.update(f"converting  {self.n_rows:,} rows")
            yield batch
        if not self.n_rows:
            raise CommandError("found no rows to write")
