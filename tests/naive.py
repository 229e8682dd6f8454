"""Slow, obvious twins of the compiled steps: plain Python and NumPy in float64, one row after the other.

Written from the definitions (docstrings, papers, scikit-learn), not from the kernels. A matrix is dense here; `present`
says which entries a sparse matrix stores. Several classes are as many separate fits, one against the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

# ---------------------------------------------------------------------------------------------- losses of one score


def sign(x: float) -> float:
    return math.copysign(1.0, x) if x else 0.0


@dataclass(frozen=True)
class Loss:
    """Value and derivative by the score `p`; `kinks(y, a)` are the scores where the derivative jumps or bends."""

    value: Callable[[float, float, float], float]
    derivative: Callable[[float, float, float], float]
    kinks: Callable[[float, float], list[float]]
    parameter: float | str = 0.0  # or the name of the estimator's parameter
    margin: bool = False
    smooth: bool = True  # whether the derivative is continuous


def log_loss(y: float, p: float, a: float) -> float:
    z = y * p
    return math.log1p(math.exp(-z)) if z > 0 else math.log1p(math.exp(z)) - z


def log_loss_derivative(y: float, p: float, a: float) -> float:
    z = y * p
    return -y * math.exp(-z) / (1 + math.exp(-z)) if z > 0 else -y / (1 + math.exp(z))


def hinge_derivative(y: float, p: float, a: float) -> float:
    return -y if y * p <= a else 0.0


def exp(p: float) -> float:
    return math.exp(p) if p < 700 else math.inf


LOSSES = {
    "hinge": Loss(
        lambda y, p, a: max(0.0, 1.0 - y * p), hinge_derivative, lambda y, a: [y], 1.0, margin=True, smooth=False
    ),
    "perceptron": Loss(
        lambda y, p, a: max(0.0, -y * p), hinge_derivative, lambda y, a: [0.0], 0.0, margin=True, smooth=False
    ),
    "log_loss": Loss(log_loss, log_loss_derivative, lambda y, a: [], margin=True),
    "modified_huber": Loss(
        lambda y, p, a: max(0.0, 1.0 - y * p) ** 2 if y * p >= -1.0 else -4.0 * y * p,
        lambda y, p, a: -2.0 * y * max(0.0, 1.0 - y * p) if y * p >= -1.0 else -4.0 * y,
        lambda y, a: [y, -y],
        margin=True,
    ),
    "squared_hinge": Loss(
        lambda y, p, a: max(0.0, 1.0 - y * p) ** 2,
        lambda y, p, a: -2.0 * y * max(0.0, 1.0 - y * p),
        lambda y, a: [y],
        1.0,
        margin=True,
    ),
    "squared_error": Loss(lambda y, p, a: (p - y) ** 2 / 2.0, lambda y, p, a: p - y, lambda y, a: []),
    "huber": Loss(
        lambda y, p, a: (p - y) ** 2 / 2.0 if abs(p - y) <= a else a * abs(p - y) - a * a / 2.0,
        lambda y, p, a: p - y if abs(p - y) <= a else a * sign(p - y),
        lambda y, a: [y - a, y + a],
        "epsilon",
    ),
    "epsilon_insensitive": Loss(
        lambda y, p, a: max(0.0, abs(y - p) - a),
        lambda y, p, a: sign(p - y) if abs(p - y) > a else 0.0,
        lambda y, a: [y - a, y + a],
        "epsilon",
        smooth=False,
    ),
    "squared_epsilon_insensitive": Loss(
        lambda y, p, a: max(0.0, abs(y - p) - a) ** 2,
        lambda y, p, a: 2.0 * sign(p - y) * max(0.0, abs(p - y) - a),
        lambda y, a: [y - a, y + a],
        "epsilon",
    ),
    "quantile": Loss(
        lambda y, p, a: a * max(y - p, 0.0) + (1.0 - a) * max(p - y, 0.0),
        lambda y, p, a: -a if p < y else (1.0 - a if p > y else 0.0),
        lambda y, a: [y],
        "quantile",
        smooth=False,
    ),
    "poisson": Loss(lambda y, p, a: exp(p) - y * p, lambda y, p, a: exp(p) - y, lambda y, a: []),
}


# ---------------------------------------------------------------------------------------------- step sizes


@dataclass(frozen=True)
class Settings:
    """Parameters of a fit, with the estimators' names and meanings."""

    loss: str = "hinge"
    penalty: str | None = "l2"
    alpha: float = 1e-4
    l1_ratio: float = 0.15
    learning_rate: str = "optimal"
    eta0: float = 0.01
    power_t: float = 0.5
    decay: float = 0.9
    beta: float = 1.0
    epsilon: float = 0.1
    quantile: float = 0.5
    fit_intercept: bool = True
    intercept_decay: float = 1.0
    average: int = 0

    @property
    def parameter(self) -> float:
        fixed = LOSSES[self.loss].parameter
        return getattr(self, fixed) if isinstance(fixed, str) else fixed

    @property
    def strength(self) -> float:
        return 0.0 if self.penalty is None else self.alpha

    @property
    def l1_share(self) -> float:
        return {"l1": 1.0, "elasticnet": self.l1_ratio}.get(self.penalty, 0.0)


