"""How well scores of items rank what users choose: precision, recall and NDCG at k, and the area under the ROC curve.

Items that a user is known to have chosen already (`seen`) take no part. Users are worked on in blocks, so that memory
stays small; users without a relevant item are left out of the means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.stats import rankdata
from sklearn.metrics import ndcg_score

BLOCK_CELLS = 1 << 22  # scores in memory at a time
Scores = np.ndarray | Callable[[np.ndarray], np.ndarray]


class Ranking(NamedTuple):
    """Means over users.

    Attributes
    ----------
    precision, recall : float
        Share of the first k items that are relevant, and of the relevant items that are among the first k.
    ndcg : float
        Normalised discounted cumulative gain of the first k.
    auc : float
        Share of pairs of a relevant and another item that stand in the right order; ties count half.
    n_users : int
        Users with a relevant item.
    """

    precision: float
    recall: float
    ndcg: float
    auc: float
    n_users: int


class _Block(NamedTuple):
    scores: np.ndarray  # -inf for what is seen
    relevant: np.ndarray  # bool
    seen: np.ndarray  # bool


def evaluate(scores: Scores, relevant, seen=None, k: int = 10) -> Ranking:
    """Compute all measures at once.

    Parameters
    ----------
    scores : ndarray of shape (n_users, n_items), or callable
        Larger is better; ``scores(users)`` returns the rows of these user numbers.
    relevant : sparse matrix or array of shape (n_users, n_items)
        Entries other than 0 are relevant, except those that are seen.
    seen : sparse matrix or array of shape (n_users, n_items), optional
        Entries (of an array: other than 0) take no part.
    k : int, default=10

    Returns
    -------
    Ranking

    Raises
    ------
    ValueError
        If shapes differ, k is below 1, scores are not finite, or no user has a relevant item.

    References
    ----------
    K. Jarvelin, J. Kekalainen. Cumulated gain-based evaluation of IR techniques. ACM TOIS 20, 2002 (NDCG).

    Examples
    --------
    >>> import numpy as np
    >>> from hogwild.ranking import evaluate
    >>> scores, relevant, seen = np.array([[3.0, 2.0, 1.0, 0.0]]), np.array([[0, 1, 0, 0]]), np.array([[1, 0, 0, 0]])
    >>> evaluate(scores, relevant, seen, k=2)
    Ranking(precision=0.5, recall=1.0, ndcg=1.0, auc=1.0, n_users=1)
    """
    totals, n_users = np.zeros(4), 0
    for block in _blocks(scores, relevant, seen, k):
        hits, wanted = _hits(block, k), block.relevant.sum(axis=1)
        totals += (hits.sum() / k, (hits / wanted).sum(), _ndcg(block, k), _auc(block).sum())
        n_users += len(hits)
    if not n_users:
        raise ValueError("found no user with a relevant item that is not seen, expected at least one")
    return Ranking(*(totals / n_users).tolist(), n_users)


def precision_at_k(scores: Scores, relevant, seen=None, k: int = 10) -> float:
    """Mean share of each user's first `k` items that are relevant; parameters as in `evaluate`."""
    return evaluate(scores, relevant, seen, k).precision


def recall_at_k(scores: Scores, relevant, seen=None, k: int = 10) -> float:
    """Mean share of each user's relevant items among the first `k`; parameters as in `evaluate`."""
    return evaluate(scores, relevant, seen, k).recall


def ndcg_at_k(scores: Scores, relevant, seen=None, k: int = 10) -> float:
    """Mean normalised discounted cumulative gain of the first `k`; parameters as in `evaluate`."""
    return evaluate(scores, relevant, seen, k).ndcg


def auc(scores: Scores, relevant, seen=None) -> float:
    """Mean area under each user's ROC curve; parameters as in `evaluate`."""
    return evaluate(scores, relevant, seen).auc


def top(scores: np.ndarray, n: int) -> np.ndarray:
    """Columns of the `n` largest scores of each row, the largest first (of equals, the lower column first)."""
    n = min(n, scores.shape[1])
    chosen = np.argpartition(-scores, n - 1, axis=1)[:, :n] if n < scores.shape[1] else None
    if chosen is None:
        return np.argsort(-scores, axis=1, kind="stable")
    chosen.sort(axis=1)
    order = np.argsort(-np.take_along_axis(scores, chosen, axis=1), axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1)


def _blocks(scores: Scores, relevant, seen, k: int) -> Iterator[_Block]:
    relevant = sp.csr_matrix(relevant)
    shape = relevant.shape
    seen = sp.csr_matrix(shape) if seen is None else sp.csr_matrix(seen)
    if seen.shape != shape or (not callable(scores) and np.shape(scores) != shape):
        found = "" if callable(scores) else f"scores of shape {np.shape(scores)}, "
        raise ValueError(f"found {found}relevant of shape {shape} and seen of shape {seen.shape}, expected the same")
    if k < 1:
        raise ValueError(f"k must be at least 1, found {k!r}")
    users = np.flatnonzero(np.diff(relevant.indptr))
    size = max(1, BLOCK_CELLS // max(1, shape[1]))
    for start in range(0, len(users), size):
        rows = users[start : start + size]
        found = np.array(scores(rows) if callable(scores) else scores[rows], dtype=np.float64)
        if found.shape != (len(rows), shape[1]):
            raise ValueError(f"found scores of shape {found.shape}, expected {(len(rows), shape[1])}")
        if not np.isfinite(found).all():
            raise ValueError("found scores that are not finite, expected numbers")
        known = np.zeros(found.shape, bool)
        part = seen[rows].tocoo()
        known[part.row, part.col] = True
        wanted = (relevant[rows].toarray() != 0) & ~known
        found[known] = -np.inf
        kept = wanted.any(axis=1)
        if kept.any():
            yield _Block(found[kept], wanted[kept], known[kept])


def _hits(block: _Block, k: int) -> np.ndarray:
    return np.take_along_axis(block.relevant, top(block.scores, k), axis=1).sum(axis=1)


def _ndcg(block: _Block, k: int) -> float:
    """Sum over users."""
    if block.scores.shape[1] == 1:
        return float(len(block.scores))
    lowest = block.scores[np.isfinite(block.scores)].min() - 1.0
    finite = np.where(block.seen, lowest, block.scores)
    return len(finite) * ndcg_score(block.relevant.astype(np.int64), finite, k=k, ignore_ties=True)


def _auc(block: _Block) -> np.ndarray:
    """By each user; 1/2 for one with no other item than relevant ones."""
    n_seen, n_wanted = block.seen.sum(axis=1), block.relevant.sum(axis=1)
    n_others = block.scores.shape[1] - n_seen - n_wanted
    ranks = rankdata(block.scores, axis=1)  # what is seen comes first
    above = (ranks * block.relevant).sum(axis=1) - n_wanted * (n_wanted + 1) / 2.0 - n_wanted * n_seen
    return np.where(n_others > 0, above / np.maximum(n_wanted * n_others, 1), 0.5)
