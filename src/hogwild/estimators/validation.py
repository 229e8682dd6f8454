"""Input of estimators: what scikit-learn checks, without its copies, and what compiled loops need on top."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import validate_data

from hogwild.compiled import strict_kernel
from hogwild.engine.pool import thread_pool


@strict_kernel
def _check_part(indices, values, n_features, low, high):
    """Whether all indices are below `n_features`, and all values finite."""
    largest, bad = np.uint32(0), np.uint32(0)
    for j in range(np.uint64(low), np.uint64(high)):
        largest = max(largest, indices[j])
        bad |= np.uint32(values[j] - values[j] != 0)  # infinity and NaN leave NaN; an integer sum is vectorised
    return largest < n_features, bad == 0


def _check_nonzeros(X: sp.csr_matrix, n_threads: int, name: str) -> None:
    """One pass of all threads over indices and values."""
    if X.nnz == 0:
        return
    indices = X.indices.view(np.uint32) if X.indices.dtype == np.int32 else X.indices
    if indices.dtype != np.uint32:
        if X.shape[1] > 2**32:
            raise ValueError(f"{name} has {X.shape[1]:,} features; the largest number is 2**32")
        if indices.min() < 0:
            raise ValueError(f"{name} holds a negative feature index")
        indices = np.minimum(indices, 2**32 - 1).astype(np.uint32)
    bounds = np.linspace(0, X.nnz, n_threads + 1).astype(np.int64)
    parts = [(indices, X.data, X.shape[1], low, high) for low, high in zip(bounds, bounds[1:], strict=False)]
    for within, finite in thread_pool().run(_check_part, parts):
        if not within:
            raise ValueError(f"{name} holds a feature index beyond its {X.shape[1]} columns: the matrix is malformed")
        if not finite:
            assert_all_finite(X.data, input_name=name)


def check_matrix(estimator: Any, X: Any, y: Any, *, reset: bool, n_threads: int = 1) -> tuple[Any, Any]:
    """Check X and y as scikit-learn does; returns a canonical CSR matrix or a C-ordered array of float32 or float64.

    CSR float32 and C-ordered dense input is not copied. Rows with unsorted or repeated indices are canonicalised in a
    copy.
    """
    sparse = sp.issparse(X)
    options: dict[str, Any] = {
        "accept_sparse": "csr",
        "dtype": [np.float64, np.float32],
        "order": "C",
        "accept_large_sparse": True,
        "reset": reset,
        "ensure_all_finite": not sparse,
    }
    X, y = validate_data(estimator, X, y, **options)
    if sparse:
        _check_nonzeros(X, n_threads, "Input X")
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
    return X, y
