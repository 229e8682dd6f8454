"""Tables and matrices in memory as a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from hogwild.data.arrow_encoder import Encoder
from hogwild.data.arrow_values import pyarrow
from hogwild.data.batch import Batch, concatenate
from hogwild.data.columns import Columns
from hogwild.data.errors import DataError

_WIDEST = 2**32


def from_table(data: Any, columns: Columns | None = None, *, batch_rows: int = 65_536) -> Batch:
    """Turn a table in memory into sparse rows of features.

    Parameters
    ----------
    data : pandas or Polars DataFrame, pyarrow Table or RecordBatch, or anything with ``__arrow_c_stream__``
        A pandas index is left out.
    columns : Columns, optional
        Roles of the columns; what becomes of which type is told by `hogwild.data.arrow.encode_record_batch`.
    batch_rows : int, default 65536
        Rows that are encoded at a time.

    Returns
    -------
    Batch

    Raises
    ------
    DataError
        If a column cannot be read; the message names it.
    TypeError
        If `data` is no table.
    ImportError
        If PyArrow is not installed.

    Examples
    --------
    >>> import pandas as pd
    >>> from hogwild.data.columns import Columns
    >>> from hogwild.data.tables import from_table
    >>> clicks = pd.DataFrame({"click": [True, False], "site": ["a.org", None], "price": [2.5, float("nan")]})
    >>> batch = from_table(clicks, Columns(label="click"))
    >>> batch.labels.tolist(), batch.indptr.tolist(), batch.values.tolist()
    ([1, 0], [0, 2, 2], [1.0, 2.5])
    """
    if batch_rows < 1:
        raise ValueError(f"batch_rows is at least 1, found {batch_rows!r}")
    return concatenate(table_batches(data, columns, batch_rows))


def table_batches(data: Any, columns: Columns | None = None, batch_rows: int = 65_536) -> Iterator[Batch]:
    """Encode a table as `from_table` does, some rows at a time; at least one batch, be it empty."""
    table = arrow_table(data)
    encoder = Encoder(table.schema, columns, "table")
    filled = [rows for rows in table.to_batches(batch_rows) if rows.num_rows]
    if not filled:
        arrow = pyarrow()
        empty = [arrow.nulls(0, field.type) for field in table.schema]
        filled = [arrow.RecordBatch.from_arrays(empty, schema=table.schema)]
    for rows in filled:
        yield encoder.encode(rows)


def arrow_table(data: Any) -> Any:
    """Return the table as Arrow's, without copying what has its layout already."""
    arrow = pyarrow()
    try:
        if isinstance(data, arrow.RecordBatch):
            return arrow.Table.from_batches([data])
        if type(data).__module__.partition(".")[0] == "pandas" and hasattr(data, "columns"):
            return arrow.Table.from_pandas(data, preserve_index=False)
        if isinstance(data, arrow.Table) or hasattr(data, "__arrow_c_stream__"):
            return arrow.table(data)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError, arrow.ArrowNotImplementedError) as error:
        found = "; ".join(map(str, error.args))
        raise DataError("table", found=found, expected="values of one kind in each column") from error
    raise TypeError(f"expected a pandas or Polars DataFrame or an Arrow table, found {type(data).__name__}")


def from_matrix(X: Any, y: Any = None, weights: Any = None) -> Batch:
    """Turn a matrix into sparse rows.

    Parameters
    ----------
    X : array-like or SciPy sparse matrix of shape (n_rows, n_features)
        Zeros are dropped, repeated entries of a sparse matrix added up. float32 CSR without either is not copied (its
        values; int32 indices are viewed as uint32).
    y : array-like of shape (n_rows,), optional
        Numbers or text; NaN for every row where there is none.
    weights : array-like of shape (n_rows,), optional
        Numbers of at least 0.

    Returns
    -------
    Batch

    Raises
    ------
    ValueError
        If X is not a real matrix of finite numbers within the range of float32, has 2**32 columns or more, or if shapes
        differ.

    Examples
    --------
    >>> from hogwild.data.tables import from_matrix
    >>> batch = from_matrix([[0.0, 2.0], [1.0, 0.0]], ["spam", "ham"])
    >>> batch.indices.tolist(), batch.values.tolist(), batch.labels.tolist()
    ([1, 0], [2.0, 1.0], ['spam', 'ham'])
    """
    if not sparse.issparse(X):
        X = np.asarray(X)
        if X.ndim != 2:
            raise ValueError(f"X has {X.ndim} dimensions, expected a matrix of rows and columns")
    if X.dtype.kind not in "biuf":
        raise ValueError(f"X holds {X.dtype}, expected real numbers")
    if X.shape[1] > _WIDEST:
        raise ValueError(f"X has {X.shape[1]} columns; indices lie below 2**32")
    if not sparse.issparse(X):
        _check_finite(X)
    rows = sparse.csr_array(X)
    _check_finite(rows.data)
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    with np.errstate(over="ignore"):
        values = rows.data.astype(np.float32, copy=False)
    _check_finite(values)
    if not values.all():
        rows = sparse.csr_array((values, rows.indices, rows.indptr), shape=rows.shape, copy=True)
        rows.eliminate_zeros()
        values = rows.data
    indices = rows.indices.view(np.uint32) if rows.indices.dtype == np.int32 else rows.indices.astype(np.uint32)
    return Batch(rows.indptr.astype(np.uint64), indices, values, _labels(y, X.shape[0]), _weights(weights, X.shape[0]))


def _check_finite(numbers: np.ndarray) -> None:
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        raise ValueError("X holds NaN, infinity or numbers beyond the range of float32")


def _labels(y: Any, n_rows: int) -> np.ndarray:
    """Labels as int64, float64 or text."""
    if y is None:
        return np.full(n_rows, np.nan)
    y = np.asarray(y)
    if y.shape != (n_rows,):
        raise ValueError(f"y has shape {y.shape}, expected one label for each of the {n_rows} rows of X")
    if y.dtype.kind == "O":
        words = all(isinstance(label, str) for label in y)
        y = y.astype(str) if words else y.astype(np.float64) if n_rows else y.astype(np.int64)
    if y.dtype.kind in "bi" or (y.dtype.kind == "u" and (not n_rows or y.max() < 2**63)):
        return y.astype(np.int64, copy=False)
    if y.dtype.kind in "uf":
        if np.isinf(y).any():
            raise ValueError("y holds infinity")
        return y.astype(np.float64, copy=False)
    if y.dtype.kind != "U":
        raise ValueError(f"y holds {y.dtype}, expected numbers or text")
    return y


def _weights(weights: Any, n_rows: int) -> np.ndarray:
    if weights is None:
        return np.empty(0, np.float32)
    with np.errstate(over="ignore"):
        weights = np.asarray(weights).astype(np.float32, copy=False)
    if weights.shape != (n_rows,):
        raise ValueError(f"weights has shape {weights.shape}, expected one for each of the {n_rows} rows of X")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError("weights are finite numbers of at least 0")
    return weights
