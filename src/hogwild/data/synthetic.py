"""Made-up data with the shape of real data: sparse text with planted labels, and a small linear regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from hogwild.compiled import inlined, kernel

ZIPF_EXPONENT = 0.9
LENGTH_SPREAD = 0.7  # standard deviation of the logarithm of a row's length
PLANTED_DENSITY = 0.3  # part of the features that bear on the label
LABEL_NOISE = 0.35  # scale of the logistic noise, in standard deviations of the planted margin
_DRAWS = 1 << 21  # tokens drawn at a time: bounds the memory beside the result


def make_rcv1_like(
    n_rows: int = 200_000,
    n_features: int = 47_236,
    row_length: int = 75,
    random_state: int | np.random.Generator | None = 0,
    dtype: Any = np.float32,
    n_classes: int = 2,
) -> tuple[sp.csr_matrix, np.ndarray]:
    """Make sparse rows like the documents of RCV1, with labels from a planted sparse linear model.

    Row lengths are lognormal, features follow Zipf's law under shuffled numbers, values look like TF-IDF, rows have the
    Euclidean norm 1. The labels carry logistic noise: no classifier reaches an accuracy of 1.

    Parameters
    ----------
    n_rows : int, default=200_000
        Number of rows.
    n_features : int, default=47_236
        Number of columns; ``2**22`` works as well.
    row_length : int, default=75
        Mean number of tokens drawn for a row. Repeated tokens fall together: 75 leave about 66 nonzeros.
    random_state : int, numpy.random.Generator or None, default=0
        Seed; None draws another one at each call.
    dtype : dtype, default=numpy.float32
        Type of the values, float32 or float64.
    n_classes : int, default=2
        Number of classes. Two are named -1 and 1, more are numbered from 0.

    Returns
    -------
    X : scipy.sparse.csr_matrix of shape (n_rows, n_features)
        Rows with sorted, unique indices.
    y : numpy.ndarray of shape (n_rows,)
        Labels, int64.

    Examples
    --------
    >>> from hogwild.data.synthetic import make_rcv1_like
    >>> X, y = make_rcv1_like(n_rows=1_000, n_features=500)
    >>> X.shape, sorted(set(y.tolist()))
    ((1000, 500), [-1, 1])
    """
    for name, value, least in (
        ("n_rows", n_rows, 1),
        ("n_features", n_features, 1),
        ("row_length", row_length, 1),
        ("n_classes", n_classes, 2),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value!r}")
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {dtype}")
    rng = np.random.default_rng(random_state)
    X = _zipf_rows(rng, n_rows, n_features, row_length, dtype)
    return X, _planted_labels(rng, X, n_classes)


def _zipf_rows(rng: np.random.Generator, n_rows: int, n_features: int, row_length: int, dtype: Any) -> sp.csr_matrix:
    lengths = rng.lognormal(np.log(row_length) - 0.25, LENGTH_SPREAD, n_rows)
    lengths = np.clip(lengths, max(1, row_length // 15), max(1, row_length * 20 // 3)).astype(np.int64)
    probabilities = np.arange(1, n_features + 1, dtype=np.float64) ** -ZIPF_EXPONENT
    probabilities /= probabilities.sum()
    rarity = -np.log(probabilities).astype(dtype) if n_features > 1 else np.ones(1, dtype)
    cumulated = np.cumsum(probabilities, out=probabilities)
    guide = np.searchsorted(cumulated, np.arange(n_features) / n_features).astype(np.uint32)
    number = rng.permutation(n_features).astype(np.uint32)

    drawn = int(lengths.sum())
    index_dtype = np.int32 if drawn < 2**31 else np.int64
    indices, values = np.empty(drawn, np.int32), np.empty(drawn, dtype)  # pages never written take no memory
    indptr = np.zeros(n_rows + 1, np.int64)
    bounds = np.searchsorted(np.cumsum(lengths), np.arange(_DRAWS, drawn + _DRAWS, _DRAWS), side="right")
    first = 0
    for last in np.maximum(bounds, np.arange(1, len(bounds) + 1)).clip(max=n_rows):
        count = int(lengths[first:last].sum())
        _fill_rows(
            rng.random(count),
            rng.standard_exponential(count, dtype=dtype),
            lengths[first:last],
            cumulated,
            guide,
            rarity,
            number,
            indptr[first : last + 1],
            indices.view(np.uint32),
            values,
        )
        first = last
    indices.resize(indptr[-1], refcheck=False)
    values.resize(indptr[-1], refcheck=False)
    X = sp.csr_matrix((n_rows, n_features), dtype=dtype)  # filled by hand: the constructor would check and copy
    X.data, X.indices, X.indptr = values, indices.astype(index_dtype, copy=False), indptr.astype(index_dtype)
    X.has_sorted_indices = X.has_canonical_format = True
    return X


@inlined
def _zipf_rank(u, cumulated, guide):
    """Rank of a uniform number: the guide leads next to it."""
    rank = guide[np.uint64(u * guide.size)]
    while cumulated[rank] < u and rank + np.uint32(1) < cumulated.size:
        rank += np.uint32(1)
    return rank


@kernel
def _fill_rows(uniform, exponential, lengths, cumulated, guide, rarity, number, indptr, indices, values):
    """Write rows from ``indptr[0]`` on: draw, sort by insertion, drop repeats, normalise."""
    drawn = np.uint64(0)
    start = np.uint64(indptr[0])
    for row in range(np.uint64(lengths.size)):
        stop = start
        norm = 0.0
        for _ in range(lengths[row]):
            rank = _zipf_rank(uniform[drawn], cumulated, guide)
            feature = number[rank]
            value = rarity[rank] * (1 + exponential[drawn] / 2)
            drawn += np.uint64(1)
            place = stop
            while place > start and indices[place - np.uint64(1)] > feature:
                place -= np.uint64(1)
            if place > start and indices[place - np.uint64(1)] == feature:
                continue
            move = stop
            while move > place:
                indices[move] = indices[move - np.uint64(1)]
                values[move] = values[move - np.uint64(1)]
                move -= np.uint64(1)
            indices[place] = feature
            values[place] = value
            norm += value * value
            stop += np.uint64(1)
        scale = 1 / np.sqrt(norm)
        for place in range(start, stop):
            values[place] *= scale
        indptr[row + np.uint64(1)] = stop
        start = stop


def _planted_labels(rng: np.random.Generator, X: sp.csr_matrix, n_classes: int) -> np.ndarray:
    n_rows, n_features = X.shape

    def margin() -> np.ndarray:
        weights = rng.standard_normal(n_features, dtype=X.dtype)
        weights[rng.random(n_features, dtype=np.float32) >= PLANTED_DENSITY] = 0
        score = X @ weights
        return (score - np.median(score)) / (score.std() or 1)

    if n_classes == 2:
        return np.where(margin() + LABEL_NOISE * rng.logistic(size=n_rows) > 0, 1, -1)
    best, y = np.full(n_rows, -np.inf), np.zeros(n_rows, np.int64)
    for label in range(n_classes):  # one class at a time; a difference of two Gumbel variables is logistic
        score = margin() + LABEL_NOISE * rng.gumbel(size=n_rows)
        y[score > best] = label
        np.maximum(best, score, out=best)
    return y


def make_sparse_regression(
    n_rows: int = 20_000,
    n_features: int = 10,
    density: float = 0.2,
    noise: float = 0.0,
    random_state: int | np.random.Generator | None = 0,
    sparse: bool = True,
    dtype: Any = np.float64,
) -> tuple[sp.csr_matrix | np.ndarray, np.ndarray, np.ndarray]:
    """Make the data of "Implementing Async SGD in Python": linear regression with uniform weights in [0, 1).

    Parameters
    ----------
    n_rows : int, default=20_000
        Number of rows.
    n_features : int, default=10
        Number of columns.
    density : float, default=0.2
        Part of the entries that are not zero; these are uniform in [0, 1).
    noise : float, default=0.0
        Standard deviation of the Gaussian noise in `y`.
    random_state : int, numpy.random.Generator or None, default=0
        Seed; None draws another one at each call.
    sparse : bool, default=True
        Return `X` as a CSR matrix, else as an array.
    dtype : dtype, default=numpy.float64
        Type of all that is returned.

    Returns
    -------
    X : scipy.sparse.csr_matrix or numpy.ndarray of shape (n_rows, n_features)
        The examples.
    y : numpy.ndarray of shape (n_rows,)
        ``X @ coef`` plus noise.
    coef : numpy.ndarray of shape (n_features,)
        The true weights.

    Examples
    --------
    >>> from hogwild.data.synthetic import make_sparse_regression
    >>> X, y, coef = make_sparse_regression(n_rows=100)
    >>> bool(abs(X @ coef - y).max() == 0)
    True
    """
    if not 0 <= density <= 1:
        raise ValueError(f"density must lie in [0, 1], got {density!r}")
    if noise < 0:
        raise ValueError(f"noise must not be negative, got {noise!r}")
    rng = np.random.default_rng(random_state)
    coef = rng.random(n_features).astype(dtype)
    cells = n_rows * n_features
    filled = np.sort(rng.choice(cells, round(density * cells), replace=False, shuffle=False))
    rows, columns = np.divmod(filled, n_features)
    indptr = np.searchsorted(rows, np.arange(n_rows + 1))
    index_dtype = np.int32 if len(filled) < 2**31 else np.int64
    X = sp.csr_matrix(
        (rng.random(len(filled)).astype(dtype), columns.astype(index_dtype), indptr.astype(index_dtype)),
        shape=(n_rows, n_features),
    )
    X.has_sorted_indices = X.has_canonical_format = True
    y = X @ coef
    if noise:
        y += (noise * rng.standard_normal(n_rows)).astype(dtype)
    return (X if sparse else X.toarray()), y, coef
