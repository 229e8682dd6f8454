"""Compile the kernels of the usual models, so that an image has them in its cache."""

from __future__ import annotations

import time

import numpy as np

from hogwild import FFMClassifier, FMClassifier, SGDClassifier, SGDRegressor
from hogwild.data import make_rcv1_like


def main() -> None:
    """Fit each of them to a few rows, on one thread and on two."""
    begun = time.perf_counter()
    X, y = make_rcv1_like(2_000, 500, random_state=0)
    fields = np.arange(X.shape[1]) % 8
    for jobs in (1, 2):
        for schedule in ("adagrad", "optimal"):
            SGDClassifier(loss="log_loss", learning_rate=schedule, eta0=0.3, max_iter=2, tol=None, n_jobs=jobs).fit(
                X, y
            )
        SGDRegressor(max_iter=2, tol=None, n_jobs=jobs).fit(X, y.astype(np.float64))
        FMClassifier(max_iter=2, tol=None, n_jobs=jobs).fit(X, y)
        FFMClassifier(fields=fields, max_iter=2, tol=None, n_jobs=jobs).fit(X, y)
    print(f"kernels compiled in {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