def optimal_t0(s: Settings) -> float:
    """Bottou's heuristic: the first step is of the size of a typical weight."""
    typical = math.sqrt(1.0 / math.sqrt(s.alpha))
    slope = LOSSES[s.loss].derivative(1.0, -typical, s.parameter)
    return 1.0 / (typical / max(1.0, slope) * s.alpha)


def step_size(s: Settings, t: float, epoch: int = 0) -> float:
    """Step size of the row with clock `t`, from 1, in `epoch`, from 0."""
    if s.learning_rate == "optimal":
        return 1.0 / (s.alpha * (optimal_t0(s) + t - 1.0))
    if s.learning_rate == "invscaling":
        return s.eta0 / t**s.power_t
    if s.learning_rate == "epoch_decay":
        return s.eta0 * s.decay**epoch
    if s.learning_rate == "search":
        return s.eta0 / (1.0 + s.alpha * s.eta0 * (t - 1.0))
    return s.eta0


# ---------------------------------------------------------------------------------------------- penalties of one weight


def soft_threshold(weight: float, by: float) -> float:
    return sign(weight) * max(0.0, abs(weight) - by)


def elastic_net_step(weight: float, strength: float, l1_share: float) -> float:
    """Minimiser v of (v - weight)^2 / 2 + strength (l1_share |v| + (1 - l1_share) v^2 / 2)."""
    return soft_threshold(weight, strength * l1_share) / (1.0 + strength * (1.0 - l1_share))


# ---------------------------------------------------------------------------------------------- update rules


class PlainSgd:
    """Scale, step, then L1 by cumulative truncation (Tsuruoka, Tsujii, Ananiadou 2009)."""

    def __init__(self, n_features: int, settings: Settings) -> None:
        self.s = settings
        self.w, self.b = np.zeros(n_features), 0.0
        self.owed = 0.0  # u: L1 that any weight could have received
        self.received = np.zeros(n_features)  # q: what each weight has received, with its sign

    def row(self, x, present, y, eta, class_weight, row_weight) -> float:
        s, loss = self.s, LOSSES[self.s.loss]
        p = float(self.w @ x) + self.b
        value = loss.value(y, p, s.parameter)
        if s.learning_rate in ("pa1", "pa2"):
            change = self.passive_aggressive(x, y, p, value) * class_weight * row_weight
        else:
            slope = min(max(loss.derivative(y, p, s.parameter), -1e12), 1e12)
            change = -eta * slope * class_weight * row_weight
        self.w *= max(1e-6, 1.0 - eta * s.strength * (1.0 - s.l1_share))
        self.w += change * x
        if s.fit_intercept:
            self.b += change * s.intercept_decay
        self.owed += s.l1_share * eta * s.strength
        self.truncate(np.flatnonzero(present))
        return value

    def passive_aggressive(self, x, y, p, value) -> float:
        """Crammer et al. 2006: the smallest change of w that mends this row, held back by C = eta0."""
        norm = float(x @ x)
        towards = y if LOSSES[self.s.loss].margin else sign(y - p)
        if self.s.learning_rate == "pa1":
            return towards * min(self.s.eta0, value / norm) if norm else 0.0
        return towards * value / (norm + 0.5 / self.s.eta0)

    def truncate(self, features: Iterable[int]) -> None:
        if not self.s.l1_share:
            return
        for j in features:
            before = self.w[j]
            if before > 0:
                self.w[j] = max(0.0, before - (self.owed + self.received[j]))
            elif before < 0:
                self.w[j] = min(0.0, before + (self.owed - self.received[j]))
            self.received[j] += self.w[j] - before

    def settle(self) -> None:
        self.truncate(range(len(self.w)))


