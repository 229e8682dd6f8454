"""Factorisation machines beside a plain Numba loop and a linear model: seconds an epoch, validation log loss.

The made-up click log (`hogwild.data.make_click_log`) as sparse rows without fields, k = 8, AdaGrad. The rival is the
same step written as plain loops under ``@njit``, which visits the rows in a random order as ours does.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from numba import njit
from sklearn.metrics import log_loss
from tables import recorded, show

from hogwild import FMClassifier, SGDClassifier
from hogwild.data import make_click_log

K, ETA, ALPHA = 8, 0.1, 2e-5


@njit(nogil=True)
def plain_epoch(indptr, indices, values, y, order, bias, w, v, eta, alpha):
    """One epoch of AdaGrad steps; parameters and their sums of squares side by side."""
    total, sums = 0.0, np.empty(K)
    for i in order:
        start, stop = indptr[i], indptr[i + 1]
        score = bias[0]
        for f in range(K):
            s = q = 0.0
            for j in range(start, stop):
                x = v[indices[j], f, 0] * values[j]
                s += x
                q += x * x
            sums[f] = s
            score += 0.5 * (s * s - q)
        for j in range(start, stop):
            score += w[indices[j], 0] * values[j]
        total += np.log1p(np.exp(-y[i] * score))
        slope = -y[i] / (1.0 + np.exp(y[i] * score))
        bias[1] += slope * slope
        bias[0] -= eta * slope / np.sqrt(bias[1])
        for j in range(start, stop):
            feature, x = indices[j], values[j]
            g = slope * x + alpha * w[feature, 0]
            w[feature, 1] += g * g
            w[feature, 0] -= eta * g / np.sqrt(w[feature, 1])
            for f in range(K):
                old = v[feature, f, 0]
                g = slope * x * (sums[f] - old * x) + alpha * old
                v[feature, f, 1] += g * g
                v[feature, f, 0] = old - eta * g / np.sqrt(v[feature, f, 1])
    return total / len(order)


def run_plain(X, y: np.ndarray, epochs: int, rng: np.random.Generator) -> list[float]:
    """Seconds of each epoch of the plain loop."""
    bias, w = np.array([0.0, 1.0], np.float32), np.zeros((X.shape[1], 2), np.float32)
    v = np.ones((X.shape[1], K, 2), np.float32)
    v[:, :, 0] = 0.01 * rng.standard_normal((X.shape[1], K))
    w[:, 1] = 1
    seconds = []
    for _ in range(epochs):
        order = rng.permutation(X.shape[0])
        began = time.perf_counter()
        plain_epoch(X.indptr, X.indices, X.data, y, order, bias, w, v, np.float32(ETA), np.float32(ALPHA))
        seconds.append(time.perf_counter() - began)
    return seconds


def fitted(X, y: np.ndarray, epochs: int, n_jobs: int, seed: int, **given) -> FMClassifier:
    """Fit ours."""
    settings = {"n_factors": K, "eta0": ETA, "alpha": ALPHA, "normalize": True, "max_iter": epochs, **given}
    return FMClassifier(n_jobs=n_jobs, random_state=seed, **settings).fit(X, y)


def loss_of(model, X, y: np.ndarray) -> float:
    """Mean log loss of validation rows."""
    return float(log_loss(y, model.predict_proba(X)[:, 1]))


@recorded
def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000, help="training rows; a tenth more validate")
    parser.add_argument("--features", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    batch = make_click_log(options.rows + options.rows // 10, 39, options.features, random_state=7)
    X, y = batch.matrix(options.features), np.asarray(batch.labels)
    X.sum_duplicates()
    X_train, y_train, X_valid, y_valid = X[: options.rows], y[: options.rows], X[options.rows :], y[options.rows :]
    for n_jobs in (1, 2):
        fitted(X_train[:2_000], y_train[:2_000], 1, n_jobs, 0)  # compiles
    run_plain(X_train[:100], np.ones(100, np.float32), 1, np.random.default_rng(0))
    targets = np.where(y_train > 0, 1, -1).astype(np.float32)
    plain, ours = [], {1: [], 2: []}
    for _ in range(options.repeat):
        plain += run_plain(X_train, targets, 1, np.random.default_rng(0))
        for n_jobs, seconds in ours.items():
            model = fitted(X_train, y_train, options.epochs, n_jobs, 0)
            seconds.append(model.step_seconds_ / model.n_iter_)
    one = min(ours[1])
    show(
        f"Factorisation machine, {options.rows:,} rows x 39 of {options.features:,}, k = {K}: seconds an epoch",
        [
            {"program": "plain @njit loops", "seconds": min(plain), "times plain": 1.0, "times one thread": None},
            *(
                {
                    "program": f"hogwild, {n} thread{'s' * (n > 1)}",
                    "seconds": min(seconds),
                    "times plain": min(plain) / min(seconds),
                    "times one thread": one / min(seconds),
                }
                for n, seconds in ours.items()
            ),
        ],
    )
    linear = SGDClassifier(loss="log_loss", learning_rate="adagrad", alpha=1e-6, max_iter=options.epochs, tol=None)

    def losses(fit: Callable[[int], object]) -> list[float]:
        return [loss_of(fit(seed), X_valid, y_valid) for seed in range(options.seeds)]

    found = {
        "logistic regression": losses(lambda seed: linear.set_params(random_state=seed).fit(X_train, y_train)),
        "hogwild FM, 1 thread": losses(lambda seed: fitted(X_train, y_train, options.epochs, 1, seed)),
        "hogwild FM, 2 threads": losses(lambda seed: fitted(X_train, y_train, options.epochs, 2, seed)),
    }
    show(
        f"Validation log loss after {options.epochs} epochs, {options.seeds} seeds",
        [
            {"model": name, "mean": f"{np.mean(some):.5f}", "standard deviation": f"{statistics.pstdev(some):.5f}"}
            for name, some in found.items()
        ],
    )


if __name__ == "__main__":
    main()
