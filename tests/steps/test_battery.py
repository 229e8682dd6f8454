"""The battery: every loss x learning rate x penalty of the compiled linear steps against the slow twins of naive.py.

Each of these triples is run once; what else can be chosen (targets, storage, precision, intercept, weights, average)
is dealt over them such that every pair of choices occurs.
"""

from __future__ import annotations

import functools
import itertools
import pickle
from dataclasses import dataclass, fields

import naive
import numpy as np
import pytest
import scipy.sparse as sp

from hogwild import SGDClassifier, SGDRegressor
from hogwild.engine.order import draw_order, epoch_rows

N_ROWS, N_FEATURES, EPOCHS = 300, 20, 3  # more than one chunk of 256 rows, the last one short
SETTLED = ()  # epochs, beside the last, at whose end every weight receives the lazy penalty that it is still owed
RATES = ["constant", "optimal", "invscaling", "search", "adaptive", "epoch_decay", "adagrad", "ftrl"]
PENALTIES = ["l2", "l1", "elasticnet", None]
QUANTILE = 0.75
ETA0 = {"adagrad": 0.25, "ftrl": 0.25}  # powers of two: sums of steps are the same in both precisions


@dataclass(frozen=True)
class Case:
    loss: str
    rate: str
    penalty: str | None
    target: str
    sparse: bool
    dtype: str
    intercept: bool
    row_weights: bool
    class_weights: bool
    average: int

    def __str__(self) -> str:
        shown = [self.loss, self.rate, str(self.penalty), self.target, "sparse" if self.sparse else "dense", self.dtype]
        shown += [] if self.intercept else ["no intercept"]
        shown += [name for name in ("row_weights", "class_weights") if getattr(self, name)]
        shown += [f"average {self.average}"] if self.average else []
        return "-".join(shown)


def allowed(case: Case) -> bool:
    if case.target == "numbers" and (naive.LOSSES[case.loss].margin or case.class_weights):
        return False
    if case.loss in ("quantile", "poisson") and case.target != "numbers":
        return False
    if case.rate == "ftrl" and case.average:
        return False
    if case.rate in ("pa1", "pa2"):
        return case.loss == ("epsilon_insensitive" if case.target == "numbers" else "hinge")
    return True


def pairs(case: Case) -> set:
    values = [(field.name, getattr(case, field.name)) for field in fields(case)]
    return set(itertools.combinations(values, 2))


@functools.cache
def draw_cases() -> list[Case]:
    """One case for each triple: of all that it allows, the one with most pairs that no case before it had."""
    triples = list(itertools.product(naive.LOSSES, RATES, PENALTIES))
    triples += itertools.product(["hinge", "epsilon_insensitive"], ["pa1", "pa2"], PENALTIES)
    rng = np.random.default_rng(0)
    rest = [("two", "three", "numbers"), (True, False), ("float32", "float64"), *3 * [(True, False)], (0, 1, 350)]
    rest = list(itertools.product(*rest))
    cases, seen = [], set()
    for triple in triples:
        chosen = [Case(*triple, *rest[k]) for k in rng.permutation(len(rest))]
        best = max(filter(allowed, chosen[:60]), key=lambda case: len(pairs(case) - seen))
        cases.append(best)
        seen |= pairs(best)
    return cases


@functools.cache
def problem(target: str) -> tuple[sp.csr_matrix, np.ndarray, np.ndarray]:
    """Rows of length about .7, values that float32 holds exactly; targets; row weights with zeros."""
    rng = np.random.default_rng(7)
    X = sp.random(N_ROWS, N_FEATURES, 0.3, format="csr", random_state=1)
    X.data = rng.normal(size=X.nnz)
    norms = np.maximum(np.sqrt(X.multiply(X).sum(axis=1)), 1e-9)
    X = sp.csr_matrix(X.multiply(0.7 / norms)).astype(np.float32).astype(np.float64)
    X.sort_indices()
    score = X @ rng.normal(size=(N_FEATURES, 3)) + 0.2 * rng.normal(size=(N_ROWS, 3)) + [0.3, 0.0, -0.2]
    y = {"two": (score[:, 0] > 0).astype(int), "three": score.argmax(axis=1), "numbers": np.float32(score[:, 0])}[
        target
    ]
    weights = rng.choice([0.0, 0.5, 1.0, 1.5], size=N_ROWS)
    return X, y.astype(np.float64) if target == "numbers" else y, weights


