"""What `hogwild train` chooses where the user leaves it open."""

from __future__ import annotations

from typing import Any

import numpy as np

from hogwild.cli.terminal import CommandError

MOST_CLASSES = 100  # integers of more kinds are numbers, unless the user says that they are classes

# Held-out log loss after 10 epochs, alpha 1e-6, untuned, one thread, AdaGrad at 0.3 / search: a9a .325 / .353, ijcnn1
# .211 / .223, RCV1-like .529 / .560, a9a with a column up to 1,000 .367 / .586.
# For regression nobody knows the size of the targets beforehand: `search` finds the step that fits it, AdaGrad does not
# (R2 after 10 epochs: diabetes .35 / -3).
# Mean gradients (`--engine batch`) are for steps along the gradient, which AdaGrad's are not.
SCHEDULE = {True: "adagrad", False: "search"}
ETA0 = {"adagrad": 0.3, "ftrl": 0.3, "pa1": 1.0, "pa2": 1.0}
OTHER_ETA0 = 0.01
PATIENT = 1e-4  # improvement of loss or score that counts, with --patience


def choose_task(y: np.ndarray, asked: str) -> tuple[bool, str]:
    """Return whether it is classification, and why."""
    whole = y.dtype.kind in "iu" or (y.dtype.kind == "f" and bool((y == np.floor(y)).all()))
    if asked == "regression":
        return False, "as asked"
    if asked == "classification":
        if y.dtype.kind == "f" and not whole:
            raise CommandError("found labels with fractions, expected integers or words for --task classification")
        return True, "as asked"
    if y.dtype.kind not in "iuf":
        return True, "the labels are words"
    if not whole:
        return False, "the labels are numbers with fractions"
    n_labels = len(np.unique(y))
    if n_labels > MOST_CLASSES:
        return False, f"the labels are {n_labels:,} different integers; --task classification takes them as classes"
    return True, f"the labels are {n_labels} different integers"


def parse_class_weight(text: str | None, classes: np.ndarray) -> dict[Any, float] | str | None:
    """Return what ``--class-weight`` means for these classes."""
    if text is None or text == "balanced":
        return text
    labels = {str(label): label for label in classes.tolist()}
    weights = {}
    for pair in text.split(","):
        name, equals, weight = pair.rpartition("=")
        try:
            value = float(weight)
        except ValueError:
            value = -1.0
        if not equals or not 0 <= value < np.inf:
            raise CommandError(f"found --class-weight {pair!r}, expected balanced or label=weight,label=weight")
        if name not in labels:
            raise CommandError(f"found --class-weight for {name!r}, expected one of {', '.join(list(labels)[:20])}")
        weights[labels[name]] = value
    return weights


def make_estimator(wishes: Any, classifies: bool, classes: np.ndarray | None) -> Any:
    """Make the estimator that `wishes` asks for."""
    from hogwild import Checkpoint, SGDClassifier, SGDRegressor

    schedule = wishes.schedule or ("search" if wishes.engine in ("batch", "minibatch") else SCHEDULE[classifies])
    eta0 = wishes.eta0 if wishes.eta0 is not None else ETA0.get(schedule, OTHER_ETA0)
    parameters = {
        "loss": wishes.loss or ("log_loss" if classifies else "squared_error"),
        "penalty": wishes.penalty,
        "alpha": wishes.alpha,
        "l1_ratio": wishes.l1_ratio,
        "learning_rate": schedule,
        "eta0": eta0,
        "max_iter": wishes.epochs,
        "tol": PATIENT if wishes.patience and not wishes.valid else None,
        "n_iter_no_change": wishes.patience or 5,
        "early_stopping": wishes.holdout is not None,
        "validation_fraction": 1.0 / (wishes.holdout or 10),
        "checkpoint": None,
        "engine": wishes.engine,
        "random_state": wishes.seed,
        "n_jobs": wishes.n_jobs,
    }
    if wishes.checkpoint is not None:
        parameters["checkpoint"] = Checkpoint(wishes.checkpoint, wishes.every, wishes.resume)
    from hogwild.losses import CLASSIFICATION, LOSSES, REGRESSION

    losses, task = (CLASSIFICATION, "classification") if classifies else (REGRESSION, "regression")
    if parameters["loss"] not in losses:
        raise CommandError(f"found --loss {wishes.loss} for {task}, expected one of {', '.join(losses)}")
    if wishes.quantile is not None and parameters["loss"] != "quantile":
        raise CommandError("found --quantile without --loss quantile")
    if not classifies:
        if wishes.multi_class != "ovr":
            raise CommandError("found --multi-class for regression, which has no classes")
        if wishes.class_weight is not None:
            raise CommandError("found --class-weight for regression, which has no classes")
        return SGDRegressor(**parameters, quantile=0.5 if wishes.quantile is None else wishes.quantile)
    if wishes.multi_class == "multinomial" and parameters["loss"] != "log_loss":
        raise CommandError(f"found --loss {wishes.loss} for --multi-class multinomial, expected log_loss")
    if wishes.multi_class == "crammer_singer" and not LOSSES[parameters["loss"]].margin:
        raise CommandError(f"found --loss {wishes.loss} for --multi-class crammer_singer, expected hinge")
    parameters["multi_class"] = wishes.multi_class
    return SGDClassifier(**parameters, class_weight=parse_class_weight(wishes.class_weight, classes))
