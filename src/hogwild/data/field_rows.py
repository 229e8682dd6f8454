"""Rows with fields in memory, for field-aware models: sliced and counted as scikit-learn does with matrices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from hogwild.compiled import kernel, strict_kernel
from hogwild.data.arrow_encoder import Encoder
from hogwild.data.batch import Batch, concatenate
from hogwild.data.columns import Columns
from hogwild.data.tables import arrow_table, from_matrix, table_batches

_WIDEST = 2**32
_HALF = np.uint64(32)
UNHASHED_BITS = 31  # numbers of hashes before `numbered`: two values of a column of 10,000 share one in 2 % of columns


@strict_kernel
def _largest(indices, fields, values):
    """Largest index and field, and whether all values are finite."""
    index, field, bad = np.uint32(0), np.uint32(0), np.uint32(0)
    for j in range(np.uint64(values.size)):
        index, field = max(index, indices[j]), max(field, fields[j])
        bad |= np.uint32(values[j] - values[j] != 0)
    return index, field, bad == 0


@kernel
def _take(indptr, indices, fields, values, order, to, new_indices, new_fields, new_values):
    """Copy the rows of `order` one after the other."""
    for i in range(np.uint64(order.size)):
        at = to[i]
        for j in range(indptr[order[i]], indptr[order[i] + np.uint64(1)]):
            new_indices[at], new_fields[at], new_values[at] = indices[j], fields[j], values[j]
            at += np.uint64(1)


@kernel
def _drop_unknown(indptr, known, indices, fields, values, new_indptr):
    """Close the gaps of entries that are not known, in place; returns the entries left."""
    write = np.uint64(0)
    for i in range(np.uint64(indptr.size - 1)):
        for j in range(indptr[i], indptr[i + np.uint64(1)]):
            if known[j]:
                indices[write], fields[write], values[write] = indices[j], fields[j], values[j]
                write += np.uint64(1)
        new_indptr[i + np.uint64(1)] = write
    return write


class FieldRows:
    """Rows whose entries are (field, feature, value).

    Made by `from_batch` (files in libffm format, CSV and tables that are read with ``fields=True``), `from_matrix` (a
    matrix and the field of each of its columns) and `from_table` (data frames). Rows are picked as from a matrix,
    ``rows[2:5]``, ``rows[[4, 1]]``, ``rows[mask]``, so that cross-validation and grid search work; a slice is a view.

    Parameters
    ----------
    indptr : array-like of shape (n_rows + 1,)
        Row i has the entries ``indptr[i]`` to ``indptr[i + 1]``; starts at 0.
    indices, fields : array-like of shape (n_entries,)
        Feature and field of each entry, below 2**32. Repeated entries of a row are kept: each is a term of the model.
    values : array-like of shape (n_entries,)
        Finite; become float32.
    n_features, n_fields : int, optional
        Above all of them; by default the largest plus 1.
    vocabulary : ndarray of uint64, optional
        What the features stand for; see `numbered`.

    Attributes
    ----------
    indptr : ndarray of uint64
    indices, fields : ndarray of uint32
    values : ndarray of float32
    n_features, n_fields : int
    shape : tuple of int
        ``(n_rows, n_features)``.

    Raises
    ------
    ValueError
        If the arrays do not fit together, or hold negative or too large numbers or values that are not finite.

    Examples
    --------
    >>> from hogwild.data import FieldRows
    >>> rows = FieldRows([0, 2, 3], indices=[3, 17, 4], fields=[0, 2, 0], values=[0.5, 1, 1])
    >>> rows.shape, rows.n_fields
    ((2, 18), 3)
    >>> rows[[1, 0]].indices.tolist()
    [4, 3, 17]
    """

    ndim = 2

    def __init__(
        self,
        indptr: Any,
        indices: Any,
        fields: Any,
        values: Any,
        *,
        n_features: int | None = None,
        n_fields: int | None = None,
        vocabulary: np.ndarray | None = None,
    ) -> None:
        self.indptr = _whole(indptr, "indptr", np.uint64)
        self.indices, self.fields = _whole(indices, "indices", np.uint32), _whole(fields, "fields", np.uint32)
        with np.errstate(over="ignore"):
            self.values = np.ascontiguousarray(values, np.float32)
        if not len(self.indptr) or self.indptr[0] != 0 or np.any(self.indptr[1:] < self.indptr[:-1]):
            raise ValueError("indptr starts at 0 and never falls")
        n = int(self.indptr[-1])
        lengths = {name: getattr(self, name).shape for name in ("indices", "fields", "values")}
        if set(lengths.values()) != {(n,)}:
            found = ", ".join(f"{name} {shape}" for name, shape in lengths.items())
            raise ValueError(f"indptr ends at {n}, expected arrays of shape ({n},), found {found}")
        index, field, finite = _largest(self.indices, self.fields, self.values)
        if not finite:
            raise ValueError("values hold NaN, infinity or numbers beyond the range of float32")
        least = (int(index) + 1, int(field) + 1) if n else (0, 0)
        for name, given, low in (("n_features", n_features, least[0]), ("n_fields", n_fields, least[1])):
            if given is not None and not low <= given <= _WIDEST:
                raise ValueError(f"{name} is {given}, expected at least {low} (and at most 2**32)")
        self.n_features = least[0] if n_features is None else int(n_features)
        self.n_fields = least[1] if n_fields is None else int(n_fields)
        self.vocabulary = vocabulary

    # ------------------------------------------------------------------------------------------ from other forms

    @classmethod
    def from_batch(
        cls, batches: Batch | Iterable[Batch], *, n_features: int | None = None, n_fields: int | None = None
    ) -> FieldRows:
        r"""Make rows of what a reader of files gives; labels and weights stay in the batch.

        Parameters
        ----------
        batches : Batch or iterable of Batch
            With fields: of `load_libffm`, or of `hogwild.data.open` (``fields=True`` for CSV and tables).
        n_features, n_fields : int, optional

        Examples
        --------
        >>> import numpy as np
        >>> from hogwild.data import FieldRows, open
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "clicks.csv")
        ...     _ = file.write_text("click,site,price\n1,a.org,2.5\n0,b.org,\n")
        ...     (batch,) = open(file, label="click", bits=10, fields=True)
        >>> FieldRows.from_batch(batch).fields.tolist(), batch.labels.tolist()
        ([0, 1, 0], [1, 0])
        """
        batch = batches if isinstance(batches, Batch) else concatenate(batches)
        if len(batch.fields) != len(batch.indices):
            raise ValueError("found rows without fields, expected a field for each entry (CSV and tables: fields=True)")
        arrays = batch.indptr, batch.indices, batch.fields, batch.values
        return cls(*arrays, n_features=n_features, n_fields=n_fields)

    @classmethod
    def from_matrix(cls, X: Any, fields: Any = None) -> FieldRows:
        """Make rows of a matrix.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_rows, n_features)
            Zeros are left out.
        fields : array-like of int, shape (n_features,), optional
            Field of each column; by default each column is a field of its own.

        Examples
        --------
        >>> from hogwild.data import FieldRows
        >>> rows = FieldRows.from_matrix([[1.0, 0.0, 2.0]], fields=[0, 0, 1])
        >>> rows.indices.tolist(), rows.fields.tolist()
        ([0, 2], [0, 1])
        """
        if sparse.issparse(X) and X.format == "csr" and X.dtype == np.float32 and X.has_canonical_format:
            batch = from_matrix(X)
        else:
            batch = from_matrix(X if sparse.issparse(X) else np.asarray(X))
        n_features = X.shape[1] if hasattr(X, "shape") else np.asarray(X).shape[1]
        of = field_of_columns(fields, n_features)
        n_fields = int(of.max()) + 1 if len(of) else 0
        return cls(
            batch.indptr, batch.indices, of[batch.indices], batch.values, n_features=n_features, n_fields=n_fields
        )

    @classmethod
    def from_table(cls, data: Any, columns: Columns | None = None) -> FieldRows:
        """Make rows of a data frame: each column is a field.

        Text and dictionaries (pandas' ``category``) are categories, one feature for each value; a column of numbers or
        bools is one feature whose value they are, or a category for each bin (``transform="bins"``). What is missing,
        and a number 0, has no entry (``missing="category"``: what is missing has a feature of its own). Features are
        hashed to ``2**bits`` numbers as those of files are, so that a model of a frame takes rows of a CSV file; see
        `numbered` for features without gaps.

        Parameters
        ----------
        data : pandas or Polars DataFrame, pyarrow Table or RecordBatch
        columns : Columns, optional
            Roles of the columns, and what becomes of their values; label and weight are left out.

        Raises
        ------
        DataError
            If a column has a type that gives no features.
        ImportError
            If PyArrow is not installed.

        Examples
        --------
        >>> import pandas as pd
        >>> from hogwild.data import FieldRows
        >>> rows = FieldRows.from_table(pd.DataFrame({"site": ["a.org", None], "price": [2.5, 4.0]})).numbered()
        >>> rows.fields.tolist(), rows.indices.tolist(), rows.values.tolist()
        ([0, 1, 1], [0, 1, 1], [1.0, 2.5, 4.0])
        """
        columns = replace(columns or Columns(), fields=True)
        table = arrow_table(data)
        n_fields = Encoder(table.schema, columns, "table").n_fields
        batch = concatenate(table_batches(table, columns))
        return cls.from_batch(batch, n_features=columns.n_features, n_fields=n_fields)

    # ------------------------------------------------------------------------------------------ numbers of features

    def numbered(self, vocabulary: np.ndarray | None = None) -> FieldRows:
        """Number the (field, feature) pairs that occur 0, 1, 2, ...: a model needs room for these only.

        Parameters
        ----------
        vocabulary : ndarray of uint64, optional
            That of other rows, for rows to predict; pairs that it lacks are left out.

        Returns
        -------
        FieldRows
            Its `vocabulary` holds, for each new number, ``field << 32 | old number``.

        Examples
        --------
        >>> from hogwild.data import FieldRows
        >>> train = FieldRows([0, 2], indices=[900, 70], fields=[0, 1], values=[1, 1]).numbered()
        >>> train.indices.tolist(), train.shape
        ([0, 1], (1, 2))
        >>> FieldRows([0, 2], indices=[5, 70], fields=[0, 1], values=[1, 1]).numbered(train.vocabulary).indices.tolist()
        [1]
        """
        keys = (self.fields.astype(np.uint64) << _HALF) | self.indices
        if vocabulary is None:
            vocabulary, numbers = np.unique(keys, return_inverse=True)
            arrays = self.indptr, numbers.astype(np.uint32), self.fields, self.values
            return FieldRows(*arrays, n_features=len(vocabulary), n_fields=self.n_fields, vocabulary=vocabulary)
        order = np.argsort(vocabulary, kind="stable")
        ordered = vocabulary[order]
        places = np.minimum(np.searchsorted(ordered, keys), max(0, len(ordered) - 1))
        known = ordered[places] == keys if len(ordered) else np.zeros(len(keys), bool)
        indices = order[places].astype(np.uint32) if len(ordered) else np.zeros(len(keys), np.uint32)
        indptr, fields, values = self.indptr, self.fields, self.values
        if not known.all():
            fields, values, indptr = fields.copy(), values.copy(), np.zeros_like(indptr)
            n = int(_drop_unknown(self.indptr, known, indices, fields, values, indptr))
            indices, fields, values = indices[:n], fields[:n], values[:n]
        n_fields = max(self.n_fields, int(vocabulary.max() >> _HALF) + 1 if len(vocabulary) else 0)
        return FieldRows(
            indptr, indices, fields, values, n_features=len(vocabulary), n_fields=n_fields, vocabulary=vocabulary
        )

    # ------------------------------------------------------------------------------------------ rows

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_rows, n_features)``."""
        return len(self.indptr) - 1, self.n_features

    @property
    def dtype(self) -> np.dtype:
        """float32."""
        return self.values.dtype

    @property
    def nnz(self) -> int:
        """Number of entries."""
        return len(self.values)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.indptr) - 1

    def __repr__(self) -> str:
        shape = f"{len(self):,} rows x {self.n_features:,} features, {self.n_fields} fields"
        return f"<FieldRows: {shape}, {self.nnz:,} entries>"

    def __getitem__(self, key: Any) -> FieldRows:
        """Return rows: ``rows[a:b]``, ``rows[[4, 1]]``, ``rows[mask]``; a single number gives one row."""
        if isinstance(key, tuple):  # rows[key, ...] or rows[key, :], as scikit-learn writes it
            key, *others = key
            if any(other is not Ellipsis and other != slice(None) for other in others):
                raise IndexError("rows with fields are picked by row only")
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return self._between(start, max(start, stop))
            key = np.arange(start, stop, step)
        picked = np.atleast_1d(np.asarray(key))
        if picked.dtype.kind == "b":
            if picked.shape != (len(self),):
                raise IndexError(f"a mask has one value for each of the {len(self)} rows, found shape {picked.shape}")
            picked = np.flatnonzero(picked)
        if picked.ndim != 1 or (picked.dtype.kind not in "iu" and len(picked)):
            raise IndexError(f"rows are picked by whole numbers, a mask or a slice, found {key!r:.60}")
        picked = picked.astype(np.int64)
        if len(picked) and not -len(self) <= picked.min() <= picked.max() < len(self):
            raise IndexError(f"row {picked[np.argmax(np.abs(picked))]} is none of the {len(self)} rows")
        picked = np.where(picked < 0, picked + len(self), picked).astype(np.uint64)
        indptr = np.zeros(len(picked) + 1, np.uint64)
        np.cumsum(self.indptr[picked + np.uint64(1)] - self.indptr[picked], out=indptr[1:])
        n = int(indptr[-1])
        arrays = np.empty(n, np.uint32), np.empty(n, np.uint32), np.empty(n, np.float32)
        _take(self.indptr, self.indices, self.fields, self.values, picked, indptr, *arrays)
        return self._like(indptr, *arrays)

    def _between(self, start: int, stop: int) -> FieldRows:
        low, high = int(self.indptr[start]), int(self.indptr[stop])
        indptr = self.indptr[start : stop + 1] - np.uint64(low) if low else self.indptr[start : stop + 1]
        return self._like(indptr, self.indices[low:high], self.fields[low:high], self.values[low:high])

    def _like(self, indptr: np.ndarray, indices: np.ndarray, fields: np.ndarray, values: np.ndarray) -> FieldRows:
        """Rows of the same features and fields; nothing is checked again."""
        rows = FieldRows.__new__(FieldRows)
        rows.indptr, rows.indices, rows.fields, rows.values = indptr, indices, fields, values
        rows.n_features, rows.n_fields, rows.vocabulary = self.n_features, self.n_fields, self.vocabulary
        return rows

    def batch(self, labels: Any = None, weights: Any = None) -> Batch:
        """Return the rows as a batch, for the writers of files.

        Parameters
        ----------
        labels : array-like of shape (n_rows,), optional
            NaN for every row by default.
        weights : array-like of shape (n_rows,), optional
        """
        about = from_matrix(sparse.csr_array((len(self), 1), dtype=np.float32), labels, weights)
        return Batch(self.indptr, self.indices, self.values, about.labels, about.weights, self.fields)


