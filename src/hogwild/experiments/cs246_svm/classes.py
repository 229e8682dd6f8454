"""Twenty classes: one against the rest, and all weight vectors at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from hogwild import LinearSVC, SGDClassifier
from hogwild.data.synthetic import make_rcv1_like
from hogwild.experiments.cs246_svm.problem import seconds_of
from hogwild.experiments.findings import Findings, Measured, Remark, Setting, Statement

ROWS, CLASSES, FEATURES = 200_000, 20, 1_000  # fewer features than RCV1: each class has few rows
LAMBDA = 1e-4
EPOCHS = 10


def run(setting: Setting) -> Findings:
    """Fit the same rows in each way."""
    n_rows = setting.rows(ROWS, 8_000)
    n_test = max(1_000, n_rows // 10)
    setting.say(f"classes: making {n_rows + n_test:,} documents")
    X, y = make_rcv1_like(n_rows + n_test, FEATURES, random_state=setting.seed, dtype=np.float64, n_classes=CLASSES)
    rows = []
    for name, model in _models(setting, n_rows).items():
        setting.say(f"classes: {name}")
        _fit(model, X[:2000], y[:2000])
        seconds, model = _fit(model, X[:n_rows], y[:n_rows])
        errors = [1 - model.score(X[:n_rows], y[:n_rows]), 1 - model.score(X[n_rows:], y[n_rows:])]
        rows.append([name, seconds, *map(float, errors)])
    errors = {name: test for name, _, _, test in rows}
    chance = 1 - float(np.bincount(y[n_rows:]).max()) / n_test
    return Findings(_parts(rows, n_rows, n_test, chance), _statements(errors, chance))


def _models(setting: Setting, n_rows: int) -> dict[str, Any]:
    sgd = {"alpha": LAMBDA, "tol": None, "max_iter": EPOCHS, "random_state": 0, "fit_intercept": False}
    dual = {"C": 1 / (LAMBDA * n_rows), "tol": 1e-2, "max_iter": 100, "random_state": 0, "fit_intercept": False}
    return {
        "one against the rest, SGD": SGDClassifier(**sgd),
        "Crammer-Singer, SGD": SGDClassifier(multi_class="crammer_singer", **sgd),
        "multinomial, SGD": SGDClassifier(loss="log_loss", multi_class="multinomial", **sgd),
        "one against the rest, dual": LinearSVC(loss="hinge", **dual),
        "Crammer-Singer, dual": LinearSVC(multi_class="crammer_singer", **dual),
    }


def _fit(model: Any, X: Any, y: np.ndarray) -> tuple[float, Any]:
    return seconds_of(lambda: model.fit(X, y))


def _parts(rows: list, n_rows: int, n_test: int, chance: float) -> list:
    return [
        Remark(
            f"Twenty classes: one against all the others, or all weight vectors at once (Crammer and Singer: the right "
            f"class must win by a margin of 1 over every other; multinomial: softmax). Made-up documents of "
            f"{FEATURES:,} features, also where other data are given; the largest class alone would leave "
            f"{chance:.0%} errors."
        ),
        Measured(
            "classes",
            "Twenty classes",
            {"method": "", "seconds": ".3g", "train error": ".2%", "test error": ".2%"},
            rows,
            f"{n_rows:,} rows to train on, {n_test:,} to test, lambda {LAMBDA:g}, one thread, one run each. "
            f"SGD: {EPOCHS} epochs. Dual: until the gap is 1 % of the objective. Hinge, but multinomial: log loss.",
        ),
    ]


def _statements(errors: dict[str, float], chance: float) -> list[Statement]:
    one, together = errors["one against the rest, dual"], errors["Crammer-Singer, dual"]
    return [
        Statement(
            "With twenty classes each way makes far fewer errors than the largest class alone would",
            max(errors.values()) < 0.8 * chance,
        ),
        Statement(
            "One against the rest and Crammer-Singer have test errors within five points of each other",
            abs(one - together) < 0.05,
        ),
    ]
