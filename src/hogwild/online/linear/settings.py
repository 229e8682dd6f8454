"""Parameters of the linear learners in a configuration, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from hogwild.online.configuration import ConfigurationError, read
from hogwild.online.linear.classifier_kernel import CW, METHODS, PA


class _Unlearner(msgspec.Struct):
    max_size: int


class Mixing(msgspec.Struct, frozen=True):
    """How changes of several servers become one (``"mixing"`` in the configuration).

    Parameters
    ----------
    weights : {"changed", "updates", "all"}
        Mean over the servers that changed a weight, over those each as often as it did, or over all that answered.
    covariance : {"minimum", "mean", "sum"}
        The lowest variance; or the mean or the sum of what the servers that changed it added to its inverse.
    """

    weights: Literal["changed", "updates", "all"] = "changed"
    covariance: Literal["minimum", "mean", "sum"] = "sum"


class Limits(NamedTuple):
    """What may be remembered.

    Attributes
    ----------
    features, labels : int or None
    unlearner : {"lru", "random"}
        Which label goes where there are too many.
    """

    features: int | None = None
    labels: int | None = None
    unlearner: str = "lru"


class _Parameters(msgspec.Struct):
    regularization_weight: float | None = None
    sensitivity: float = 0.1
    learning_rate: float = 0.1
    unlearner: Literal["lru", "random"] | None = None
    unlearner_parameter: dict[str, Any] | None = None
    max_features: int | None = None


class Settings(NamedTuple):
    """A linear learner's parameters.

    Attributes
    ----------
    method : int
        Place in `METHODS`.
    C, sensitivity, learning_rate : float
    limits : Limits
    mixing : Mixing
    """

    method: int
    C: float = 1.0
    sensitivity: float = 0.1
    learning_rate: float = 0.1
    limits: Limits = Limits()
    mixing: Mixing = Mixing()

    @property
    def confident(self) -> bool:
        """Whether the method keeps variances."""
        return self.method >= CW


def settings_of(configuration: Mapping[str, Any], *, needs_weight: bool) -> Settings:
    """Read ``parameter`` and ``mixing`` of a configuration whose method is one of `METHODS`.

    Parameters
    ----------
    configuration : mapping
    needs_weight : bool
        Whether methods with a regularization_weight must be given one; 1 is taken otherwise.

    Raises
    ------
    ConfigurationError
        A value is missing, unknown or out of its range.
    """
    found = read(_Parameters, configuration.get("parameter") or {}, "$.parameter")
    mixing = read(Mixing, configuration.get("mixing") or {}, "$.mixing")
    method = METHODS.index(configuration["method"])
    C = found.regularization_weight
    if C is None and needs_weight and method > PA:
        raise ConfigurationError(
            f"configuration: `$.parameter` of {METHODS[method]} needs regularization_weight, a number above 0"
        )
    C = 1.0 if C is None else C
    _check("regularization_weight", C, 0 < C < math.inf, "a number above 0")
    _check("sensitivity", found.sensitivity, 0 <= found.sensitivity < math.inf, "a number of at least 0")
    _check("learning_rate", found.learning_rate, 0 < found.learning_rate < math.inf, "a number above 0")
    most = found.max_features
    _check("max_features", most, most is None or most >= 1, "a whole number of at least 1")
    labels = None
    if found.unlearner is not None:
        labels = read(_Unlearner, found.unlearner_parameter or {}, "$.parameter.unlearner_parameter").max_size
        _check("unlearner_parameter.max_size", labels, labels >= 1, "a whole number of at least 1")
    limits = Limits(most, labels, found.unlearner or "lru")
    return Settings(method, C, found.sensitivity, found.learning_rate, limits, mixing)


def _check(name: str, value: Any, fits: bool, expected: str) -> None:
    if not fits:
        raise ConfigurationError(f"configuration: `$.parameter.{name}` must be {expected}, found {value}")
