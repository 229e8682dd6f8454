"""Arrow record batches to rows of features, column by column: no Python loop runs over rows."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hogwild.data.arrow_kernel import count_present, scatter
from hogwild.data.arrow_values import bins, decoded, hashed, is_category, is_list, numbers, pyarrow, role, valid
from hogwild.data.batch import Batch, merge_repeats
from hogwild.data.columns import Columns, matches
from hogwild.data.errors import DataError
from hogwild.data.files import PathLike
from hogwild.data.hashing import cross, hash_names

if TYPE_CHECKING:
    import pyarrow as pa

SPARSE_LAYOUT = {b"hogwild.layout": b"sparse"}  # in a schema's metadata: indices are unique within rows
_LARGEST = float(np.finfo(np.float32).max)
_READABLE = "numbers, bools, text, dictionaries of these or lists of these (or list the column under ignore)"


class Column(NamedTuple):
    """How a column becomes features."""

    name: str
    numeric: bool
    is_list: bool


class Entries(NamedTuple):
    """Elements of a column: whether each is a feature, its hash and its value."""

    ends: np.ndarray  # of the rows' elements, uint64
    present: np.ndarray
    hashes: np.ndarray
    values: np.ndarray


class Encoder:
    """Encodes record batches of one schema (see `encode_record_batch`); keeps the hashes of dictionaries.

    Parameters
    ----------
    schema : pyarrow.Schema
    columns : Columns, optional
    path : str or path-like, default "record batch"
        What errors name.
    sparse : bool, default True
        Whether the sparse layout is recognised.
    """

    def __init__(
        self, schema: pa.Schema, columns: Columns | None = None, path: PathLike = "record batch", *, sparse: bool = True
    ) -> None:
        self.path = path
        self.columns = columns = columns or Columns()
        self._pa = pyarrow()
        self._row = 0  # rows before this batch
        self._dictionaries: dict[str, tuple[Any, ...]] = {}
        self.schema = schema
        names = schema.names
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(path, found=f"two columns {twice!r}", expected="different names")
        chosen = (columns.label, columns.weight, columns.numeric, columns.categorical, columns.ignore, columns.crosses)
        self.sparse = sparse and not any(chosen) and self._has_sparse_layout()
        if self.sparse and columns.fields:
            raise DataError(path, found="rows in the sparse layout, which has no fields", expected="columns of a table")
        self.plan: list[Column] = []
        self.pairs: list[tuple[str, str]] = []
        if self.sparse:
            self.label, self.weight = (name if name in names else None for name in ("label", "weight"))
        else:
            self.label, self.weight = columns.label, columns.weight
            exact = [name for name in (*columns.numeric, *columns.categorical) if not set(name) & set("*?[")]
            self._expect([name for name in (self.label, self.weight, *exact) if name is not None])
            self.plan = self._plan()
            self.pairs = self._pairs()

    @property
    def n_features(self) -> int | None:
        """Number of feature numbers; None for a sparse layout that does not say."""
        if not self.sparse:
            return self.columns.n_features
        told = (self.schema.metadata or {}).get(b"hogwild.n_features")
        return int(told) if told else None

    @property
    def n_fields(self) -> int | None:
        """Number of fields of entries; None where they have none."""
        return len(self.plan) + len(self.pairs) if self.columns.fields else None

    @property
    def used(self) -> list[str]:
        """Columns that are read."""
        features = ["indices", "values"] if self.sparse else [part.name for part in self.plan]
        return [name for name in (self.label, self.weight) if name is not None] + features

    def encode(self, rows: pa.RecordBatch) -> Batch:
        """Return the features of a record batch."""
        labels, weights = self._labels(rows), self._weights(rows)
        batch = self._sparse_rows(rows, labels, weights) if self.sparse else self._features(rows, labels, weights)
        self._row += rows.num_rows
        return batch

    # -------------------------------------------------------------------------------------------- what columns mean

    def _expect(self, names: list[str]) -> None:
        for name in names:
            if name not in self.schema.names:
                raise DataError(self.path, found=f"columns {shown(self.schema.names)}", expected=f"a column {name!r}")

    def _has_sparse_layout(self) -> bool:
        types = self._pa.types
        kinds = {"indices": types.is_integer, "values": types.is_floating}
        fields = {name: self.schema.field(name).type for name in kinds if name in self.schema.names}
        return len(fields) == 2 and all(is_list(fields[k]) and test(fields[k].value_type) for k, test in kinds.items())

    def _plan(self) -> list[Column]:
        """Columns that become features."""
        columns, plan = self.columns, []
        for field in self.schema:
            if field.name in (self.label, self.weight) or matches(field.name, columns.ignore):
                continue
            listed, kind = is_list(field.type), field.type
            kind = kind.value_type if listed else kind
            category = is_category(kind)
            if category is None:
                raise self._wrong(field.name, f"type {field.type}", _READABLE)
            if listed and self._pa.types.is_integer(kind):
                category = True  # a bag of numbers of things
            named = role(field.name, columns)
            plan.append(Column(field.name, not category if named is None else named, listed))
        return plan

    def _pairs(self) -> list[tuple[str, str]]:
        """Columns to cross, each pair once: by their names where both orders match, whatever the table's order."""
        scalars = sorted(part.name for part in self.plan if not part.is_list)
        pairs: dict[frozenset[str], tuple[str, str]] = {}
        for patterns in self.columns.crosses:
            first, second = ([name for name in scalars if matches(name, (pattern,))] for pattern in patterns)
            for pattern, found in zip(patterns, (first, second), strict=True):
                if not found:
                    raise DataError(
                        self.path,
                        found=f"columns {shown(scalars)}",
                        expected=f"a column {pattern!r} (no list) to cross",
                    )
            for pair in product(first, second):
                if pair[0] != pair[1]:
                    pairs.setdefault(frozenset(pair), pair)
        return list(pairs.values())

    def _wrong(self, name: str, found: str, expected: str) -> DataError:
        return DataError(self.path, found=f"column {name!r} of {found}", expected=expected)

    def _wrong_value(self, name: str, at: int, value: Any, expected: str) -> DataError:
        found = f"{value} in row {self._row + int(at) + 1} of column {name!r}"
        return DataError(self.path, found=found, expected=expected)

    # -------------------------------------------------------------------------------------------- labels and weights

    def _labels(self, rows: pa.RecordBatch) -> np.ndarray:
        if self.label is None:
            return np.full(rows.num_rows, np.nan)
        name, array, types = self.label, decoded(rows.column(self.label)), self._pa.types
        if types.is_null(array.type):
            return np.full(rows.num_rows, np.nan)
        if is_list(array.type) or is_category(array.type) is None:
            raise self._wrong(name, f"type {array.type}", "numbers or text as labels")
        if is_category(array.type):
            if array.null_count:
                at = np.flatnonzero(~valid(array))[0]
                raise self._wrong_value(name, at, "null", "a label in every row (labels are text)")
            try:
                return np.array(array.cast(self._pa.large_string()).to_pylist(), dtype=str)
            except self._pa.ArrowInvalid as error:
                raise self._wrong(name, f"type {array.type}", f"labels in UTF-8 ({error})") from None
        if not array.null_count and (types.is_integer(array.type) or types.is_boolean(array.type)):
            whole = array.to_numpy(zero_copy_only=False)
            if whole.dtype != np.uint64 or not len(whole) or whole.max() < 2**63:
                return whole.astype(np.int64)
        labels = numbers(array)
        infinite = np.flatnonzero(np.isinf(labels))
        if len(infinite):
            raise self._wrong_value(name, infinite[0], labels[infinite[0]], "a finite label")
        return labels

    def _weights(self, rows: pa.RecordBatch) -> np.ndarray:
        if self.weight is None:
            return np.empty(0, np.float32)
        name, array = self.weight, rows.column(self.weight)
        if is_list(array.type) or is_category(array.type) not in (False, self._pa.types.is_null(array.type)):
            raise self._wrong(name, f"type {array.type}", "numbers of at least 0 as weights")
        if self.sparse:  # there null is 1
            if array.null_count == rows.num_rows:
                return np.empty(0, np.float32)
            array = array.fill_null(1)
        with np.errstate(over="ignore"):
            weights = numbers(array).astype(np.float32)
        wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
        if len(wrong):
            raise self._wrong_value(name, wrong[0], array[int(wrong[0])], "a weight, a finite number of at least 0")
        return weights

    # -------------------------------------------------------------------------------------------- features

    def _features(self, rows: pa.RecordBatch, labels: np.ndarray, weights: np.ndarray) -> Batch:
        found = {part.name: self._column(part, rows.column(part.name)) for part in self.plan}
        entries = [*found.values(), *(self._crossed(a, b, found) for a, b in self.pairs)]
        counts = np.zeros(rows.num_rows, np.uint64)
        for part in entries:
            count_present(part.ends, part.present, counts)
        indptr = np.zeros(rows.num_rows + 1, np.uint64)
        np.cumsum(counts, out=indptr[1:])
        cursor = indptr[:-1].copy()
        indices, values = np.empty(int(indptr[-1]), np.uint32), np.empty(int(indptr[-1]), np.float32)
        n_features = np.uint64(self.columns.n_features)
        fields = np.empty(len(indices) if self.columns.fields else 0, np.uint32)
        for field, part in enumerate(entries):
            signed = self.columns.signed
            scatter(*part, n_features, signed, cursor, indices, values, np.uint32(field), fields)
        batch = Batch(indptr, indices, values, labels, weights, fields)
        return batch if self.columns.fields else merge_repeats(batch)

    def _column(self, part: Column, array: pa.Array) -> Entries:
        """Elements of a column; an empty list has none, a null one is missing."""
        if not part.is_list:
            ends = np.arange(1, len(array) + 1, dtype=np.uint64)
            return Entries(ends, *self._elements(part, array, ends, None))
        lengths = self._lengths(array).astype(np.int64)
        ends = lengths.cumsum()
        places = np.arange(lengths.sum()) - np.repeat(ends - lengths, lengths)
        entries = self._elements(part, array.flatten(), ends, places)
        if array.null_count and self.columns.missing == "category":
            at = np.flatnonzero(~valid(array))
            missing = (True, hash_names([f"{part.name}="])[0], np.float32(1))
            entries = tuple(np.insert(old, ends[at], new) for old, new in zip(entries, missing, strict=True))
            lengths[at] = 1
            ends = lengths.cumsum()
        return Entries(ends.astype(np.uint64), *entries)

    def _elements(
        self, part: Column, array: pa.Array, ends: np.ndarray, places: np.ndarray | None
    ) -> tuple[np.ndarray, ...]:
        """Presence, hash and value of each element; `places` are those of lists' elements within their rows."""
        if not part.numeric:
            present, hashes = self._categories(part.name, array)
            return present, hashes, np.ones(len(array), np.float32)
        found = self._finite(part.name, array, ends)
        missing = np.isnan(found)
        names, which = [part.name], np.zeros(len(array), np.int64)
        if places is not None and len(places):
            names, which = [f"{part.name}[{i}]" for i in range(int(places.max()) + 1)], places
        absent = hash_names([f"{name}=" for name in names])[which] if self.columns.missing == "category" else None
        if self.columns.transform == "bins":
            names, which = bins(names, which, np.where(missing, 0, found))
            found = np.ones(len(array))
        hashes, values = hash_names(names)[which], found.astype(np.float32)
        present = ~missing & (values != 0)
        if absent is not None:
            hashes[missing], values[missing], present[missing] = absent[missing], 1, True
        return present, hashes, values

    def _finite(self, name: str, array: pa.Array, ends: np.ndarray) -> np.ndarray:
        """Numbers of a column as float64 that float32 has room for, NaN where they are missing; logarithms if asked."""
        try:
            found = numbers(array)
        except self._pa.ArrowInvalid as error:
            raise self._wrong(name, f"text ({error})", "numbers") from None
        wide = np.isinf(found) if self.columns.transform != "none" else np.abs(found) > _LARGEST
        wide &= ~np.isnan(found)
        if wide.any():
            at = np.flatnonzero(wide)[0]
            row = np.searchsorted(ends, at, "right")
            raise self._wrong_value(name, row, found[at], "finite numbers within the range of float32")
        return np.copysign(np.log1p(np.abs(found)), found) if self.columns.transform == "log" else found

    def _categories(self, name: str, array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Presence and hash of the elements of a column of categories."""
        if self._pa.types.is_dictionary(array.type) and len(array.dictionary):
            hashes, filled = self._dictionary(name, array.dictionary)
            codes = array.indices.fill_null(0).to_numpy(zero_copy_only=False)
            hashes, filled = hashes[codes], filled[codes]
        else:
            hashes, filled = hashed(name, decoded(array))
        present = filled & valid(array)
        if self.columns.missing == "category" and not present.all():
            hashes[~present] = hash_names([f"{name}="])[0]
            present = np.ones(len(array), bool)
        return present, hashes

    def _dictionary(self, name: str, dictionary: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Hashes of a dictionary's values and whether these are any; kept as long as the batches share it."""
        address = [buffer.address if buffer else 0 for buffer in dictionary.buffers()]
        key = (*address, dictionary.offset, len(dictionary))
        kept = self._dictionaries.get(name)
        if kept is None or kept[0] != key:
            hashes, filled = hashed(name, decoded(dictionary))
            kept = self._dictionaries[name] = key, dictionary, hashes, filled & valid(dictionary)
        return kept[2], kept[3]

    def _lengths(self, array: pa.Array) -> np.ndarray:
        """Numbers of elements of lists, 0 for null."""
        return self._pa.compute.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)

    def _crossed(self, a: str, b: str, found: dict[str, Entries]) -> Entries:
        first, second = found[a], found[b]
        present = first.present & second.present
        with np.errstate(over="ignore"):
            values = first.values * second.values
        infinite = np.flatnonzero(np.isinf(values) & present)
        if len(infinite):
            raise self._wrong_value(f"{a}*{b}", infinite[0], "inf", "products within the range of float32")
        return Entries(first.ends, present & (values != 0), cross(first.hashes, second.hashes), values)

    # -------------------------------------------------------------------------------------------- sparse layout

    def _sparse_rows(self, rows: pa.RecordBatch, labels: np.ndarray, weights: np.ndarray) -> Batch:
        lists = {name: rows.column(name) for name in ("indices", "values")}
        lengths, others = map(self._lengths, lists.values())
        unequal = np.flatnonzero(lengths != others)
        if len(unequal):
            at = unequal[0]
            raise self._wrong_value(
                "indices", at, f"{lengths[at]} entries", f"{others[at]} of them, one for each value"
            )
        flat = [array.flatten() for array in lists.values()]
        for name, array in zip(lists, flat, strict=True):
            if array.null_count:
                raise self._wrong(name, "null in lists", "numbers")
        try:
            indices = flat[0].cast(self._pa.uint32()).to_numpy()
        except self._pa.ArrowInvalid as error:
            raise self._wrong("indices", f"numbers out of range ({error})", "indices from 0 to 2**32 - 1") from None
        with np.errstate(over="ignore"):
            values = flat[1].to_numpy().astype(np.float32, copy=False)
        indptr = np.zeros(rows.num_rows + 1, np.uint64)
        np.cumsum(lengths, out=indptr[1:], dtype=np.uint64)
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            row = np.searchsorted(indptr, wrong[0], "right") - 1
            raise self._wrong_value("values", row, values[wrong[0]], "finite numbers within the range of float32")
        batch = Batch(indptr, indices, values, labels, weights)
        if SPARSE_LAYOUT.items() <= (self.schema.metadata or {}).items():
            return batch
        return merge_repeats(batch._replace(indices=indices.copy(), values=values.copy()))


def shown(names: list[str]) -> str:
    """Return the first names, for an error."""
    return (", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")) or "of no name"