def field_of_columns(fields: Any, n_features: int) -> np.ndarray:
    """Return the field of each of `n_features` columns as uint32; without `fields` each is its own.

    Raises
    ------
    ValueError
        If there are more or fewer than columns, or they are no whole numbers of at least 0.
    """
    if fields is None:
        return np.arange(n_features, dtype=np.uint32)
    fields = _whole(fields, "fields", np.uint32)
    if fields.shape != (n_features,):
        raise ValueError(
            f"fields has shape {fields.shape}, expected the field of each of the {n_features} columns of X"
        )
    return fields


def _whole(numbers: Any, name: str, dtype: Any) -> np.ndarray:
    """Return whole numbers of at least 0 as `dtype`, without a copy where they have it."""
    numbers = np.asarray(numbers)
    if numbers.ndim != 1:
        raise ValueError(f"{name} has {numbers.ndim} dimensions, expected 1")
    if numbers.dtype != dtype and len(numbers):
        if numbers.dtype.kind not in "iu":
            raise ValueError(f"{name} holds {numbers.dtype}, expected whole numbers")
        low, high = int(numbers.min()), int(numbers.max())
        if low < 0 or high > np.iinfo(dtype).max:
            raise ValueError(f"{name} lies between 0 and {np.iinfo(dtype).max:,}, found {low if low < 0 else high:,}")
    return np.ascontiguousarray(numbers, dtype)