def settings_of(case: Case, **changed) -> dict:
    chosen = {
        "loss": case.loss,
        "penalty": case.penalty,
        "alpha": 0.03 if case.rate == "optimal" else 0.004,
        "l1_ratio": 0.3,
        "learning_rate": case.rate,
        "eta0": ETA0.get(case.rate, 0.0625),
        "power_t": 0.3,
        "decay": 0.7,
        "beta": 0.5,
        "epsilon": 0.15,
        "fit_intercept": case.intercept,
        "average": case.average,
    }
    return {**chosen, **changed}


def make_estimator(case: Case, settings: dict, **options):
    settings = {**settings, "average": case.average or False}
    options = {"shuffle": False, "max_iter": EPOCHS, "tol": None, "random_state": 0, **options}
    if case.target == "numbers":
        return SGDRegressor(**settings, quantile=QUANTILE, **options)
    names = {"two": {0: 0.75, 1: 2.0}, "three": {0: 0.5, 1: 2.0, 2: 1.25}}[case.target]
    if case.rate in ("pa1", "pa2"):  # twice a passive-aggressive step mends nothing: rounding errors would grow
        names = {name: min(weight, 1.25) for name, weight in names.items()}
    return SGDClassifier(class_weight=names if case.class_weights else None, **settings, **options)


def twin_of(case: Case, settings: dict, **options) -> naive.Fitted:
    X, y, weights = problem(case.target)
    options = {
        "n_epochs": EPOCHS,
        "settle_after": SETTLED,
        "present": X.toarray() != 0 if case.sparse else None,
        "row_weights": weights if case.row_weights else None,
        **options,
    }
    if case.target == "numbers":
        y = np.abs(y) if case.loss == "poisson" else y
        return naive.fit(X.toarray(), y, naive.Settings(**settings, quantile=QUANTILE), **options)
    class_weight = make_estimator(case, settings).class_weight
    return naive.fit_classes(X.toarray(), y, naive.Settings(**settings), class_weight=class_weight, **options)


def data_of(case: Case) -> tuple:
    X, y, weights = problem(case.target)
    X = X.astype(case.dtype) if case.sparse else X.toarray().astype(case.dtype)
    y = np.abs(y) if case.loss == "poisson" else y
    return X, y, weights if case.row_weights else None


def assert_near(found, expected, tolerance: float, what: str) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    difference = np.abs(found - expected).max()
    assert difference <= tolerance * max(np.abs(expected).max(), 0.01), f"{what}: {found} instead of {expected}"


def assert_same_fit(case: Case, estimator, twin: naive.Fitted) -> None:
    tolerance = 1e-8 if case.dtype == "float64" else 1e-3
    assert estimator.coef_.dtype == case.dtype
    assert estimator.t_ == twin.t
    assert_near(estimator.loss_curve_, twin.loss_curve, tolerance, "loss_curve_")
    assert_near(estimator.coef_, twin.coef, tolerance, "coef_")
    assert_near(estimator.intercept_, twin.intercept, tolerance, "intercept_")


@pytest.mark.parametrize("case", draw_cases(), ids=str)
def test_fit_is_its_twins(case):
    X, y, weights = data_of(case)
    settings = settings_of(case)
    estimator = make_estimator(case, settings).fit(X, y, sample_weight=weights)
    if case.rate == "search":
        settings["eta0"] = estimator.eta0_
    assert_same_fit(case, estimator, twin_of(case, settings))


def for_classes(chosen: dict) -> bool:
    return chosen.get("target", "numbers") != "numbers" or chosen.get("class_weights", False)


def test_battery_holds_every_pair_that_is_allowed():
    cases = draw_cases()
    seen = set().union(*map(pairs, cases))
    values = {field.name: {getattr(case, field.name) for case in cases} for field in fields(Case)}
    lacking = []
    for first, second in itertools.combinations(fields(Case), 2):
        for a, b in itertools.product(values[first.name], values[second.name]):
            chosen = {first.name: a, second.name: b}
            margin = naive.LOSSES[chosen["loss"]].margin if "loss" in chosen else False
            passive = chosen.get("rate") in ("pa1", "pa2")
            impossible = (
                (chosen.get("loss") in ("quantile", "poisson") and for_classes(chosen))
                or (chosen.get("target") == "numbers" and (margin or chosen.get("class_weights")))
                or (chosen.get("rate") == "ftrl" and chosen.get("average"))
                or (passive and chosen.get("loss", "hinge") not in ("hinge", "epsilon_insensitive"))
            )
            if not impossible and ((first.name, a), (second.name, b)) not in seen:
                lacking.append(chosen)
    assert not lacking


