"""Scores as libffm rounds them, from weights as its model files hold them."""

from __future__ import annotations

import numpy as np

from hogwild.compiled import strict_kernel
from hogwild.steps.rows import SparseFieldRows


def libffm_scores(weights: np.ndarray, rows: SparseFieldRows) -> np.ndarray:
    """Return the scores of rows (before the logistic function), summed in libffm's order: the digits are its own.

    Every fourth factor is summed up by itself, over all pairs of a row, and nothing is fused or regrouped: of 1,500
    probabilities of libffm's 1,499 have the same six digits, where sums in any order give 1,468.

    Parameters
    ----------
    weights : ndarray of float32, shape (n_features, n_fields, n_quads, 2, 4)
        As in `hogwild.data.libffm_model.LibffmModel`.
    rows : SparseFieldRows
        Entries of features and fields beyond the weights are left out.

    Returns
    -------
    ndarray of float32, shape (n_rows,)
    """
    scores = np.empty(len(rows.indptr) - 1, np.float32)
    _score(weights, rows, scores)
    return scores


@strict_kernel
def _score(weights, rows, scores):
    n, m, one = np.uint64(weights.shape[0]), np.uint64(weights.shape[1]), np.uint64(1)
    for i in range(np.uint64(scores.size)):
        t0, t1, t2, t3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        norm = rows.norms[i] if rows.norms.size else np.float32(1)
        stop = rows.indptr[i + one]
        for a in range(rows.indptr[i], stop):
            ja, fa = np.uint64(rows.indices[a]), np.uint64(rows.fields[a])
            if ja >= n or fa >= m:
                continue
            for c in range(a + one, stop):
                jc, fc = np.uint64(rows.indices[c]), np.uint64(rows.fields[c])
                if jc >= n or fc >= m:
                    continue
                v = rows.values[a] * rows.values[c] * norm
                for q in range(np.uint64(weights.shape[2])):
                    first, second = weights[ja, fc, q, 0], weights[jc, fa, q, 0]
                    t0 += first[0] * second[0] * v
                    t1 += first[1] * second[1] * v
                    t2 += first[2] * second[2] * v
                    t3 += first[3] * second[3] * v
        scores[i] = (t0 + t1) + (t2 + t3)
