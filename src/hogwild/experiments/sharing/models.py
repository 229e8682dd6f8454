"""The model that the experiment trains: a linear one by plain SGD, on any engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from hogwild import SGDClassifier
from hogwild.engine.engines import Engine

ALPHA, EPOCHS = 1e-5, 3
STEPS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def make_model(
    engine: str | Engine, eta0: float, n_jobs: int = 1, *, epochs: int = EPOCHS, seed: int = 0
) -> SGDClassifier:
    """Make a support vector machine without intercept, which every row would touch."""
    return SGDClassifier(
        alpha=ALPHA,
        max_iter=epochs,
        tol=None,
        random_state=seed,
        learning_rate="invscaling",
        power_t=0.25,
        eta0=eta0,
        fit_intercept=False,
        n_jobs=n_jobs,
        engine=engine,
    )


def objective(model: SGDClassifier, X: Any, y: np.ndarray) -> float:
    """Mean hinge loss plus penalty."""
    coef = np.asarray(model.coef_[0], np.float64)
    return float(np.maximum(0, 1 - y * (X @ coef)).mean() + 0.5 * ALPHA * np.square(coef).sum())


def fitted_objective(model: SGDClassifier, X: Any, y: np.ndarray) -> float | None:
    """Fit, and return the objective; None where training diverged."""
    try:
        return objective(model.fit(X, y), X, y)
    except ValueError as error:
        if "Floating-point" not in str(error):
            raise
        return None


def tune_step(X: Any, y: np.ndarray, seed: int) -> float:
    """Return the step size with the lowest objective on one thread."""
    found = {eta0: fitted_objective(make_model("sequential", eta0, seed=seed), X, y) for eta0 in STEPS}
    return min(STEPS, key=lambda eta0: np.inf if found[eta0] is None else found[eta0])
