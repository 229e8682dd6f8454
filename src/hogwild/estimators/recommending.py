"""What a factorisation recommends: items for users, and items like an item, in blocks of scores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hogwild.ranking import BLOCK_CELLS, top


def _parts(n: int, n_items: int) -> Iterator[slice]:
    size = max(1, BLOCK_CELLS // max(1, n_items))
    for start in range(0, n, size):
        yield slice(start, min(n, start + size))


def seen_cells(indptr: np.ndarray, items: np.ndarray, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (row in `users`, item) of what these users have seen; a number beyond the last user has seen nothing."""
    known = users < len(indptr) - 1
    at = np.where(known, users, 0)
    starts, counts = indptr[at].astype(np.int64), np.where(known, indptr[at + 1] - indptr[at], 0).astype(np.int64)
    rows = np.repeat(np.arange(len(users)), counts)
    places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(starts, counts)
    return rows, items[places]


def best_items(
    users: np.ndarray, score_items, n_items: int, n: int, seen: tuple[np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and scores of the `n` best items of each user; -inf where a user has fewer that are not seen."""
    n = min(n, n_items)
    found, scores = np.empty((len(users), n), np.int64), np.empty((len(users), n), np.float32)
    for part in _parts(len(users), n_items):
        block = score_items(users[part])
        if seen is not None:
            block[seen_cells(*seen, users[part])] = -np.inf
        found[part] = top(block, n)
        scores[part] = np.take_along_axis(block, found[part], axis=1)
    return found, scores


def nearest(vectors: np.ndarray, chosen: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `vectors` with the largest cosine to the rows `chosen`, themselves left out; 0 for rows of zeros."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    unit = vectors / np.where(lengths > 0, lengths, 1.0)[:, None]
    n = min(n, len(vectors) - 1)
    found, scores = np.empty((len(chosen), n), np.int64), np.empty((len(chosen), n), np.float32)
    for part in _parts(len(chosen), len(vectors)):
        block = unit[chosen[part]] @ unit.T
        block[np.arange(len(block)), chosen[part]] = -np.inf
        found[part] = top(block, n) if n else found[part]
        scores[part] = np.take_along_axis(block, found[part], axis=1)
    return found, scores
