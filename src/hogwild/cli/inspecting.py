"""The work of `hogwild inspect`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hogwild.cli.rows import Opened, Sources, open_like, open_model
from hogwild.cli.terminal import CommandError, print_pairs, print_table
from hogwild.report.weights import largest

_MOST_CLASSES = 20  # named in a line


def run(path: Path, top: int, sources: tuple[str, ...] = ()) -> None:
    """Print what the model file holds; names of features are taken from the rows `sources`."""
    model = open_model(path)
    if not hasattr(model.estimator, "coef_"):
        print_pairs(list(_facts(model, None)))
        return
    weights = _sparse_free(model)
    if top and sources:
        model = model._replace(names=_names(model, weights, top, sources))
    print_pairs(list(_facts(model, weights)))
    if top:
        print_table(["", "heaviest weights (feature:weight)"], list(_heaviest(model, weights, top)))


def _names(model: Opened, weights: np.ndarray, top: int, sources: tuple[str, ...]) -> dict[int, str]:
    """Names of the features that will be shown."""
    from hogwild.data.names import recover_names
    from hogwild.data.sources import TextRows

    rows = open_like(Sources(sources, n_jobs=1, bad_lines="skip"), model, with_labels=False)
    if not isinstance(rows, TextRows):
        raise CommandError(f"{sources[0]}: found no text, expected the rows that the model was trained on as text")
    signs = (1, -1) if len(weights) == 1 else (1,)
    shown = {int(j) for row in weights for sign in signs for j in largest(sign * row, top) if row[j]}
    return recover_names(rows, np.array(sorted(shown), np.int64))


def _sparse_free(model: Opened) -> np.ndarray:
    coef = model.estimator.coef_
    return np.atleast_2d(coef.toarray() if hasattr(coef, "toarray") else coef)


def _facts(model: Opened, weights: np.ndarray | None) -> Iterator[tuple[str, str]]:
    estimator, about, classes = model.estimator, model.about, model.classes
    extra, fitted = about["extra"], about["fitted"]
    yield "model", f"{about['class']}, format {about['format']}, written by hogwild {about['hogwild']}"
    if classes is None:
        yield "task", "regression"
    else:
        shown = " ".join(map(str, classes[:_MOST_CLASSES].tolist()))
        yield "task", f"classification, {len(classes)} classes"
        yield "classes", shown + (" ..." if len(classes) > _MOST_CLASSES else "")
    if weights is None:
        yield "settings", ", ".join(f"{name} {value}" for name, value in sorted(_plain(estimator).items()))
    else:
        yield "loss", estimator.loss
        penalty = estimator.penalty or "none"
        yield "penalty", penalty if penalty == "none" else f"{penalty}, alpha {estimator.alpha:g}"
        yield "schedule", f"{estimator.learning_rate}, eta0 {fitted['eta0_']:g}"
    if "source" in extra:
        stopped = ", ended early by Ctrl-C" if extra.get("interrupted") else ""
        yield "trained on", f"{extra['source']}, {extra['rows']:,} rows{stopped}"
    losses = fitted.get("loss_curve_") or []
    steps = f", {fitted['t_'] - 1:,.0f} steps" if "t_" in fitted else ""
    threads = f", {fitted['n_threads_']} threads" if "n_threads_" in fitted else ""
    yield "training", f"{fitted.get('n_iter_', 0)} epochs{steps}{threads}"
    if losses:
        yield "loss by epoch", " ".join(f"{loss:.5f}" for loss in losses[-10:])
    if weights is not None:
        nonzero = int(np.count_nonzero(weights.any(axis=0)))
        yield "features", f"{estimator.n_features_in_:,}, {nonzero:,} with a nonzero weight"
        yield "intercept", " ".join(f"{value:.5g}" for value in np.atleast_1d(estimator.intercept_))
    elif hasattr(estimator, "n_features_in_"):
        yield "features", f"{estimator.n_features_in_:,}"
    if about["absent"]:
        yield "not in the file", ", ".join(about["absent"])


def _plain(estimator: Any) -> dict[str, Any]:
    """Parameters that differ from their defaults or say how large the model is, as far as a line can tell them."""
    parameters, defaults = estimator.get_params(), type(estimator)().get_params()
    told = ("n_factors", "alpha", "eta0")
    return {
        name: value
        for name, value in parameters.items()
        if isinstance(value, int | float | str) and (name in told or value != defaults[name])
    }


def _heaviest(model: Opened, weights: np.ndarray, top: int) -> Iterator[list[str]]:
    """Rows of the table: for each class the features that speak for it most."""
    classes = model.classes
    if classes is None:
        yield ["raises", _line(model, weights[0], top)]
        yield ["lowers", _line(model, -weights[0], top, sign=-1)]
    elif len(classes) == 2:
        yield [str(classes[1]), _line(model, weights[0], top)]
        yield [str(classes[0]), _line(model, -weights[0], top, sign=-1)]
    else:
        for label, row in zip(classes.tolist(), weights, strict=True):
            yield [str(label), _line(model, row, top)]


def _line(model: Opened, row: np.ndarray, top: int, sign: int = 1) -> str:
    first, known = model.first_index, getattr(model.estimator, "feature_names_in_", None)
    names = model.names if known is None else dict(enumerate(known))
    texts = (f"{names.get(j, j + first)}:{sign * row[j]:.4g}" for j in largest(row, top).tolist() if row[j] > 0)
    return "  ".join(texts) or "-"
