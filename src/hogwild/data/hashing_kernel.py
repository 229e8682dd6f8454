"""MurmurHash3 (32 bits, Appleby) in compiled code, of text that comes in pieces: ``column=`` and a value, n-grams.

A hash in the making is `h`, that of the whole words of four bytes so far; `rest`, the up to three bytes behind them,
the first one lowest; and `length`, the number of bytes. A common beginning is hashed once, all names go on from there.
"""

from __future__ import annotations

import numpy as np

from hogwild.compiled import inlined, kernel
from hogwild.data.numerals import load_word

START = (np.uint32(0), np.uint64(0), np.uint64(0))  # a hash of nothing yet, with seed 0

_0, _1, _3, _4, _8, _32 = (np.uint64(i) for i in (0, 1, 3, 4, 8, 32))
_C1, _C2 = np.uint32(0xCC9E2D51), np.uint32(0x1B873593)
_LOW_HALF = np.uint64(0xFFFFFFFF)
_CROSS = np.uint32(16_777_619)  # FNV's prime


@inlined
def _times(x, y):
    """Product modulo 2**32: Numba widens products of uint32 to 64 bits."""
    return np.uint32(np.uint32(x) * np.uint32(y))


@inlined
def _rotate(x, r):
    return np.uint32(np.uint32(x << np.uint32(r)) | np.uint32(x >> np.uint32(32 - r)))


@inlined
def _scrambled(word):
    return _times(_rotate(_times(word, _C1), 15), _C2)


@inlined
def _mixed(h, word):
    """Take in the lower half of `word`."""
    h = np.uint32(h ^ _scrambled(np.uint32(word)))
    return np.uint32(_times(_rotate(h, 13), 5) + np.uint32(0xE6546B64))


@inlined
def _avalanche(h):
    h = _times(h ^ (h >> np.uint32(16)), 0x85EBCA6B)
    h = _times(h ^ (h >> np.uint32(13)), 0xC2B2AE35)
    return np.uint32(h ^ (h >> np.uint32(16)))


# ------------------------------------------------------------------------------------------------ hashes in the making


@inlined
def with_byte(h, rest, length, byte):
    """Go on by one byte."""
    held = length & _3
    rest |= np.uint64(byte) << (held << _3)
    if held == _3:
        return _mixed(h, rest), _0, length + _1
    return h, rest, length + _1


@inlined
def with_text(h, rest, length, text, start, stop):
    """Go on by ``text[start:stop]``, readable for 8 bytes behind its end."""
    held = length & _3
    shift = held << _3
    p = start
    while p + _8 <= stop:
        word = load_word(text, p)
        rest |= (word & _LOW_HALF) << shift
        h = _mixed(h, rest)
        rest = (rest >> _32) | ((word >> _32) << shift)
        h = _mixed(h, rest)
        rest >>= _32
        p += _8
    left = stop - p
    word = load_word(text, p) & ((_1 << (left << _3)) - _1)
    if left >= _4:
        rest |= (word & _LOW_HALF) << shift
        h = _mixed(h, rest)
        rest >>= _32
        word >>= _32
        left -= _4
    rest |= word << shift
    if held + left >= _4:
        h = _mixed(h, rest)
        rest >>= _32
    return h, rest, length + (stop - start)


@inlined
def finished(h, rest, length):
    """Hash, uint32, of all that was taken in; bytes that are not there change nothing."""
    return _avalanche(np.uint32(h ^ _scrambled(np.uint32(rest)) ^ np.uint32(length)))


# ------------------------------------------------------------------------------------------------ whole names


@inlined
def murmur(text, start, stop):
    """Hash of ``text[start:stop]``, readable for 8 bytes behind its end."""
    h, rest, length = START
    h, rest, length = with_text(h, rest, length, text, start, stop)
    return finished(h, rest, length)


@kernel
def begin_all(text, ends, h, rests):
    """Begin the hashes of names that follow each other in `text`, readable for 8 bytes behind the last."""
    start = _0
    for i in range(np.uint64(ends.size)):
        h[i], rests[i], _ = with_text(np.uint32(0), _0, _0, text, start, ends[i])
        start = ends[i]


@kernel
def hash_all(prefix, text, offsets, hashes):
    """Hash `prefix` followed by ``text[offsets[i]:offsets[i + 1]]``, for each i; nothing behind either is read."""
    first_h, first_rest, first_length = START
    for i in range(np.uint64(prefix.size)):
        first_h, first_rest, first_length = with_byte(first_h, first_rest, first_length, prefix[i])
    for i in range(np.uint64(hashes.size)):
        start, stop = offsets[i], offsets[i + _1]
        h, rest, length = first_h, first_rest, first_length
        if stop + _8 <= np.uint64(text.size):
            h, rest, length = with_text(h, rest, length, text, start, stop)
        else:
            for p in range(start, stop):
                h, rest, length = with_byte(h, rest, length, text[p])
        hashes[i] = finished(h, rest, length)


# ------------------------------------------------------------------------------------------------ hashes to features


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
    return _avalanche(np.uint32(_times(a, _CROSS) ^ np.uint32(b)))


@kernel
def place_all(hashes, n_features, indices, signs):
    """Feature number and sign of each hash."""
    for i in range(np.uint64(hashes.size)):
        indices[i] = hashed_index(hashes[i], n_features)
        signs[i] = hashed_sign(hashes[i])


@kernel
def cross_all(a, b, out):
    """`cross_hash`, element by element."""
    for i in range(np.uint64(out.size)):
        out[i] = cross_hash(a[i], b[i])
