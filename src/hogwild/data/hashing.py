"""Feature hashing: names to feature numbers by MurmurHash3 (32 bits, Appleby), the one that scikit-learn uses.

The number of a name is ``|h| mod n_features`` with h the hash as a signed number, as in scikit-learn's FeatureHasher;
a negative h turns the value's sign where hashing is signed (`alternate_sign` there), so that collisions cancel in the
mean. Names of categories are ``column=value``, names of numbers ``column``: what FeatureHasher makes of dicts.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hogwild.compiled import inlined, kernel

_C1, _C2 = np.uint32(0xCC9E2D51), np.uint32(0x1B873593)
_0, _1, _2, _3, _4 = (np.uint64(i) for i in range(5))
_CROSS = np.uint32(16_777_619)  # FNV's prime


@inlined
def _times(x, y):
    """Product modulo 2**32: Numba widens products of uint32 to 64 bits."""
    return np.uint32(np.uint32(x) * np.uint32(y))


@inlined
def _rotate(x, r):
    return np.uint32(np.uint32(x << np.uint32(r)) | np.uint32(x >> np.uint32(32 - r)))


@inlined
def _mix_word(h, word):
    h = np.uint32(h ^ _times(_rotate(_times(word, _C1), 15), _C2))
    return np.uint32(_times(_rotate(h, 13), 5) + np.uint32(0xE6546B64))


@inlined
def _finish(h):
    h = _times(h ^ (h >> np.uint32(16)), 0x85EBCA6B)
    h = _times(h ^ (h >> np.uint32(13)), 0xC2B2AE35)
    return np.uint32(h ^ (h >> np.uint32(16)))


@inlined
def murmur(text, start, stop, seed):
    """MurmurHash3 of the bytes ``text[start:stop]``, as uint32."""
    p, length = np.uint64(start), np.uint64(stop) - np.uint64(start)
    h = np.uint32(seed)
    while p + _4 <= np.uint64(stop):
        word = np.uint32(text[p]) | np.uint32(np.uint32(text[p + _1]) << np.uint32(8))
        word |= np.uint32(np.uint32(text[p + _2]) << np.uint32(16)) | np.uint32(
            np.uint32(text[p + _3]) << np.uint32(24)
        )
        h = _mix_word(h, word)
        p += _4
    rest = np.uint32(0)
    left = np.uint64(stop) - p
    if left >= _3:
        rest ^= np.uint32(np.uint32(text[p + _2]) << np.uint32(16))
    if left >= _2:
        rest ^= np.uint32(np.uint32(text[p + _1]) << np.uint32(8))
    if left >= _1:
        rest ^= np.uint32(text[p])
        h = np.uint32(h ^ _times(_rotate(_times(rest, _C1), 15), _C2))
    return _finish(np.uint32(h ^ np.uint32(length)))


@inlined
def hashed_index(h, n_features):
    """Feature number of the hash `h`: ``|h as int32| mod n_features``."""
    magnitude = np.uint64(h) if h < np.uint32(0x80000000) else np.uint64(0x100000000) - np.uint64(h)
    n = np.uint64(n_features)
    if n & (n - _1) == _0:
        return np.uint32(magnitude & (n - _1))
    return np.uint32(magnitude % n)


@inlined
def hashed_sign(h):
    """-1 where the hash is negative as int32, else 1."""
    return np.float32(-1.0) if h >= np.uint32(0x80000000) else np.float32(1.0)


@inlined
def cross_hash(a, b):
    """Hash of the pair of two features by their hashes, in this order."""
    return _finish(np.uint32(_times(a, _CROSS) ^ np.uint32(b)))


@kernel
def _hash_all(text, ends, hashes):
    start = _0
    for i in range(np.uint64(ends.size)):
        hashes[i] = murmur(text, start, ends[i], np.uint32(0))
        start = ends[i]


@kernel
def _place_all(hashes, n_features, indices, signs):
    for i in range(np.uint64(hashes.size)):
        indices[i] = hashed_index(hashes[i], n_features)
        signs[i] = hashed_sign(hashes[i])


def hash_names(names: Iterable[str | bytes]) -> np.ndarray:
    """Return the hash (uint32) of each name, in UTF-8."""
    encoded = [name.encode() if isinstance(name, str) else name for name in names]
    ends = np.cumsum([len(name) for name in encoded], dtype=np.uint64)
    hashes = np.empty(len(encoded), np.uint32)
    _hash_all(np.frombuffer(b"".join(encoded) + b"\0" * 4, np.uint8), ends, hashes)
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
    _place_all(np.ascontiguousarray(hashes, np.uint32), np.uint64(n_features), indices, signs)
    return indices, signs


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the hashes of pairs of features, element by element (see `cross_hash`)."""
    a, b = np.broadcast_arrays(np.asarray(a, np.uint32), np.asarray(b, np.uint32))
    out = np.empty(a.size, np.uint32)
    _cross_all(np.ascontiguousarray(a).ravel(), np.ascontiguousarray(b).ravel(), out)
    return out.reshape(a.shape)


@kernel
def _cross_all(a, b, out):
    for i in range(np.uint64(out.size)):
        out[i] = cross_hash(a[i], b[i])
