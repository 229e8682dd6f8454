"""Compiled loops of a shard's table.

Tables are flat: number `c` of row `r` is element ``r * width + c``. `rows` are the rows that a payload names, `whole`
says that they are the consecutive ones from `first` on. Tables of one column (linear models) have loops of their own,
which the compiler turns into vector instructions.
"""

from __future__ import annotations

import numpy as np

from hogwild.compiled import inlined, kernel, strict_kernel
from hogwild.engine.merge import damped_factor

BLOCK = 4096


@strict_kernel
def first_not_finite(bits, mask):
    """Number of the first NaN or infinity among floats seen as integers, `mask` their exponent bits; -1: none."""
    n = np.uint64(bits.size)
    for start in range(np.uint64(0), n, np.uint64(BLOCK)):
        stop, found = min(start + np.uint64(BLOCK), n), np.uint64(0)
        for i in range(start, stop):
            found += np.uint64((bits[i] & mask) == mask)
        if found:
            for i in range(start, stop):
                if (bits[i] & mask) == mask:
                    return np.int64(i)
    return np.int64(-1)


@inlined
def row_at(rows, whole, first, i):
    """Row number `i` of a payload."""
    return first + i if whole else np.uint64(rows[i])


@kernel
def mark(changed, rows, whole, first, n, version):
    """Note the version at which rows changed."""
    if whole:
        for i in range(first, first + n):
            changed[i] = version
    else:
        for i in range(n):
            changed[np.uint64(rows[i])] = version


@kernel
def count_changed(changed, rows, whole, since):
    """How many of the rows changed after version `since`."""
    n, found = np.uint64(changed.size if whole else rows.size), np.uint64(0)
    for i in range(n):
        found += np.uint64(changed[row_at(rows, whole, np.uint64(0), i)] > since)
    return found


@kernel
def list_changed(changed, rows, whole, since, positions):
    """Write the positions of the rows that changed after version `since`."""
    n, found = np.uint64(changed.size if whole else rows.size), np.uint64(0)
    for i in range(n):
        if changed[row_at(rows, whole, np.uint64(0), i)] > since:
            positions[found] = i
            found += np.uint64(1)


@kernel
def put_rows(table, width, rows, whole, first, values):
    """Overwrite rows of the table."""
    n = np.uint64(values.size) // width
    for i in range(n):
        r = row_at(rows, whole, first, i)
        for c in range(width):
            table[r * width + c] = values[i * width + c]


@kernel
def add_multiples(table, width, rows, whole, first, deltas, factors, origin, stride):
    """``table += factors * deltas``: a factor for each column (`stride` 0) or number from row `origin` on (`width`)."""
    n = np.uint64(deltas.size) // width
    if width == 1 and stride == 0:
        factor = factors[0]
        if whole:
            for i in range(n):
                table[first + i] += factor * deltas[i]
        else:
            for i in range(n):
                table[np.uint64(rows[i])] += factor * deltas[i]
        return
    for i in range(n):
        r = row_at(rows, whole, first, i)
        to, at, column = r * width, i * width, (r - origin) * stride
        for c in range(width):
            table[to + c] += factors[column + c] * deltas[at + c]


@kernel
def add_damped(table, width, rows, whole, first, deltas, curvature, x, n_active, factors, damped, mean, origin, stride):
    """``table += factors * s * deltas``, ``s = damped_factor(x * curvature * damped + mean, n_active)``."""
    n = np.uint64(deltas.size) // width
    if width == 1 and stride == 0:
        factor, x, plain = factors[0], x * damped[0], mean[0]
        if whole:
            for i in range(n):
                s = damped_factor(x * curvature[first + i] + plain, n_active)
                table[first + i] += factor * s * deltas[i]
        else:
            for i in range(n):
                r = np.uint64(rows[i])
                table[r] += factor * damped_factor(x * curvature[r] + plain, n_active) * deltas[i]
        return
    for i in range(n):
        r = row_at(rows, whole, first, i)
        to, at, column = r * width, i * width, (r - origin) * stride
        for c in range(width):
            a = x * curvature[to + c] * damped[column + c] + mean[column + c]
            table[to + c] += factors[column + c] * damped_factor(a, n_active) * deltas[at + c]


@kernel
def read_rows(table, width, rows, whole, first, scales, out):
    """Copy rows out, each column times its scale."""
    n = np.uint64(out.size) // width
    if width == 1:
        scale = scales[0]
        if whole:
            for i in range(n):
                out[i] = scale * table[first + i]
        else:
            for i in range(n):
                out[i] = scale * table[np.uint64(rows[i])]
        return
    for i in range(n):
        to, at = row_at(rows, whole, first, i) * width, i * width
        for c in range(width):
            out[at + c] = scales[c] * table[to + c]


@strict_kernel
def read_truncated(table, width, rows, whole, first, decays, scale, owed, out):
    """Copy rows out, columns with a penalty moved towards 0 by what they owe, then times `scale`."""
    n = np.uint64(out.size) // width
    for i in range(n):
        to, at = row_at(rows, whole, first, i) * width, i * width
        for c in range(width):
            stored = table[to + c]
            if decays[c]:
                left = scale * max(abs(stored) - owed, 0.0)
                stored = left if stored > 0.0 else -left
            out[at + c] = stored


@kernel
def scale_columns(table, width, n, scales):
    """Multiply the columns of the first `n` rows."""
    for i in range(n):
        for c in range(width):
            table[i * width + c] *= scales[c]


# ------------------------------------------------------------------------------------------------ the worker's side


@strict_kernel
def list_touched(base, local, width, n_features, factors, tolerance, positions):
    """Write the positions of rows that a phase has changed; `factors` are what L2 has shrunk features' columns by.

    A number that differs from its shrunk base by less than `tolerance` times itself was not touched: engines multiply
    the scale into all weights.
    """
    n, found = np.uint64(base.size) // width, np.uint64(0)
    for i in range(n):
        shrunk, at, touched = i < n_features, i * width, False
        for c in range(width):
            before = base[at + c]
            if shrunk:
                before *= factors[c]
            touched |= not (abs(local[at + c] - before) <= tolerance * abs(before))
        if touched:
            positions[found] = i
            found += np.uint64(1)
    return found


@kernel
def differences(base, local, width, n_features, factors, rows, whole, out):
    """``out = local - factors * base`` of some rows."""
    n = np.uint64(out.size) // width
    for i in range(n):
        r = row_at(rows, whole, np.uint64(0), i)
        to, at = r * width, i * width
        if r < n_features:
            for c in range(width):
                out[at + c] = local[to + c] - factors[c] * base[to + c]
        else:
            for c in range(width):
                out[at + c] = local[to + c] - base[to + c]


@strict_kernel
def carry_rows(table, width, rows, whole, n, decays, factor, truncated):
    """Bring rows up to date that no push has touched: shrunk by `factor`, then truncated."""
    for i in range(n):
        to = row_at(rows, whole, np.uint64(0), i) * width
        for c in range(width):
            if decays[c]:
                weight = factor * np.float64(table[to + c])
                left = max(abs(weight) - truncated, 0.0)
                table[to + c] = left if weight > 0.0 else -left


@kernel
def merge_again(before, after, curvature, used, x, n_active, out):
    """``before + s / s' * (after - before)``: factors of a damped merge for `x` instead of `used`."""
    for j in range(np.uint64(before.size)):
        ratio = damped_factor(x * curvature[j], n_active) / damped_factor(used * curvature[j], n_active)
        out[j] = before[j] + ratio * (after[j] - before[j])
