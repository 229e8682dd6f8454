"""A store that takes gradients and steps by itself: parameters, and what a rule keeps beside them, live at the shard.

For the public parameter server and for Downpour SGD, whose workers send gradients and own no step. Rows are keys;
arrays of any shape are laid out over them flat.

References
----------
J. Dean et al.: Large Scale Distributed Deep Networks. NeurIPS 2012.
H. B. McMahan et al.: Ad Click Prediction: a View from the Trenches. KDD 2013.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from hogwild.cluster.deltas import Delta
from hogwild.cluster.keyed import KeyedStore, Rows
from hogwild.cluster.keys import CACHE_BYTES
from hogwild.cluster.layout import Layout
from hogwild.cluster.rule_kernels import step_adagrad, step_ftrl
from hogwild.cluster.store_kernels import add_multiples, read_rows
from hogwild.compiled import aligned_zeros


@dataclass(frozen=True)
class Add:
    """``w += push``: what is pushed are deltas."""


@dataclass(frozen=True)
class Sgd:
    """``w -= eta g``."""

    eta: float = 0.01


@dataclass(frozen=True)
class Adagrad:
    """``sums += g^2; w -= eta g / (sqrt(sums) + eps)``, sums from `initial` on."""

    eta: float = 0.01
    eps: float = 1e-10
    initial: float = 0.0


@dataclass(frozen=True)
class Ftrl:
    """FTRL-proximal: ``n += g^2``, ``z += g - sigma w``, ``sigma`` the growth of ``sqrt(n)`` over `alpha`.

    The weight follows: 0 where ``|z| <= l1``, else ``-(z - sign(z) l1) / ((beta + sqrt(n)) / alpha + l2)``.
    """

    alpha: float = 0.1
    beta: float = 1.0
    l1: float = 0.0
    l2: float = 0.0


Rule = Add | Sgd | Adagrad | Ftrl
_NAMES = {"add": Add, "sgd": Sgd, "adagrad": Adagrad, "ftrl": Ftrl}
_STATES = {Add: (), Sgd: (), Adagrad: ("sums",), Ftrl: ("sums", "z")}
_POSITIVE = {"eta", "alpha"}


def resolve_rule(rule: str | Rule, **settings: float) -> Rule:
    """Return the rule of that name with these settings.

    Examples
    --------
    >>> resolve_rule("adagrad", eta=0.1)
    Adagrad(eta=0.1, eps=1e-10, initial=0.0)

    Raises
    ------
    ValueError
        For an unknown name or setting, or a value outside its range.
    """
    if isinstance(rule, str):
        if rule not in _NAMES:
            raise ValueError(f"rule must be one of {', '.join(_NAMES)}, found {rule!r}")
        known = [field.name for field in fields(_NAMES[rule])]
        unknown = sorted(settings.keys() - set(known))
        if unknown:
            raise ValueError(f"{rule} has no setting {unknown[0]!r}; it has {', '.join(known) or 'none'}")
        rule = _NAMES[rule](**settings)
    elif type(rule) not in _STATES or settings:
        raise ValueError(f"rule must be a name with settings, or one of the rule classes, found {rule!r}, {settings}")
    for field in fields(rule):
        value = getattr(rule, field.name)
        if not (np.isfinite(value) and (value > 0 or (value == 0 and field.name not in _POSITIVE))):
            least = "greater than 0" if field.name in _POSITIVE else "at least 0"
            raise ValueError(f"{field.name} of {type(rule).__name__.lower()} must be {least}, found {value!r}")
    return rule


class RuleStore(KeyedStore):
    """Keys low..high of a table that steps by a rule, behind `protocol.Store`.

    A push brings gradients (`Add`: deltas) in `values`; its step size, constant, curvature and penalties are not used,
    nor is the number of active workers.

    Parameters
    ----------
    layout : Layout
    low, high : int
    rule : Rule
    values : array-like, shape (high - low, layout.width), or None
        What training starts from; zeros. Under `Ftrl` weights follow from sums that begin at 0: only zeros.
    cache_bytes : int
        Of key sets that are remembered.

    Examples
    --------
    >>> from hogwild.cluster.deltas import ALL, KeySet, Request
    >>> layout = Layout(0, 2, 2, "float32", np.zeros(2), np.zeros((2, 2)), np.zeros(2, bool))
    >>> store = RuleStore(layout, 0, 2, Sgd(eta=0.5))
    >>> store.apply(Delta(KeySet(ALL), None, np.ones((2, 2)), 1, 1.0, 1.0), active=1)
    >>> store.read(Request(KeySet(ALL))).values.tolist()
    [[-0.5, -0.5], [-0.5, -0.5]]
    """

    def __init__(
        self,
        layout: Layout,
        low: int,
        high: int,
        rule: Rule,
        values: Any = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        super().__init__(layout, low, high, values, cache_bytes)
        self.rule = resolve_rule(rule)
        if isinstance(rule, Ftrl) and self._table.any():
            raise ValueError(
                "weights of ftrl follow from sums of gradients that begin at 0: it takes no initial values"
            )
        self._states = {name: aligned_zeros(self._table.size, self._dtype) for name in _STATES[type(rule)]}
        if isinstance(rule, Adagrad):
            self._states["sums"][:] = rule.initial

    def apply(self, push: Delta, active: int) -> None:
        """Take a step with the gradients of a push.

        Raises
        ------
        ValueError
            For values that are not finite (named by key), or of a wrong shape; nothing is applied then.
        UnknownKeysError
            Where `missing` would have named the key set.
        """
        rows = self._rows(push)
        gradients = self._numbers(push.values, rows, "a gradient")
        rule, number = self.rule, self._dtype.type
        args = (self._table, self._width, *rows.where, gradients)
        if isinstance(rule, Adagrad):
            step_adagrad(*args, self._states["sums"], number(rule.eta), number(rule.eps))
        elif isinstance(rule, Ftrl):
            settings = (number(value) for value in (rule.alpha, rule.beta, rule.l1, rule.l2))
            step_ftrl(*args, self._states["sums"], self._states["z"], *settings)
        else:
            factor = -rule.eta if isinstance(rule, Sgd) else 1.0
            factors = np.full(self.layout.width, factor, self._dtype)
            add_multiples(*args, factors, np.uint64(0), np.uint64(0))
        self._mark(rows)

    def _read(self, rows: Rows) -> np.ndarray:
        out = np.empty(int(rows.n) * self.layout.width, self._dtype)
        read_rows(self._table, self._width, *rows.where, np.ones(self.layout.width, self._dtype), out)
        return out

    def _arrays(self) -> dict[str, np.ndarray]:
        return super()._arrays() | self._states

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        missing = sorted(self._states.keys() - state.keys())
        if missing:
            raise ValueError(f"the snapshot has no {missing[0]}: it was not taken under {self.rule}")
        super().restore(state)
