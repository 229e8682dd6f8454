"""Matrix factorisation: MovieLens 100k and made-up ratings beside a plain Numba loop, simple baselines and `implicit`.

Fits of whole runs, in turn within one process; times are the least of the repetitions, on an idle machine.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numba import njit
from tables import SHARED, console, recorded, say, show

from hogwild import MatrixFactorization
from hogwild.data.files import read_bytes
from hogwild.engine import Shared
from hogwild.ranking import evaluate


class Ratings(NamedTuple):
    """Numbered users and items with their ratings, to train on and to test with."""

    n_users: int
    n_items: int
    train: tuple[np.ndarray, np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray, np.ndarray]


def split(users: np.ndarray, items: np.ndarray, values: np.ndarray, seed: int) -> Ratings:
    """Hold out a random tenth of the rows."""
    order = np.random.default_rng(seed).permutation(len(users))
    rows = [tuple(array[part] for array in (users, items, values)) for part in np.split(order, [len(order) * 9 // 10])]
    return Ratings(int(users.max()) + 1, int(items.max()) + 1, *rows)


def movielens() -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Users, items and ratings of MovieLens 100k, numbered from 0; None where the file is absent."""
    path = SHARED / "ml-100k.u.data.xz"
    if not path.exists():
        return None
    data = np.loadtxt(io.BytesIO(bytes(read_bytes(path))), dtype=np.int64)
    return data[:, 0] - 1, data[:, 1] - 1, data[:, 2].astype(np.float64)


