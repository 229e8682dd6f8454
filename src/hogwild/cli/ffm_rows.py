"""The rows of `hogwild ffm-train`: libffm text by way of its binary cache, other formats as they are read elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hogwild.cli.caching import ARRAYS_KEY
from hogwild.cli.rows import (
    FORMAT_KEY,
    Sources,
    check_labels,
    open_as,
    packed,
    reader_arrays,
    reader_of,
    say_bad_lines,
    unpacked,
)
from hogwild.cli.terminal import CommandError, say_warning
from hogwild.data import registry
from hogwild.data.batch import Batch, concatenate
from hogwild.data.errors import DataError
from hogwild.data.files import COMPRESSED, read_bytes
from hogwild.data.libffm import load_libffm
from hogwild.data.libffm_cache import (
    LARGEST,
    cached_hashes,
    check_fields,
    libffm_labels,
    read_cache,
    row_norms,
    text_hashes,
    write_cache,
)
from hogwild.data.locations import expand
from hogwild.steps.rows import SparseFieldRows

Say = Callable[[str, str], None]  # text and how it ends


class FfmRows(NamedTuple):
    """Rows in memory as the engine takes them.

    Attributes
    ----------
    rows : SparseFieldRows
    n_features, n_fields : int
        Largest index and field plus 1.
    about : dict
        How they were read; empty for libffm text.
    """

    rows: SparseFieldRows
    n_features: int
    n_fields: int
    about: dict[str, Any]


def is_libffm(sources: Sources) -> bool:
    """Whether rows are libffm text: where nothing else is recognised they are, and the error says what is expected."""
    if sources.format != "auto":
        return sources.format == "libffm"
    return registry.detect(expand(sources.names)) in ("libffm", "svmlight")


def read_rows(
    sources: Sources, say: Say, *, normalized: bool, caches: bool, like: dict[str, Any] | None = None
) -> FfmRows:
    """Read all rows.

    Parameters
    ----------
    say : callable
        Told what libffm prints.
    normalized : bool
        Whether the rows get norms.
    caches : bool
        Whether to read and write binary caches of libffm text.
    like : dict, optional
        How the training rows were read.
    """
    if not is_hog(sources) and (is_libffm(sources) if like is None else not like):
        return _read_libffm(sources, say, normalized, caches)
    rows = with_fields(sources).open() if like is None or is_hog(sources) else open_other(sources, like)
    about = described(rows)
    if like is not None and name_of(about) != name_of(like):
        raise CommandError(f"{sources}: found {name_of(about)} rows, expected {name_of(like)} as in training")
    batch = concatenate(list(batches_of(rows)))
    say_bad_lines(rows, str(sources))
    if not batch.n_rows:
        raise CommandError(f"{sources}: found a file that holds no rows, expected some")
    check_labels(batch.labels, None, str(sources))
    found = as_field_rows(batch, str(sources), normalized)
    return FfmRows(found, _count(batch.indices), _count(batch.fields), about)


def is_hog(sources: Sources) -> bool:
    """Whether rows are in a cache file of ours, which says itself what they were before."""
    return (registry.detect(expand(sources.names)) if sources.format == "auto" else sources.format) == "hog"


def described(rows: Any) -> dict[str, Any]:
    """Return what a model has to remember of how opened rows are read: nothing of libffm text."""
    told = getattr(rows, "about", {})
    reader = told.get(FORMAT_KEY) or reader_of(rows)
    if reader["name"] == "libffm":
        return {}
    return {FORMAT_KEY: reader, ARRAYS_KEY: told.get(ARRAYS_KEY) or packed(reader_arrays(rows))}


def name_of(about: dict[str, Any]) -> str:
    """Name of the format that `described` has described."""
    return about.get(FORMAT_KEY, {}).get("name", "libffm")


def with_fields(sources: Sources) -> Sources:
    """Ask for a field for each column of a table, unless the user says otherwise."""
    found = registry.detect(expand(sources.names)) if sources.format == "auto" else sources.format
    if found not in ("csv", "tsv", "criteo", "arrow") or "fields" in sources.options:
        return sources
    return replace(sources, format=found, options={**sources.options, "fields": True})


def open_other(sources: Sources, like: dict[str, Any]) -> Any:
    """Open rows that are no libffm text, as the training rows were read."""
    return open_as(sources, like[FORMAT_KEY], unpacked(like.get(ARRAYS_KEY, {})), np.array([0, 1]))


def batches_of(rows: Any) -> Iterable[Batch]:
    """Batches of opened rows; a cache file's with the numbers of its source."""
    return rows.batches() if hasattr(rows, "batches") else rows


