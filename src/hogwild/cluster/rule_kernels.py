"""Compiled steps of the rules that a shard takes with gradients; rows as in store_kernels.py."""

from __future__ import annotations

import numpy as np

from hogwild.cluster.store_kernels import row_at
from hogwild.compiled import kernel


@kernel
def step_adagrad(table, width, rows, whole, first, gradients, sums, eta, eps):
    """``sums += g^2; w -= eta g / (sqrt(sums) + eps)``; a gradient of 0 moves nothing."""
    n = np.uint64(gradients.size) // width
    for i in range(n):
        to, at = row_at(rows, whole, first, i) * width, i * width
        for c in range(width):
            g = gradients[at + c]
            total = sums[to + c] + g * g
            sums[to + c] = total
            if g != 0.0:
                table[to + c] -= eta * g / (np.sqrt(total) + eps)


@kernel
def step_ftrl(table, width, rows, whole, first, gradients, sums, z, alpha, beta, l1, l2):
    """FTRL-proximal, the weight written out."""
    n = np.uint64(gradients.size) // width
    for i in range(n):
        to, at = row_at(rows, whole, first, i) * width, i * width
        for c in range(width):
            g, before, weight = gradients[at + c], sums[to + c], table[to + c]
            total = before + g * g
            slope = np.sqrt(total)
            moved = z[to + c] + g - (slope - np.sqrt(before)) / alpha * weight
            sums[to + c], z[to + c] = total, moved
            size = max(abs(moved) - l1, table.dtype.type(0)) / ((beta + slope) / alpha + l2)
            table[to + c] = -size if moved > 0.0 else size