FEW = [
    Case("log_loss", "invscaling", "elasticnet", "two", True, "float64", True, True, False, 5),
    Case("hinge", "optimal", "l2", "three", True, "float64", True, False, True, 0),
    Case("squared_error", "adagrad", "l1", "numbers", False, "float64", True, True, False, 5),
    Case("log_loss", "ftrl", "elasticnet", "three", True, "float64", True, False, False, 0),
]


@pytest.mark.parametrize("case", FEW, ids=str)
@pytest.mark.parametrize("shuffle", ["blocks", "full", True])
def test_shuffled_fit_is_its_twins_in_the_same_order(case, shuffle):
    X, y, weights = data_of(case)
    kept = np.empty(0, np.uint32) if weights is None else np.flatnonzero(weights).astype(np.uint32)
    rng = np.random.default_rng(np.random.RandomState(5).randint(np.iinfo(np.int32).max))
    orders = [epoch_rows(draw_order(rng, len(kept) or N_ROWS, kept, shuffle)) for _ in range(EPOCHS)]
    estimator = make_estimator(case, settings_of(case), shuffle=shuffle, random_state=5)
    estimator.fit(X, y, sample_weight=weights)
    assert_same_fit(case, estimator, twin_of(case, settings_of(case), orders=orders))


@pytest.mark.parametrize("case", FEW, ids=str)
def test_partial_fit_goes_on_where_it_stopped_even_from_a_pickle(case):
    X, y, weights = data_of(case)
    estimator = make_estimator(case, settings_of(case))
    if case.class_weights:
        estimator.set_params(class_weight=make_estimator(case, settings_of(case)).class_weight)
    for _ in range(EPOCHS):
        arguments = {} if case.target == "numbers" else {"classes": np.unique(y)}
        estimator.partial_fit(X, y, sample_weight=weights, **arguments)
        estimator = pickle.loads(pickle.dumps(estimator))
    each = tuple(range(EPOCHS))  # every call ends with nothing owed
    assert_same_fit(case, estimator, twin_of(case, settings_of(case), settle_after=each))


@pytest.mark.parametrize("rate", ["constant", "adagrad", "ftrl"])
@pytest.mark.parametrize("target", ["two", "numbers"])
def test_intercept_decay_scales_the_steps_of_the_intercept(rate, target):
    case = Case("squared_error", rate, "l2", target, True, "float64", True, False, False, 0)
    settings = settings_of(case, intercept_decay=0.01)
    X, y, _ = data_of(case)
    assert_same_fit(case, make_estimator(case, settings).fit(X, y), twin_of(case, settings))


def test_balanced_class_weights_are_those_of_scikit_learn():
    case = Case("log_loss", "constant", "l2", "three", True, "float64", True, False, False, 0)
    X, y, _ = data_of(case)
    estimator = make_estimator(case, settings_of(case)).set_params(class_weight="balanced").fit(X, y)
    balanced = {c: N_ROWS / (3 * np.sum(y == c)) for c in range(3)}
    twin = naive.fit_classes(
        X.toarray(), y, naive.Settings(**settings_of(case)), n_epochs=EPOCHS, class_weight=balanced
    )
    assert_same_fit(case, estimator, twin)


@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
def test_steps_that_would_turn_the_weights_over_leave_a_millionth(penalty):
    """eta * alpha above 1: the decay of one row is held at 1e-6, far below the scale that is kept apart."""
    case = Case("squared_error", "constant", penalty, "numbers", True, "float64", True, False, False, 0)
    settings = settings_of(case, alpha=40.0, l1_ratio=1e-4)
    X, y, _ = data_of(case)
    assert_same_fit(case, make_estimator(case, settings).fit(X, y), twin_of(case, settings))


@pytest.mark.parametrize("rate", ["constant", "adagrad", "ftrl"])
def test_slopes_beyond_1e12_are_clipped(rate):
    case = Case("squared_error", rate, None, "numbers", True, "float64", True, False, False, 0)
    X, y, _ = data_of(case)
    settings = settings_of(case, eta0=1e-9 if rate == "constant" else 0.25)
    estimator = make_estimator(case, settings, max_iter=1).fit(X, y * 1e15)
    twin = naive.fit(X.toarray(), y * 1e15, naive.Settings(**settings), n_epochs=1, present=X.toarray() != 0)
    assert_same_fit(case, estimator, twin)
