"""Values as JSON: what stands in a model file beside the arrays, each kind spelled out, nothing guessed."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from hogwild.engine import engines
from hogwild.losses import SavedLoss

_KINDS = "iufbU"  # dtypes of labels; others are written as Python objects of one of these kinds
_ENGINES = {kind.__name__: kind for kind in (*engines.Engine.__args__, engines.Grid)}


def encode(value: Any) -> Any:
    """Return what `json.dumps` can write for a number, str, bool, None, list, dict, engine or the name of a loss.

    Raises
    ------
    TypeError
        For anything else, a function or a RandomState for example.

    Examples
    --------
    >>> from hogwild.encoding import decode, encode
    >>> encode({-1: 0.5, 1: float("inf")})
    {'dict': [[-1, 0.5], [1, {'float': 'inf'}]]}
    >>> decode(_)
    {-1: 0.5, 1: inf}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) is float and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, SavedLoss):
        return {"own_loss": str(value)}
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [encode(item) for item in value]
    if type(value) is dict:  # as pairs: the keys of JSON's own objects are texts
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    if _ENGINES.get(type(value).__name__) is type(value):
        fields = {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"engine": type(value).__name__, "fields": fields}
    raise TypeError(f"{type(value).__name__} has no encoding")


def decode(value: Any) -> Any:
    """Return what `encode` was given; ValueError or KeyError for anything that it does not make."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "float" in value:
        return float(value["float"])
    if "dict" in value:
        return {decode(key): decode(item) for key, item in value["dict"]}
    if "own_loss" in value:
        return SavedLoss(value["own_loss"])
    if "engine" in value:
        return _ENGINES[value["engine"]](**{name: decode(field) for name, field in value["fields"].items()})
    raise ValueError(f"unknown encoding {value!r:.80}")


def encode_labels(labels: np.ndarray) -> dict[str, Any]:
    """Encode class labels: integers, floats, texts or booleans with their dtype.

    Raises
    ------
    TypeError
        For labels of another kind, or of several kinds in one array.
    """
    values = [value.item() if isinstance(value, np.generic) else value for value in labels]
    kinds = {type(value) for value in values}
    if len(kinds) > 1 or not kinds <= {int, float, str, bool}:
        raise TypeError(f"cannot save labels of type {', '.join(sorted(kind.__name__ for kind in kinds))}")
    dtype = "object" if labels.dtype.kind not in _KINDS else labels.dtype.str
    return {"dtype": dtype, "kind": kinds.pop().__name__ if kinds else "int", "values": [encode(v) for v in values]}


def decode_labels(encoded: dict[str, Any]) -> np.ndarray:
    """Return the labels that `encode_labels` was given."""
    values = [decode(value) for value in encoded["values"]]
    if any(type(value).__name__ != encoded["kind"] for value in values):
        raise ValueError(f"labels that are not all of type {encoded['kind']}")
    dtype = np.dtype(encoded["dtype"])
    if dtype.kind != "O" and dtype.kind not in _KINDS:
        raise ValueError(f"labels of dtype {dtype}")
    return np.array(values, dtype=dtype)
