"""Hashed names of features: memory that does not grow with the number of names."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1 << 16)  # a hash takes .1 us a letter
def hashed(name: str, size: int) -> str:
    """Return a name's FNV-1 hash of 64 bits, modulo `size`, in decimal digits (its bytes are taken as signed)."""
    value = 14695981039346656037
    for byte in name.encode("utf-8", "surrogateescape"):
        value = (value * 1099511628211) & 0xFFFFFFFFFFFFFFFF
        value ^= byte if byte < 128 else byte | 0xFFFFFFFFFFFFFF00
    return str(value % size)