class AdaGrad:
    """Duchi, Hazan, Singer 2011, with the penalty as one implicit step each time a weight is touched."""

    def __init__(self, n_features: int, settings: Settings) -> None:
        self.s = settings
        self.w, self.b = np.zeros(n_features), 0.0
        self.squares, self.b_squares = np.zeros(n_features), 0.0
        self.owed, self.taken = 0.0, np.zeros(n_features)

    def row(self, x, present, y, eta, class_weight, row_weight) -> float:
        s, loss = self.s, LOSSES[self.s.loss]
        self.owed += eta * s.strength
        self.shrink(np.flatnonzero(present))
        p = float(self.w @ x) + self.b
        slope = min(max(loss.derivative(y, p, s.parameter), -1e12), 1e12) * class_weight * row_weight
        for j in np.flatnonzero(present):
            g = slope * x[j]
            if g:
                self.squares[j] += g * g
                self.w[j] -= eta * g / math.sqrt(self.squares[j])
        if s.fit_intercept and slope:
            self.b_squares += slope * slope
            self.b -= eta * slope / math.sqrt(self.b_squares) * s.intercept_decay
        return loss.value(y, p, s.parameter)

    def shrink(self, features: Iterable[int]) -> None:
        for j in features:
            if self.squares[j] > 0:
                strength = (self.owed - self.taken[j]) / math.sqrt(self.squares[j])
                self.w[j] = elastic_net_step(self.w[j], strength, self.s.l1_share)
            self.taken[j] = self.owed

    def settle(self) -> None:
        self.shrink(range(len(self.w)))


class Ftrl:
    """FTRL-proximal, McMahan et al. 2013, algorithm 1; lambda_1 and lambda_2 grow by alpha with each row."""

    def __init__(self, n_features: int, settings: Settings) -> None:
        self.s = settings
        self.z, self.n = np.zeros(n_features + 1), np.zeros(n_features + 1)  # the intercept comes last
        self.t = 0

    def weights(self) -> np.ndarray:
        s, found = self.s, np.zeros(len(self.z))
        for j, (z, n) in enumerate(zip(self.z, self.n, strict=True)):
            total = 0.0 if j == len(self.z) - 1 else s.strength * self.t
            l1, l2 = total * s.l1_share, total * (1.0 - s.l1_share)
            if abs(z) > l1:
                found[j] = -(z - sign(z) * l1) / ((s.beta + math.sqrt(n)) / s.eta0 + l2)
        return found

    @property
    def w(self) -> np.ndarray:
        return self.weights()[:-1]

    @property
    def b(self) -> float:
        return float(self.weights()[-1])

    def row(self, x, present, y, eta, class_weight, row_weight) -> float:
        s, loss = self.s, LOSSES[self.s.loss]
        self.t += 1
        weights = self.weights()
        p = float(weights[:-1] @ x) + weights[-1]
        slope = min(max(loss.derivative(y, p, s.parameter), -1e12), 1e12) * class_weight * row_weight
        gradient = slope * np.append(x, s.intercept_decay if s.fit_intercept else 0.0)
        sigma = (np.sqrt(self.n + gradient**2) - np.sqrt(self.n)) / s.eta0
        self.z += gradient - sigma * weights
        self.n += gradient**2
        return loss.value(y, p, s.parameter)

    def settle(self) -> None:
        pass


RULES = {"adagrad": AdaGrad, "ftrl": Ftrl}


# ---------------------------------------------------------------------------------------------- fits


@dataclass
class Fitted:
    coef: np.ndarray
    intercept: np.ndarray
    loss_curve: list[float]
    t: int
    objectives: list[float] = field(default_factory=list)


def penalty_value(s: Settings, coef: np.ndarray) -> float:
    return s.strength * float(np.sum(s.l1_share * np.abs(coef) + (1.0 - s.l1_share) * coef**2 / 2.0))


def fit(
    X: np.ndarray,
    targets: np.ndarray,
    settings: Settings,
    *,
    n_epochs: int,
    present: np.ndarray | None = None,
    row_weights: np.ndarray | None = None,
    class_weights: tuple[float, float] = (1.0, 1.0),
    orders: list[np.ndarray] | None = None,
    settle_after: tuple[int, ...] = (),
) -> Fitted:
    """One column: the rows of nonzero weight in file order or in `orders`; `class_weights` are (y <= 0, y > 0).

    At the end all features receive the penalty that they have not had yet; and, where `settle_after` names epochs (from
    0), at the end of these too.
    """
    s = settings
    present = np.ones(X.shape, bool) if present is None else present
    row_weights = np.ones(len(X)) if row_weights is None else row_weights
    model = RULES.get(s.learning_rate, PlainSgd)(X.shape[1], s)
    t, curve, objectives = 1, [], []
    w_sum, b_sum, averaged = np.zeros(X.shape[1]), 0.0, 0
    for epoch in range(n_epochs):
        total = weight = 0.0
        for i in range(len(X)) if orders is None else orders[epoch]:
            if row_weights[i] == 0:
                continue
            y = float(targets[i])
            eta = step_size(s, t, epoch)
            loss = model.row(X[i], present[i], y, eta, class_weights[int(y > 0)], row_weights[i])
            total, weight = total + row_weights[i] * loss, weight + row_weights[i]
            if s.average and t >= s.average:
                w_sum, b_sum, averaged = w_sum + model.w, b_sum + model.b, averaged + 1
            t += 1
        curve.append(total / weight)
        if epoch in settle_after:
            model.settle()
        objectives.append(curve[-1] + penalty_value(s, model.w))
    if averaged:
        return Fitted(w_sum / averaged, np.array([b_sum / averaged]), curve, t, objectives)
    model.settle()
    return Fitted(model.w.copy(), np.array([model.b]), curve, t, objectives)