def made_up(n_rows: int, n_users: int, n_items: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw ratings of planted factors; items are chosen by a power law."""
    rng = np.random.default_rng(0)
    users = rng.integers(0, n_users, n_rows)
    items = rng.permutation(n_items)[(n_items * rng.random(n_rows) ** 2.5).astype(np.int64)]
    p, q = rng.normal(size=(n_users, 8)) / 2, rng.normal(size=(n_items, 8)) / 2
    scores = 3.5 + 0.4 * rng.normal(size=n_users)[users] + 0.4 * rng.normal(size=n_items)[items]
    values = scores + np.einsum("ij,ij->i", p[users], q[items]) + 0.7 * rng.normal(size=n_rows)
    return users, items, values


# ------------------------------------------------------------------------------------------------ the plain loop


@njit(nogil=True, cache=True)
def _plain_epoch(order, users, items, targets, bias, other_bias, p, q, sums, alpha, eta):
    bias_sums, other_bias_sums, p_sums, q_sums = sums
    total = 0.0
    for row in order:
        u, i = users[row], items[row]
        score = bias[u] + other_bias[i]
        for f in range(p.shape[1]):
            score += p[u, f] * q[i, f]
        error = score - targets[row]
        total += error * error
        gradient = error + alpha * bias[u]
        bias_sums[u] += gradient * gradient
        bias[u] -= eta * gradient / np.sqrt(bias_sums[u])
        gradient = error + alpha * other_bias[i]
        other_bias_sums[i] += gradient * gradient
        other_bias[i] -= eta * gradient / np.sqrt(other_bias_sums[i])
        for f in range(p.shape[1]):
            a, b = p[u, f], q[i, f]
            first, second = error * b + alpha * a, error * a + alpha * b
            p_sums[u, f] += first * first
            q_sums[i, f] += second * second
            p[u, f] -= eta * first / np.sqrt(p_sums[u, f])
            q[i, f] -= eta * second / np.sqrt(q_sums[i, f])
    return total


def plain(data: Ratings, seed: int, n_factors: int, epochs: int) -> tuple[float, float]:
    """Fit the same model by an ``@njit`` loop; returns RMSE and seconds an epoch (without the order's draw)."""
    rng = np.random.default_rng(seed)
    users, items, values = data.train
    mean, scale = values.mean(), values.std()
    f32 = np.float32
    bias, other = np.zeros(data.n_users, f32), np.zeros(data.n_items, f32)
    p, q = (rng.normal(scale=0.1, size=(n, n_factors)).astype(f32) for n in (data.n_users, data.n_items))
    sums = tuple(np.full(array.shape, 0.1, f32) for array in (bias, other, p, q))
    targets, best = ((values - mean) / scale).astype(f32), np.inf
    for _ in range(epochs):
        order = rng.permutation(len(users))
        began = time.perf_counter()
        _plain_epoch(order, users, items, targets, bias, other, p, q, sums, f32(0.1), f32(0.05))
        best = min(best, time.perf_counter() - began)
    users, items, values = data.test
    found = mean + scale * (bias[users] + other[items] + np.einsum("ij,ij->i", p[users], q[items]))
    return float(np.sqrt(np.mean((found - values) ** 2))), best


# ------------------------------------------------------------------------------------------------ ratings


def ours(data: Ratings, seed: int, **parameters: Any) -> tuple[float, float]:
    """Fit ours; returns RMSE and seconds an epoch of the whole fit."""
    fits = MatrixFactorization(random_state=seed, **parameters)
    seconds = [time.perf_counter()]
    fits.set_params(callback=lambda progress: (progress.epoch_ended and seconds.append(time.perf_counter())) or False)
    fits.fit(*data.train)
    return -fits.score(*data.test), float(np.diff(seconds)[1:].min())  # the first epoch holds preparation


def ratings_table(name: str, rows: tuple, seeds: int, repeat: int, epochs: int, n_factors: int = 31) -> None:
    """Print RMSE and epoch times."""
    common = {"max_iter": epochs, "n_factors": n_factors}
    fits: dict[str, Callable] = {
        "plain @njit, 1 thread": lambda data, seed: plain(data, seed, n_factors, epochs),
        "hogwild, 1 thread": lambda data, seed: ours(data, seed, **common),
        "hogwild, 2 threads": lambda data, seed: ours(data, seed, n_jobs=2, **common),
        "hogwild, 2 threads, shared": lambda data, seed: ours(data, seed, n_jobs=2, engine=Shared(), **common),
    }
    found: dict[str, list] = {fit: [] for fit in fits}
    for seed in range(seeds):
        data = split(*rows, seed)
        for _ in range(repeat):
            for fit, run in fits.items():
                found[fit].append((seed, *run(data, seed)))
    least = {fit: min(seconds for *_, seconds in runs) for fit, runs in found.items()}
    table = []
    for fit, runs in found.items():
        errors = [np.mean([rmse for at, rmse, _ in runs if at == seed]) for seed in range(seeds)]
        table.append(
            {
                "fit": fit,
                "RMSE": float(np.mean(errors)),
                "worst": float(max(errors)),
                "ms an epoch": 1e3 * least[fit],
                "ns a rating": 1e9 * least[fit] / len(data.train[0]),
                "times the plain loop": least["plain @njit, 1 thread"] / least[fit],
                "times one thread": least["hogwild, 1 thread"] / least[fit],
            }
        )
    show(f"{name}: {len(data.train[0]):,} ratings, {n_factors} factors, {seeds} splits", table)


# ------------------------------------------------------------------------------------------------ choices


def item_knn(X: sp.csr_matrix, neighbours: int) -> np.ndarray:
    """Score items by the cosines to a user's items, each item with its nearest neighbours only."""
    lengths = np.sqrt(np.asarray(X.multiply(X).sum(axis=0)).ravel())
    cosines = (X.T @ X).toarray() / np.maximum(np.outer(lengths, lengths), 1e-9)
    np.fill_diagonal(cosines, 0.0)
    least = np.sort(cosines, axis=0)[-neighbours]
    cosines[cosines < least] = 0.0
    return np.asarray(X @ cosines)


def choice_fits(epochs: int) -> dict[str, Callable[[sp.csr_matrix, int], tuple[Callable | np.ndarray, float | None]]]:
    """Fits of choices: name to what returns scores and seconds an epoch."""

    def factorise(loss: str, n_jobs: int, X: sp.csr_matrix, seed: int) -> tuple:
        model = MatrixFactorization(loss=loss, max_iter=epochs, n_jobs=n_jobs, random_state=seed)
        began = [time.perf_counter()]
        model.set_params(callback=lambda told: (told.epoch_ended and began.append(time.perf_counter())) or False)
        model.fit(X)
        return model.score_items, float(np.diff(began)[1:].min())

    def theirs(kind: str, threads: int, X: sp.csr_matrix, seed: int) -> tuple:
        import implicit
        from threadpoolctl import threadpool_limits

        settings = {"factors": 31, "iterations": epochs if kind == "bpr" else 15, "num_threads": threads}
        made = {
            "bpr": lambda: implicit.bpr.BayesianPersonalizedRanking(random_state=seed, **settings),
            "als": lambda: implicit.als.AlternatingLeastSquares(random_state=seed, **settings),
        }
        with threadpool_limits(1):
            model = made[kind]()
            began = time.perf_counter()
            model.fit(X, show_progress=False)
            seconds = (time.perf_counter() - began) / settings["iterations"]
        return np.asarray(model.user_factors) @ np.asarray(model.item_factors).T, seconds

    fits: dict[str, Callable] = {
        "popularity": lambda X, seed: (np.tile(np.asarray(X.sum(axis=0)).ravel(), (X.shape[0], 1)), None),
        "item-kNN, cosine, 20": lambda X, seed: (item_knn(X, 20), None),
        "item-kNN, cosine, 100": lambda X, seed: (item_knn(X, 100), None),
    }
    for loss in ("bpr", "logistic"):
        for n_jobs in (1, 2):
            fits[f"hogwild {loss}, {n_jobs} thread{'s' * (n_jobs > 1)}"] = lambda X, seed, a=loss, b=n_jobs: factorise(
                a, b, X, seed
            )
    try:
        import implicit  # noqa: F401
    except ImportError:
        say("implicit is not installed: its rows are left out")
        return fits
    for kind in ("bpr", "als"):
        for n in (1, 2):
            fits[f"implicit {kind}, {n} thread{'s' * (n > 1)}"] = lambda X, seed, a=kind, b=n: theirs(a, b, X, seed)
    return fits


def choices_table(name: str, rows: tuple, seeds: int, epochs: int) -> None:
    """Print how well choices are ranked, and epoch times."""
    table = []
    fits = choice_fits(epochs)
    found: dict[str, list] = {fit: [] for fit in fits}
    seconds: dict[str, list] = {fit: [] for fit in fits}
    for seed in range(seeds):
        data = split(*rows, seed)
        shape = data.n_users, data.n_items
        X, held_out = (
            sp.csr_matrix((np.ones(len(users), np.float32), (users, items)), shape)
            for users, items, _ in (data.train, data.test)
        )
        for fit, run in fits.items():
            scores, taken = run(X, seed)
            found[fit].append(evaluate(scores, held_out, X))
            seconds[fit].append(taken)
    for fit, measures in found.items():
        mean = np.mean([measure[:4] for measure in measures], axis=0)
        table.append(
            {
                "fit": fit,
                "ms an epoch": None if seconds[fit][0] is None else 1e3 * min(seconds[fit]),
                "AUC": float(mean[3]),
                "precision@10": float(mean[0]),
                "recall@10": float(mean[1]),
                "NDCG@10": float(mean[2]),
                "precision, +-": float(np.std([measure.precision for measure in measures])),
            }
        )
    show(f"{name}: {X.nnz:,} choices, 31 factors, {epochs} epochs (ALS: 15), {seeds} splits", table)


@recorded
def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small data, one split")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=10_000_000, help="made-up ratings")
    options = parser.parse_args()
    seeds, repeat = (1, 1) if options.quick else (options.seeds, 3)
    rows = movielens()
    name = "MovieLens 100k"
    if rows is None or options.quick:
        console.print("MovieLens is left out" if options.quick else "MovieLens is not here: made-up ratings")
        rows, name = made_up(20_000, 500, 300), "made-up ratings"
    ratings_table(name, rows, seeds, repeat, 20)
    choices_table(name, rows, seeds, 5 if options.quick else 60)
    if not options.quick:
        ratings_table("made-up", made_up(options.rows, options.rows // 200, options.rows // 1_000), 1, 2, 5)


if __name__ == "__main__":
    main()
