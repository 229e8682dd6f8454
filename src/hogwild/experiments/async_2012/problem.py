"""What all parts learn: logistic regression on documents, a step size, and what one worker makes of them."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from hogwild import DivergedError, SGDClassifier
from hogwild.experiments.findings import Setting
from hogwild.experiments.text_rows import load_documents

ALPHA, EPOCHS = 1e-6, 3
LEAST_ROWS = 20_000  # with fewer, 64 workers would have no rows between two exchanges
TRIED_ROWS = 20_000
POWERS = range(-5, 6)  # of three: the step sizes that are tried
# with the best one the last losses of one and the same setting differ by a tenth from seed to seed: too much to compare
SMALLER = 9
JUDGES = 4_096  # rows that the loss of simulated jobs is followed on
FEW_ROWS = 50_000  # with fewer, workers exchange half as often: simulations cost by the exchange


class Problem(NamedTuple):
    """Rows, the step size of every part, and the loss of one worker after all epochs."""

    X: Any
    y: np.ndarray
    eta0: float
    alone: float
    about: str

    @property
    def n_rows(self) -> int:
        """Rows of one epoch."""
        return self.X.shape[0]

    @property
    def phases(self) -> int:
        """Phases of a worker of 16, in the time in which all together step through every row `EPOCHS` times."""
        return 16 if self.n_rows < FEW_ROWS else 32

    @property
    def phase_rows(self) -> int:
        """Rows of such a phase."""
        return max(1, self.n_rows * EPOCHS // (16 * self.phases))

    def estimator(self, epochs: int = EPOCHS, **changes: Any) -> SGDClassifier:
        """Make the estimator that all parts train."""
        return make_estimator(self.eta0, epochs, **changes)


def make_estimator(eta0: float, epochs: int = EPOCHS, **changes: Any) -> SGDClassifier:
    """Logistic regression by SGD."""
    return SGDClassifier(
        "log_loss",
        alpha=ALPHA,
        learning_rate="invscaling",
        power_t=0.25,
        eta0=eta0,
        max_iter=epochs,
        tol=None,
        random_state=0,
        **changes,
    )


def log_loss(model: SGDClassifier, X: Any, y: np.ndarray) -> float:
    """Mean log loss of all rows, without penalty."""
    margins = np.where(y > 0, 1, -1) * (X @ model.coef_[0].astype(np.float64) + model.intercept_[0])
    return float(np.logaddexp(0, -margins).mean())


def fitted_loss(model: SGDClassifier, X: Any, y: np.ndarray) -> float:
    """Fit and return the log loss of all rows; infinite where the model diverges."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return log_loss(model.fit(X, y), X, y)
    except DivergedError:
        return np.inf


def best_eta0(X: Any, y: np.ndarray) -> float:
    """Step size, a power of three, with which one worker reaches the lowest loss on the first rows."""
    X, y = X[:TRIED_ROWS], y[:TRIED_ROWS]
    return min((3.0**power for power in POWERS), key=lambda eta0: fitted_loss(make_estimator(eta0, 2), X, y))


def load_problem(setting: Setting) -> Problem:
    """Make or read the documents, choose the step size and train one worker."""
    documents = load_documents(setting, LEAST_ROWS)
    X, y = documents.X, documents.y
    setting.say("choosing the step size")
    best = best_eta0(X, y)
    eta0 = best / SMALLER
    alone = fitted_loss(make_estimator(eta0), X, y)
    about = (
        f"Data: {documents.about}. Step size {eta0:.3g} / t^(1/4), a ninth of what is best for one worker on "
        f"{min(TRIED_ROWS, len(y)):,} rows (losses are then even enough to compare). All losses are mean log losses of "
        f"training rows; one thread alone has {alone:.4f} after {EPOCHS} epochs."
    )
    return Problem(X, y, eta0, alone, about)