def fit_classes(
    X: np.ndarray,
    y: np.ndarray,
    settings: Settings,
    *,
    class_weight: dict | None = None,
    **options,
) -> Fitted:
    """Classifier: two classes are one column of -1 and +1, more are one column each against the rest."""
    classes = np.unique(y)
    weight = {c: (class_weight or {}).get(c, 1.0) for c in classes}
    if len(classes) == 2:
        both = (weight[classes[0]], weight[classes[1]])
        fitted = fit(X, np.where(y == classes[1], 1.0, -1.0), settings, class_weights=both, **options)
        return Fitted(fitted.coef[None, :], fitted.intercept, fitted.loss_curve, fitted.t, fitted.objectives)
    columns = [
        fit(X, np.where(y == c, 1.0, -1.0), settings, class_weights=(1.0, weight[c]), **options) for c in classes
    ]
    return Fitted(
        np.array([column.coef for column in columns]),
        np.concatenate([column.intercept for column in columns]),
        list(np.sum([column.loss_curve for column in columns], axis=0)),
        columns[0].t,
        list(np.sum([column.objectives for column in columns], axis=0)),
    )


# ---------------------------------------------------------------------------------------------- replicas in turn


def fit_replicas(
    X: np.ndarray,
    targets: np.ndarray,
    settings: Settings,
    *,
    n_epochs: int,
    n_replicas: int,
    interval: int,
    share: float,
) -> Fitted:
    """Virtual replicas that take turns of `interval` rows: step on the own copy, ``shared += share * delta``, rebase.

    All of them start an epoch from the shared copy. Sums of squares and FTRL's sums are added whole. L2 comes from the
    global row clock: what is copied are weights divided by the factor that the clock has reached. No L1, no average.
    """
    s, loss, t, curve = settings, LOSSES[settings.loss], 1, []
    rule = s.learning_rate if s.learning_rate in RULES else "sgd"
    size = X.shape[1] + 1  # the intercept comes last, with an x of 1
    shared = np.zeros((2, size))  # weights and squares; z and n
    for _ in range(n_epochs):
        copies = [shared.copy() for _ in range(n_replicas)]
        bases = [shared.copy() for _ in range(n_replicas)]
        scale, total = 1.0, 0.0
        for turn, start in enumerate(range(0, len(X), interval)):
            own, base = copies[turn % n_replicas], bases[turn % n_replicas]
            for i in range(start, min(start + interval, len(X))):
                x, y, eta = np.append(X[i], 1.0), float(targets[i]), step_size(s, t)
                if rule == "ftrl":
                    l1, l2 = s.strength * t * s.l1_share, s.strength * t * (1 - s.l1_share)
                    penalised = np.append(np.ones(size - 1), 0.0)
                    slack = np.maximum(np.abs(own[0]) - l1 * penalised, 0.0)
                    weights = -np.sign(own[0]) * slack / ((s.beta + np.sqrt(own[1])) / s.eta0 + l2 * penalised)
                else:
                    weights = own[0] * np.append(np.full(size - 1, scale), 1.0)
                p = float(weights @ x)
                total += loss.value(y, p, s.parameter)
                g = loss.derivative(y, p, s.parameter) * x
                if rule == "sgd":
                    scale *= max(1e-6, 1.0 - eta * s.strength)
                    own[0] -= eta * g / np.append(np.full(size - 1, scale), 1.0)
                elif rule == "adagrad":
                    own[1] += g**2
                    own[0] -= np.divide(eta * g, np.sqrt(own[1]), out=np.zeros(size), where=own[1] > 0)
                else:
                    own[0] += g - (np.sqrt(own[1] + g**2) - np.sqrt(own[1])) / s.eta0 * weights
                    own[1] += g**2
                t += 1
            shared[0] += (1.0 if rule == "ftrl" else share) * (own[0] - base[0])
            shared[1] += own[1] - base[1]
            own[...] = shared
            base[...] = shared
        shared[0, :-1] *= scale
        curve.append(total / len(X))
    if rule == "ftrl":
        end = Ftrl(size - 1, s)
        end.z, end.n, end.t = shared[0], shared[1], t - 1
        return Fitted(end.w, np.array([end.b]), curve, t)
    return Fitted(shared[0, :-1], shared[0, -1:], curve, t)