def as_field_rows(batch: Batch, source: str, normalized: bool, norms: np.ndarray | None = None) -> SparseFieldRows:
    """Rows as kernels see them; a batch's labels above 0, read as whole numbers, are positive.

    A row whose values are all 0 has a factor of 1: its score is 0, where libffm multiplies 0 by infinity.
    """
    if len(batch.fields) != len(batch.indices):
        raise CommandError(f"{source}: found rows without fields, expected libffm text or a table (columns are fields)")
    if not normalized:
        norms = np.empty(0, np.float32)
    else:
        norms = row_norms(batch) if norms is None else norms
        norms = np.where(np.isfinite(norms), norms, np.float32(1))
    return SparseFieldRows(
        batch.indptr, batch.indices, batch.fields, batch.values, norms, libffm_labels(batch.labels), batch.weights
    )


def _count(numbers: np.ndarray) -> int:
    return int(numbers.max()) + 1 if len(numbers) else 0


# ------------------------------------------------------------------------------------------------ libffm's caches


def _read_libffm(sources: Sources, say: Say, normalized: bool, caches: bool) -> FfmRows:
    name = sources.names[0]
    local = expand(sources.names)
    cached = caches and len(local) == 1 and Path(name).is_file() and not name.lower().endswith(COMPRESSED)
    if sources.options or sources.bad_lines != "error":
        cached = False
    if not cached:
        return _from_batch(_text_rows(sources), str(sources), normalized)
    path, text = Path(Path(name).name + ".bin"), read_bytes(name)
    text_hashes(text[:1])  # compiled before it is timed
    began = time.perf_counter()
    say("First check if the text file has already been converted to binary format ", "")
    hashes = text_hashes(text)
    same = cached_hashes(path) == hashes
    say(f"({time.perf_counter() - began:.1f} seconds)", "\n")
    if same:
        try:
            cache = read_cache(path)
        except DataError as error:
            say_warning(f"{error}: it is converted anew")
        else:
            say("Binary file found. Skip converting text to binary", "\n")
            if not cache.n_features:
                raise CommandError(f"{name}: found rows without any feature, expected some")
            found = as_field_rows(cache.rows, name, normalized, cache.norms)
            return FfmRows(found, cache.n_features, cache.n_fields, {})
    began = time.perf_counter()
    say("Binary file NOT found. Convert text file to binary file ", "")
    try:
        batch = _text_rows(sources)
    except BaseException:
        say("", "\n")  # the error begins a line of its own
        raise
    if len(batch.indices):
        _keep_cache(batch, path, hashes, is_ours=same)
    say(f"({time.perf_counter() - began:.1f} seconds)", "\n")
    return _from_batch(batch, name, normalized)


def _text_rows(sources: Sources) -> Batch:
    """All rows of libffm text, whose numbers libffm can hold."""
    if len(sources.names) == 1 and Path(sources.names[0]).is_file() and sources.bad_lines == "error":
        limits = {"n_features": LARGEST + 1, "n_fields": LARGEST + 1, **sources.options}
        try:
            return load_libffm(sources.names[0], n_jobs=sources.n_jobs, **limits)
        except DataError as error:
            if str(LARGEST + 1) not in str(error.expected):
                raise
            what = "a field" if str(error.expected).startswith("a field") else "an index"
            expected = f"{what} up to {LARGEST}, as libffm's files hold 32 bits with a sign"
            raise DataError(error.path, error.line, error.column, error.found, expected) from None
    rows = replace(sources, format="libffm").open()
    batch = concatenate(list(rows))
    say_bad_lines(rows, str(sources))
    if not batch.n_rows:
        raise CommandError(f"{sources}: found a file that holds no rows, expected some")
    check_fields(batch)
    return batch


def _keep_cache(batch: Batch, path: Path, hashes: tuple[int, int], is_ours: bool) -> None:
    """Write the cache, unless something else has its name; training goes on without."""
    if path.exists() and not is_ours:
        try:
            read_cache(path)
        except (DataError, OSError) as error:
            say_warning(f"{error}: it is left as it is, and no cache is written")
            return
    try:
        write_cache(batch, path, hashes)
    except OSError as error:
        say_warning(f"{path}: {(error.strerror or 'found no way to write it').lower()}: no cache is written")


def _from_batch(batch: Batch, name: str, normalized: bool) -> FfmRows:
    if not len(batch.indices):
        raise CommandError(f"{name}: found rows without any feature, expected some")
    return FfmRows(as_field_rows(batch, name, normalized), _count(batch.indices), _count(batch.fields), {})
