"""Feature hashing: names to feature numbers by MurmurHash3 (32 bits, Appleby), the one that scikit-learn uses.

The number of a name is ``|h| mod n_features`` with h the hash as a signed number, as in scikit-learn's FeatureHasher;
a negative h turns the value's sign where hashing is signed (`alternate_sign` there), so that collisions cancel in the
mean. Names of categories are ``column=value``, names of numbers ``column``: what FeatureHasher makes of dicts.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hogwild.data.hashing_kernel import cross_all, hash_all, place_all

_NO_PREFIX = np.empty(0, np.uint8)


def hash_names(names: Iterable[str | bytes]) -> np.ndarray:
    """Return the hash (uint32) of each name, in UTF-8."""
    encoded = [name.encode() if isinstance(name, str) else name for name in names]
    offsets = np.zeros(len(encoded) + 1, np.uint64)
    np.cumsum([len(name) for name in encoded], out=offsets[1:])
    hashes = np.empty(len(encoded), np.uint32)
    hash_all(_NO_PREFIX, np.frombuffer(b"".join(encoded), np.uint8), offsets, hashes)
    return hashes


def place(hashes: np.ndarray, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return feature numbers (uint32) and signs (float32) of hashes.

    Examples
    --------
    >>> from hogwild.data.hashing import hash_names, place
    >>> indices, signs = place(hash_names(["dog", "cat=3"]), 1024)
    >>> from sklearn.feature_extraction import FeatureHasher
    >>> FeatureHasher(1024).transform([{"dog": 1}, {"cat": "3"}]).indices.tolist() == indices.tolist()
    True
    """
    indices, signs = np.empty(len(hashes), np.uint32), np.empty(len(hashes), np.float32)
    place_all(np.ascontiguousarray(hashes, np.uint32), np.uint64(n_features), indices, signs)
    return indices, signs


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the hashes of pairs of features, element by element (see `hashing_kernel.cross_hash`)."""
    a, b = np.broadcast_arrays(np.asarray(a, np.uint32), np.asarray(b, np.uint32))
    out = np.empty(a.size, np.uint32)
    cross_all(np.ascontiguousarray(a).ravel(), np.ascontiguousarray(b).ravel(), out)
    return out.reshape(a.shape)
