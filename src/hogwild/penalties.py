"""Penalties of one weight, applied lazily: a weight takes what has accumulated since it was last looked at.

L2 of plain SGD is no function here: it is the scale factor of the clock (schedules.py).
"""

from __future__ import annotations

import numpy as np

from hogwild.compiled import inlined, strict_inlined

PENALTIES = ("l2", "l1", "elasticnet", None)


@strict_inlined
def truncate(weight, received, penalty):
    """L1 by cumulative truncation (Tsuruoka, Tsujii, Ananiadou 2009).

    `penalty` is what any weight could have received so far, `received` what this one has. Returns the weight, moved
    towards 0 by the difference and never across.
    """
    if weight > 0.0:
        return max(0.0, weight - max(penalty + received, 0.0))
    if weight < 0.0:
        return min(0.0, weight + max(penalty - received, 0.0))
    return weight


@strict_inlined
def proximal(weight, strength, l1_ratio):
    """Elastic net as one implicit step, s = strength, r = l1_ratio.

    ``argmin_v (v - weight)^2 / 2 + s (r |v| + (1 - r) v^2 / 2)``
    """
    shrunk = max(abs(weight) - strength * l1_ratio, 0.0) / (1.0 + strength * (1.0 - l1_ratio))
    return shrunk if weight > 0.0 else -shrunk


@inlined
def ftrl_weight(z, n, eta0, beta, penalty, l1_ratio):
    """Weight of FTRL-proximal (McMahan et al. 2013) from its sums z and n.

    `penalty` is alpha times the rows seen, so that the penalty weighs against the mean loss as in the other rules.
    """
    slack = abs(z) - penalty * l1_ratio
    if slack <= 0.0:
        return 0.0
    size = slack / ((beta + np.sqrt(n)) / eta0 + penalty * (1.0 - l1_ratio))
    return -size if z > 0.0 else size
