"""Model files: safetensors arrays with a description in JSON. They hold no code, and nothing in them is executed.

The arrays are those of the training state, feature-major, so that a loaded estimator predicts and goes on learning with
the same bits. All else stands in safetensors' metadata, each entry JSON text: see `describe`.

A class of models with a state of its own says what is saved: ``_saved_names``, fitted attributes that JSON can hold
(see `encoding.encode`); ``_saved_arrays()``, all arrays by name; ``_restore_arrays(arrays)``, which takes them back
once parameters and attributes are set (ValueError or KeyError where they make no model); ``_array_parameters``,
parameters that are among the arrays. The row clock ``_state.t`` is seen to here.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hogwild.data.errors import DataError
from hogwild.encoding import decode, decode_labels, encode, encode_labels
from hogwild.losses import SavedLoss, own_loss
from hogwild.storage import DIGEST, digest, write

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

FORMAT = 1  # raise it with any change that older versions of hogwild would misread; older files are read for ever
CLASSES = {
    "SGDClassifier": "hogwild.estimators.classifier",
    "SGDRegressor": "hogwild.estimators.regressor",
    "LinearSVC": "hogwild.estimators.linear_svc",
    "LinearSVR": "hogwild.estimators.linear_svr",
    "LogisticRegression": "hogwild.estimators.logistic_regression",
    "Ridge": "hogwild.estimators.ridge",
    "FMClassifier": "hogwild.estimators.fm",
    "FMRegressor": "hogwild.estimators.fm",
    "FFMClassifier": "hogwild.estimators.ffm",
    "FFMRegressor": "hogwild.estimators.ffm",
    "MatrixFactorization": "hogwild.estimators.matrix_factorization",
    **{
        f"{method}{kind.title()}": f"hogwild.online.linear.{kind}_estimators"
        for kind in ("classifier", "regressor")
        for method in ("Perceptron", "PA", "PA1", "PA2", "CW", "AROW", "NHERD")
    },
}  # what load may build

_FITTED = (
    "t_",
    "n_iter_",
    "loss_curve_",
    "progressive_curve_",
    "validation_scores_",
    "eta0_",
    "n_threads_",
    "engine_",
    "n_features_in_",
)
_DUAL = (
    "coef_",
    "intercept_",
    "dual_gap_",
    "objective_",
    "gap_curve_",
    "support_",
    "n_support_",
    "dual_coef_",
    "margin_",
    "n_iter_",
    "n_threads_",
    "engine_",
    "n_features_in_",
)  # fitted attributes of the estimators without a training state
_SHOWN_AS = "fitted."  # in front of the names of those that are arrays
_OWN = "own."  # in front of the names of arrays that are not the estimator's
_CLOCKS = ("t", "penalty", "averaged_rows")
_SHOWN = ("coef_", "intercept_")
_EXPECTED = "a model file of hogwild"
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")  # names that `write_whole` compresses for


class ModelError(DataError):
    """A model file is damaged, of a newer format, or no model file at all."""


def save(
    estimator: BaseEstimator,
    path: str | os.PathLike[str],
    extra: Mapping[str, Any] | None = None,
    arrays: Mapping[str, np.ndarray] | None = None,
) -> None:
    r"""Write a fitted estimator to a file, which appears whole or not at all.

    Parameters
    ----------
    estimator : SGDClassifier, SGDRegressor, LinearSVC, LinearSVR, LogisticRegression, Ridge, FMClassifier, \
            FMRegressor, FFMClassifier, FFMRegressor, MatrixFactorization, or one of `hogwild.online` on matrices
        A callback and a RandomState object are left out: the loaded estimator has None in their place. A loss of your
        own is saved by name: the loaded estimator predicts, and trains on once ``set_params(loss=...)`` has given it.
    path : str or path-like
        An existing file is replaced; the name is free, ``.safetensors`` is usual.
    extra : mapping, optional
        Notes of your own that JSON can hold; `describe` gives them back.
    arrays : mapping of str to ndarray, optional
        Arrays of your own; `extra_arrays` gives them back.

    Raises
    ------
    TypeError
        If there is no file format for this estimator.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> import os, tempfile
    >>> import hogwild
    >>> from hogwild.data import make_rcv1_like
    >>> X, y = make_rcv1_like(500, 50)
    >>> clf = hogwild.SGDClassifier(loss="log_loss", max_iter=5, tol=None, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     hogwild.save(clf, os.path.join(folder, "model.safetensors"))
    ...     loaded = hogwild.load(os.path.join(folder, "model.safetensors"))
    >>> bool((loaded.predict(X) == clf.predict(X)).all())
    True
    """
    from sklearn.utils.validation import check_is_fitted

    name = type(estimator).__name__
    if CLASSES.get(name) != type(estimator).__module__:
        inner = " (save its best_estimator_)" if hasattr(estimator, "best_estimator_") else ""
        raise TypeError(f"cannot save {type(estimator)!r}: expected one of {', '.join(CLASSES)}{inner}")
    if Path(path).suffix.lower() in _COMPRESSED:
        raise ValueError(
            f"{os.fspath(path)}: model files are not compressed, expected another name than *{Path(path).suffix}"
        )
    check_is_fitted(estimator)
    own, arrays = arrays or {}, _arrays(estimator)
    arrays |= {f"{_OWN}{key}": np.ascontiguousarray(array) for key, array in own.items()}
    absent, parameters = [], {}
    for key, value in estimator.get_params(deep=False).items():
        if key in getattr(estimator, "_array_parameters", ()):
            continue
        if key == "loss" and isinstance(value, tuple):
            value = SavedLoss(own_loss(*value).name)
        try:
            parameters[key] = encode(value)
        except TypeError:
            absent.append(key)
    about = {
        "format": FORMAT,
        "hogwild": importlib.import_module("hogwild").__version__,
        "class": name,
        "parameters": parameters,
        "absent": absent,
        "classes": encode_labels(estimator.classes_) if hasattr(estimator, "classes_") else None,
        "feature_names": getattr(estimator, "feature_names_in_", np.array([])).tolist() or None,
        "fitted": _fitted(estimator),
        "state": _clocks(estimator),
        "sparsified": hasattr(getattr(estimator, "coef_", None), "toarray"),
        "extra": dict(extra or {}),
    }
    write(path, about, arrays)


def load(path: str | os.PathLike[str]) -> BaseEstimator:
    """Read an estimator that `save` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    estimator
        Fitted, of the class that was saved; `partial_fit` (or `fit` with `warm_start`) goes on where the saved one
        stood.

    Raises
    ------
    ModelError
        A ValueError that says what was found and what was expected.
    """
    about, arrays = _read(path, with_arrays=True)
    if digest(about["texts"], arrays) != about["texts"][DIGEST]:
        raise ModelError(path, found="content that does not agree with its digest", expected="an unaltered file")
    try:
        return _build(about, arrays)
    except ModelError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ModelError(path, found=f"a description that makes no model ({error!r})", expected=_EXPECTED) from error


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a model file says about its model, without reading the arrays.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    dict
        ``format``, ``hogwild`` (the version that wrote it), ``class``, ``parameters``, ``absent`` (parameters that
        could not be written), ``classes`` (list or None), ``feature_names``, ``fitted`` (``t_``, ``loss_curve_``, ...),
        ``state``, ``extra``, and ``arrays`` (name: shape).

    Raises
    ------
    ModelError
        As from `load`; only the arrays' content is not checked.
    """
    about, shapes = _read(path, with_arrays=False)
    try:
        classes = decode_labels(about["classes"]).tolist() if about["classes"] else None
        return {
            **{key: about[key] for key in ("format", "hogwild", "class", "absent", "feature_names", "extra")},
            **{
                part: {key: decode(value) for key, value in about[part].items()}
                for part in ("parameters", "fitted", "state")
            },
            "classes": classes,
            "arrays": shapes,
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(path, found=f"a description that makes no model ({error!r})", expected=_EXPECTED) from error


def extra_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Return the arrays that `save` was given beside the estimator's own.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    ModelError
        As from `load`; their content is not checked.
    """
    from safetensors import safe_open

    _read(path, with_arrays=False)
    with safe_open(os.fspath(path), framework="np") as file:
        return {key.removeprefix(_OWN): file.get_tensor(key) for key in list(file.keys()) if key.startswith(_OWN)}


# ------------------------------------------------------------------------------------------------ from an estimator


def _has_state(estimator: BaseEstimator) -> bool:
    """Whether training goes on from more than the fitted attributes."""
    return hasattr(estimator, "_state")


def _saves_itself(kind: Any) -> bool:
    """Whether a class says itself what is saved of it."""
    return hasattr(kind, "_restore_arrays")


def _fitted(estimator: BaseEstimator) -> dict[str, Any]:
    if _saves_itself(estimator):
        return {key: encode(getattr(estimator, key)) for key in estimator._saved_names if hasattr(estimator, key)}
    names = _FITTED if _has_state(estimator) else _DUAL
    values = {key: getattr(estimator, key) for key in names if hasattr(estimator, key)}
    arrays = () if _has_state(estimator) else _shown(estimator)
    return {key: encode(value) for key, value in values.items() if key not in arrays}


def _shown(estimator: BaseEstimator) -> dict[str, np.ndarray]:
    """Fitted attributes that are arrays, `coef_` dense."""
    values = {key: getattr(estimator, key) for key in _DUAL if hasattr(estimator, key)}
    values["coef_"] = values["coef_"].toarray() if hasattr(values["coef_"], "toarray") else values["coef_"]
    return {key: value for key, value in values.items() if isinstance(value, np.ndarray)}


def _clocks(estimator: BaseEstimator) -> dict[str, Any]:
    if not _has_state(estimator):
        return {}
    if _saves_itself(estimator):
        return {"t": encode(estimator._state.t)}
    return {key: encode(getattr(estimator._state, key)) for key in _CLOCKS} | {
        "searched_at": encode(getattr(estimator, "_searched_at", None))
    }


def _arrays(estimator: BaseEstimator) -> dict[str, np.ndarray]:
    """Arrays of the training state, and `coef_`, `intercept_` where the user has put others than follow from it."""
    if _saves_itself(estimator):
        return {name: np.ascontiguousarray(array) for name, array in estimator._saved_arrays().items()}
    if not _has_state(estimator):
        return {f"{_SHOWN_AS}{name}": np.ascontiguousarray(array) for name, array in _shown(estimator).items()}
    state = estimator._state
    arrays = {"coef": state.coef, "intercept": state.intercept}
    arrays |= {f"state.{name}": array for name, array in state.arrays.items()}
    for name, ours in zip(_SHOWN, estimator._weights(), strict=True):
        shown = getattr(estimator, name)
        shown = np.asarray(shown.toarray() if hasattr(shown, "toarray") else shown)
        if not np.array_equal(shown, ours):
            arrays[name] = shown.T  # feature-major
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


# ------------------------------------------------------------------------------------------------ from a file


def _read(path: str | os.PathLike[str], *, with_arrays: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the description (with its ``texts``) and the arrays, or their shapes only."""
    from safetensors import SafetensorError, safe_open

    with open(path, "rb"):  # a missing file is an OSError as everywhere
        pass
    try:
        with safe_open(os.fspath(path), framework="np") as file:
            texts = file.metadata() or {}
            about = _description(path, texts)
            names = list(file.keys())
            if with_arrays:
                return about, {name: file.get_tensor(name) for name in names}
            return about, {name: tuple(file.get_slice(name).get_shape()) for name in names}
    except (SafetensorError, OSError) as error:
        raise ModelError(
            path, found=f"a damaged or truncated file, or none of this kind ({error})", expected=_EXPECTED
        ) from None


def _description(path: str | os.PathLike[str], texts: dict[str, str]) -> dict[str, Any]:
    if "format" not in texts or DIGEST not in texts:
        raise ModelError(path, found="a safetensors file without hogwild's description", expected=_EXPECTED)
    try:
        about = {key: json.loads(text) for key, text in texts.items() if key != DIGEST}
    except ValueError as error:
        raise ModelError(path, found=f"a damaged description ({error})", expected=_EXPECTED) from None
    if not isinstance(about["format"], int) or not 1 <= about["format"] <= FORMAT:
        written = f" (written by hogwild {about.get('hogwild', 'of unknown version')})"
        newest = f"at most {FORMAT}: a newer hogwild reads it" if FORMAT > 1 else f"{FORMAT}: a newer hogwild reads it"
        raise ModelError(path, found=f"format version {about['format']!r}{written}", expected=newest)
    if about.get("class") not in CLASSES:
        raise ModelError(
            path, found=f"a model of class {about.get('class')!r}", expected=f"one of {', '.join(CLASSES)}"
        )
    return about | {"texts": texts}


def _build(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> BaseEstimator:
    from hogwild.compiled import aligned_copy
    from hogwild.estimators.linear_task import LinearState

    kind = getattr(importlib.import_module(CLASSES[about["class"]]), about["class"])
    estimator = kind(**{key: decode(value) for key, value in about["parameters"].items()})
    names = kind._saved_names if _saves_itself(kind) else _FITTED if about["state"] else _DUAL
    for key in about["fitted"]:
        if key not in names:
            raise ValueError(f"unknown attribute {key}")
        setattr(estimator, key, decode(about["fitted"][key]))
    if about["classes"] is not None:
        estimator.classes_ = decode_labels(about["classes"])
    if about["feature_names"] is not None:
        estimator.feature_names_in_ = np.array(about["feature_names"], dtype=object)
    if _saves_itself(kind):
        estimator._restore_arrays({name: array for name, array in arrays.items() if not name.startswith(_OWN)})
        estimator._state.t = decode(about["state"]["t"])
        return estimator
    if not about["state"]:
        return _build_shown(estimator, about, arrays)
    if about["state"]["searched_at"] is not None:
        estimator._searched_at = decode(about["state"]["searched_at"])

    columns = 1 if about["classes"] is None or len(estimator.classes_) == 2 else len(estimator.classes_)
    shape = (estimator.n_features_in_,) if columns == 1 else (estimator.n_features_in_, columns)
    if arrays["coef"].shape != shape or arrays["intercept"].shape != (columns,):
        raise ValueError(f"weights of shape {arrays['coef'].shape}, expected {shape}")
    estimator._state = LinearState(
        aligned_copy(arrays["coef"]),
        aligned_copy(arrays["intercept"]),
        {name.removeprefix("state."): aligned_copy(arrays[name]) for name in arrays if name.startswith("state.")},
        **{key: decode(about["state"][key]) for key in _CLOCKS},
    )
    for name, ours in zip(_SHOWN, estimator._weights(), strict=True):
        setattr(estimator, name, arrays[name].T if name in arrays else ours)
    return estimator.sparsify() if about["sparsified"] else estimator


def _build_shown(estimator: BaseEstimator, about: dict[str, Any], arrays: dict[str, np.ndarray]) -> BaseEstimator:
    """Set the fitted attributes that are arrays."""
    for name, array in arrays.items():
        key = name.removeprefix(_SHOWN_AS)
        if key in _DUAL and name != key:
            setattr(estimator, key, array)
        elif not name.startswith(_OWN):
            raise ValueError(f"unknown array {name}")
    if estimator.coef_.shape[-1] != estimator.n_features_in_:
        raise ValueError(f"weights of shape {estimator.coef_.shape}, expected {estimator.n_features_in_} columns")
    if about["classes"] is not None:
        columns = 1 if len(estimator.classes_) == 2 else len(estimator.classes_)
        if estimator.coef_.shape[0] != columns or estimator.intercept_.shape != (columns,):
            raise ValueError(f"weights of shape {estimator.coef_.shape}, expected {columns} rows")
    return estimator.sparsify() if about["sparsified"] else estimator
