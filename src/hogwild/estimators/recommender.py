"""What a fitted factorisation answers: predictions, scores, rankings, recommendations, items that are alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from numbers import Integral

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from hogwild.estimators.interactions import Interactions, as_ids, find_ids, read_interactions, shown
from hogwild.estimators.matrix_task import EXPLICIT
from hogwild.ranking import BLOCK_CELLS, Ranking, auc, evaluate, top
from hogwild.steps.matrix import padded, score_pairs


class Recommender:
    """Answers of an estimator with `users_`, `items_`, `mean_`, and rows of factors in ``_state``."""

    # ------------------------------------------------------------------------------------------ scores

    def _scores(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Scores of numbered users and items; those beyond the last are unknown: their bias and factors are 0."""
        factors, n_users = self._state.arrays["factors"], len(self.users_)
        last = len(factors) - 1
        first = np.where(users < n_users, users, last).astype(np.uint32)
        second = np.where(items < len(self.items_), items + n_users, last).astype(np.uint32)
        scores = np.empty(len(first), np.float32)
        score_pairs(first, second, factors, np.uint64(padded(self.n_factors)), 0.0, scores)
        return scores * np.float32(self._scale) + np.float32(self.mean_)

    def _rating_score(self, values: np.ndarray, found: np.ndarray) -> float:
        errors = found - values
        if self.loss == "absolute":
            return -float(np.abs(errors).mean())
        return -math.sqrt(float(np.mean(errors * errors)))

    def predict(self, users, items=None):
        """Predict ratings, or scores of choices.

        Parameters
        ----------
        users, items : array-like of shape (n,), or `users` alone as in `fit`
            A user or item that `fit` has not seen has bias 0 and factors of 0: what is left is the other's bias and
            the mean.

        Returns
        -------
        ndarray of float32, shape (n,)
            Of ``"logistic"`` the log odds, of ``"bpr"`` scores whose order within a user matters.
        """
        check_is_fitted(self)
        data = read_interactions(users, items)
        return self._scores(find_ids(self.users_, data.users, "users"), find_ids(self.items_, data.items, "items"))

    def score_items(self, users):
        """Scores of all items (columns in the order of `items_`) for each of `users`.

        Parameters
        ----------
        users : array-like of shape (n,)

        Returns
        -------
        ndarray of float32, shape (n, n_items)
        """
        check_is_fitted(self)
        return self._score_items(find_ids(self.users_, as_ids(users, "users"), "users"))

    def _score_items(self, users: np.ndarray) -> np.ndarray:
        factors, n_users, stop = self._state.arrays["factors"], len(self.users_), padded(self.n_factors)
        rows = factors[np.where(users < n_users, users, len(factors) - 1)]
        items = factors[n_users:-1]
        scores = rows[:, 1:stop] @ items[:, 1:stop].T
        scores += items[:, 0]
        scores += rows[:, :1]
        return scores * np.float32(self._scale) + np.float32(self.mean_)

    def score(self, users, items=None, values=None):
        """Score of rows, larger is better.

        Minus the root mean squared error of ``"squared"``, minus the mean absolute error of ``"absolute"``; of choices
        the mean area under the ROC curve of the users in the rows (`rank`).

        Parameters
        ----------
        users, items, values : as in `fit`

        Returns
        -------
        float
        """
        check_is_fitted(self)
        data = read_interactions(users, items, values)
        if self.loss in EXPLICIT:
            if data.values is None or not len(data):
                raise ValueError("found no values, expected a rating for each pair")
            return self._rating_score(data.values, self.predict(data.users, data.items))
        return auc(self._score_items, *self._relevant(data))

    def rank(self, users, items=None, values=None, *, k=10) -> Ranking:
        """Rank the items that users have not seen in `fit`, and compare with what they chose in these rows.

        Parameters
        ----------
        users, items, values : as in `fit`
            Rows with a value of 0 or less are left out, as are unknown users and items and what `fit` has seen.
        k : int, default=10

        Returns
        -------
        hogwild.ranking.Ranking
            Precision, recall and NDCG of the first k, and AUC; means over users.
        """
        check_is_fitted(self)
        return evaluate(self._score_items, *self._relevant(read_interactions(users, items, values)), k=k)

    def _relevant(self, data: Interactions) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """What users chose in the rows, and what they have seen."""
        users, items = find_ids(self.users_, data.users, "users"), find_ids(self.items_, data.items, "items")
        shape = len(self.users_), len(self.items_)
        kept = (users < shape[0]) & (items < shape[1])
        if data.values is not None:
            kept &= data.values > 0
        chosen = sp.csr_matrix((np.ones(kept.sum(), np.int8), (users[kept], items[kept])), shape)
        indptr, seen = (array.astype(np.int64) for array in self._seen)
        return chosen, sp.csr_matrix((np.ones(len(seen), np.int8), seen, indptr), shape)

    # ------------------------------------------------------------------------------------------ recommending

    def recommend(self, users, n=10, exclude_seen=True):
        """Return the items with the best scores.

        Parameters
        ----------
        users : id, or array-like of shape (n_users,)
            For a user that `fit` has not seen, items are ranked by their biases.
        n : int, default=10
        exclude_seen : bool, default=True
            Whether to leave out the items of the user's rows in `fit`.

        Returns
        -------
        items : ndarray of shape (n,) or (n_users, n)
            Ids, the best first; for one user fewer than `n` where fewer are left.
        scores : ndarray of float32 of the same shape
            As of `predict`; of several users, -inf in places that no item is left for.
        """
        check_is_fitted(self)
        _check_n(n)
        single = np.ndim(users) == 0
        numbers = find_ids(self.users_, as_ids([users] if single else users, "users"), "users")
        seen = self._seen if exclude_seen else None
        found, scores = best_items(numbers, self._score_items, len(self.items_), n, seen)
        if not single:
            return self.items_[found], scores
        left = np.isfinite(scores[0])
        return self.items_[found[0][left]], scores[0][left]

    def similar_items(self, items, n=10):
        """Return the items whose factors have the largest cosine to those of an item, itself left out.

        Parameters
        ----------
        items : id, or array-like of shape (n_items,)
        n : int, default=10

        Returns
        -------
        items : ndarray of shape (n,) or (n_items, n)
        cosines : ndarray of float32 of the same shape

        Raises
        ------
        ValueError
            For an item that `fit` has not seen.
        """
        check_is_fitted(self)
        _check_n(n)
        single = np.ndim(items) == 0
        given = as_ids([items] if single else items, "items")
        numbers = find_ids(self.items_, given, "items")
        unknown = np.flatnonzero(numbers == len(self.items_))
        if len(unknown):
            raise ValueError(f"found the item {shown(given[unknown[0]])}, expected one that the model was fitted with")
        factors = self._state.arrays["factors"][len(self.users_) : -1, 1 : padded(self.n_factors)]
        found, cosines = nearest(factors, numbers, n)
        return (self.items_[found[0]], cosines[0]) if single else (self.items_[found], cosines)

    def seen_items(self, user):
        """Return the ids of the items of a user's rows in `fit`, ascending; none for an unknown user."""
        check_is_fitted(self)
        number = find_ids(self.users_, as_ids([user], "users"), "users")
        return self.items_[seen_cells(*self._seen, number)[1]]


def _check_n(n: int) -> None:
    if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
        raise ValueError(f"n must be a whole number of at least 1, found {n!r}")


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
    users: np.ndarray, score_items: Callable, n_items: int, n: int, seen: tuple[np.ndarray, np.ndarray] | None
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
