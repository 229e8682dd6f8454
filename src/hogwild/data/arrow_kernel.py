"""Entries of columns to rows of features.

A column gives `present`, `hashes` and `values`, one for each element; row i owns the elements up to ``ends[i]``.
"""

from __future__ import annotations

import numpy as np

from hogwild.compiled import kernel
from hogwild.data.hashing_kernel import hashed_index, hashed_sign

_1 = np.uint64(1)


@kernel
def count_present(ends, present, counts):
    """Add each row's number of present elements to `counts`."""
    j = np.uint64(0)
    for i in range(np.uint64(ends.size)):
        while j < ends[i]:
            counts[i] += np.uint64(present[j])
            j += _1


@kernel
def scatter(ends, present, hashes, values, n_features, signed, cursor, indices, out, field, fields):
    """Write the present elements to their rows' entries, of which ``cursor[i]`` is the next free one.

    `fields` is empty where nobody asks for them.
    """
    j = np.uint64(0)
    for i in range(np.uint64(ends.size)):
        while j < ends[i]:
            if present[j]:
                indices[cursor[i]] = hashed_index(hashes[j], n_features)
                out[cursor[i]] = values[j] * hashed_sign(hashes[j]) if signed else values[j]
                if fields.size:
                    fields[cursor[i]] = field
                cursor[i] += _1
            j += _1
