"""A counter that threads and processes ask for the next number."""

from __future__ import annotations

import numpy as np

from hogwild.compiled import fetch_add, kernel


@kernel
def take(cursor):
    """Take the next number: each is taken once, whatever the number of threads or processes that ask."""
    return fetch_add(cursor, np.uint64(0), np.int64(1))
