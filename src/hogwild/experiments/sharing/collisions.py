"""Do collisions regularise? Training and test loss where a model can learn its rows by heart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hogwild import SGDClassifier
from hogwild.data import make_rcv1_like
from hogwild.engine import Delayed, Shared, Simulated
from hogwild.engine.engines import Engine
from hogwild.experiments.findings import Finding, Measured, Picture, Remark, Setting, Statement
from hogwild.experiments.sharing.kernels import lossy_epoch
from hogwild.report.parts import Lines

ROWS, TEST_ROWS, FEATURES = 1_000, 4_000, 10_000
ETA, EPOCHS = 4.0, (1, 2, 4, 8, 16, 32, 64)
RARE = 0.001
SHARES = (RARE, 0.01, 0.1, 0.5, 0.9)
DRAWN = ("one thread", "half of the updates lost", "9 of 10 updates lost", "steps a tenth as long")
NOTHING_LOST = "one thread"


class Losses(NamedTuple):
    """Log loss on the training and the test rows, and the share of test rows that are wrong."""

    train: float
    test: float
    error: float


class Problem(NamedTuple):
    """Rows of a seed."""

    X: Any
    y: np.ndarray
    X_test: Any
    y_test: np.ndarray
    seed: int


def make_problem(seed: int) -> Problem:
    """Make a thousand rows to learn from, of ten thousand features, and rows to test on."""
    X, y = make_rcv1_like(ROWS + TEST_ROWS, FEATURES, random_state=seed)
    return Problem(X[:ROWS], y[:ROWS], X[ROWS:], y[ROWS:], seed)


def losses_of(coef: np.ndarray, problem: Problem) -> Losses:
    """Measure a model."""
    train, test = problem.y * (problem.X @ coef), problem.y_test * (problem.X_test @ coef)
    return Losses(
        float(np.logaddexp(0, -train).mean()), float(np.logaddexp(0, -test).mean()), float((test <= 0).mean())
    )


def engine_path(problem: Problem, engine: str | Engine, n_jobs: int = 1) -> list[Losses]:
    """Losses after each number of epochs, steps run by an engine."""
    found = []
    for epochs in EPOCHS:
        model = SGDClassifier(
            loss="log_loss",
            alpha=1e-9,
            max_iter=epochs,
            tol=None,
            random_state=problem.seed,
            learning_rate="constant",
            eta0=ETA,
            fit_intercept=False,
            n_jobs=n_jobs,
            engine=engine,
        )
        found.append(losses_of(np.asarray(model.fit(problem.X, problem.y).coef_[0], np.float64), problem))
    return found


def lossy_path(problem: Problem, share: float, eta: float = ETA) -> list[Losses]:
    """Losses after each number of epochs on one thread; each update of a weight is lost with probability `share`."""
    rng, X = np.random.default_rng(problem.seed), problem.X
    w, y = np.zeros(X.shape[1]), problem.y.astype(np.float64)
    state, found = np.uint64(problem.seed + 1), []
    indptr, indices = X.indptr.astype(np.uint64), X.indices.astype(np.uint32)
    for epoch in range(1, EPOCHS[-1] + 1):
        order = rng.permutation(len(y)).astype(np.uint64)
        state = np.uint64(lossy_epoch(indptr, indices, X.data, y, order, w, eta, share, state))
        if epoch in EPOCHS:
            found.append(losses_of(w, problem))
    return found


def variants(threads: int) -> dict[str, Callable[[Problem], list[Losses]]]:
    """Ways to train, by name; all but the last ones are exact and repeatable."""
    names = {0.5: "half of the updates lost", 0.9: "9 of 10 updates lost"}
    ways: dict[str, Callable[[Problem], list[Losses]]] = {NOTHING_LOST: lambda problem: lossy_path(problem, 0.0)}
    for share in SHARES:
        name = names.get(share, f"1 of {round(1 / share):,} updates lost")
        ways[name] = lambda problem, share=share: lossy_path(problem, share)
    ways["steps half as long"] = lambda problem: lossy_path(problem, 0.0, ETA / 2)
    ways["steps a tenth as long"] = lambda problem: lossy_path(problem, 0.0, ETA / 10)
    for tau in (16, 64):
        ways[f"steps {tau} rows late"] = lambda problem, tau=tau: engine_path(problem, Delayed(tau))
    for rule in ("damped", "mean"):
        ways[f"16 replicas, {rule}"] = lambda problem, rule=rule: engine_path(problem, Simulated(16, 16, merge=rule))
    if threads > 1:
        for count in sorted({threads, 2 * threads}):
            ways[f"{count} threads, shared"] = lambda problem, count=count: engine_path(problem, Shared(), count)
    return ways


def measure_collisions(setting: Setting) -> tuple[list[Finding], list[Statement]]:
    """Train in all ways on several seeds; compare each with one thread on the same rows."""
    n_seeds = min(12, setting.rows(60, 4))
    paths: dict[str, np.ndarray] = {}
    problems = [make_problem(setting.seed + k) for k in range(n_seeds)]
    for name, way in variants(setting.threads).items():
        setting.say(f"training and test loss: {name}")
        paths[name] = np.array([way(problem) for problem in problems])  # seed, epochs, losses
    mean = {name: path.mean(axis=0) for name, path in paths.items()}
    rows = []
    for name, path in paths.items():
        train, test, error = mean[name][-1]
        apart = path[:, -1] - paths[NOTHING_LOST][:, -1]
        spread = apart.std(axis=0, ddof=1) / np.sqrt(n_seeds)
        rows.append(
            [name, train, test, test - train, apart[:, 1].mean(), spread[1], 100 * error, 100 * spread[2]]
            if name != NOTHING_LOST
            else [name, train, test, test - train, None, None, 100 * error, None]
        )
    last = {name: Losses(*values[-1]) for name, values in mean.items()}
    one, rare, most = last[NOTHING_LOST], last["1 of 1,000 updates lost"], last["9 of 10 updates lost"]
    half, shorter, shortest = (
        last[name] for name in ("half of the updates lost", "steps half as long", "steps a tenth as long")
    )
    parts: list[Finding] = [
        Remark(
            f"Do collisions regularise? {ROWS:,} documents with {FEATURES:,} features, no penalty, {EPOCHS[-1]} "
            "epochs: a model that learns its rows by heart, so that anything that holds it back helps. Collisions as a "
            "dial: one thread on which each update of a weight is lost with a given probability, as when another "
            "thread overwrites it; steps that come late; replicas. Beside them, what needs no collision: shorter steps."
        ),
        Measured(
            "collisions",
            f"Training and test log loss after {EPOCHS[-1]} epochs",
            {
                "way": "",
                "training": ".4f",
                "test": ".4f",
                "gap": ".4f",
                "test, against one thread": "+.4f",
                "standard error": ".4f",
                "test error, %": ".2f",
                "its standard error": ".2f",
            },
            rows,
            f"Means over {n_seeds} seeds (rows, labels and order); standard errors of the differences to one thread on "
            "the same seed. Threads differ from run to run.",
        ),
        Picture(
            "collisions",
            Lines(
                "Test loss on the way to learning rows by heart",
                f"log loss on the training rows, from {EPOCHS[0]} epoch to {EPOCHS[-1]} (right to left)",
                "log loss on test rows",
                {name: (mean[name][:, 0].tolist(), mean[name][:, 1].tolist()) for name in DRAWN},
                log_x=True,
            ),
        ),
    ]
    return parts, [
        Statement(
            "Collisions as rare as one update in a thousand lower the test loss by one percent or more",
            bool(rare.test < 0.99 * one.test),
            "the article, which says that the rare collision acts like regularisation",
        ),
        Statement(
            "With nine of ten updates lost the gap between test and training loss is smaller after as many epochs",
            bool(most.test - most.train < 0.95 * (one.test - one.train)),
        ),
        Statement(
            "Lost updates lower the test loss further than shorter steps do (half, or a tenth as long)",
            bool(half.test < shorter.test and most.test < shortest.test),
        ),
        Statement(
            "Steps that come 16 rows late change the test loss by less than one percent",
            bool(abs(last["steps 16 rows late"].test - one.test) < 0.01 * one.test),
        ),
    ]
