"""MurmurHash3 of text that comes in pieces: ``column=`` and a value, or the words of an n-gram.

The state is `h`, the bytes that do not fill a word of four yet (`rest`, the first one lowest) and how many these are.
"""

from __future__ import annotations

import numpy as np

from hogwild.compiled import inlined, kernel
from hogwild.data.hashing import _C1, _C2, _finish, _mix_word, _rotate, _times

_0, _1, _2, _3, _4, _8, _32 = (np.uint64(i) for i in (0, 1, 2, 3, 4, 8, 32))


@inlined
def push_byte(h, rest, held, byte):
    """Take in one byte; `rest` and `held` are uint64."""
    rest |= np.uint64(byte) << (held << _3)
    held += _1
    if held == _4:
        return _mix_word(h, np.uint32(rest)), _0, _0
    return h, rest, held


@inlined
def push_bytes(h, rest, held, text, start, stop):
    """Take in ``text[start:stop]``."""
    p, shift = start, held << _3
    while p + _4 <= stop:
        word = np.uint64(text[p]) | (np.uint64(text[p + _1]) << _8)
        word |= (np.uint64(text[p + _2]) << np.uint64(16)) | (np.uint64(text[p + _3]) << np.uint64(24))
        rest |= word << shift
        h = _mix_word(h, np.uint32(rest))
        rest >>= _32
        p += _4
    while p < stop:
        h, rest, held = push_byte(h, rest, held, text[p])
        p += _1
    return h, rest, held


@inlined
def close(h, rest, length):
    """Hash of all that was taken in, `length` bytes; no bytes held change nothing."""
    h = np.uint32(h ^ _times(_rotate(_times(np.uint32(rest), _C1), 15), _C2))
    return _finish(np.uint32(h ^ np.uint32(length)))


@kernel
def hash_texts(prefix, text, offsets, hashes):
    """Hash `prefix` followed by ``text[offsets[i]:offsets[i + 1]]``, for each i."""
    first_h, first_rest, first_held = push_bytes(np.uint32(0), _0, _0, prefix, _0, np.uint64(prefix.size))
    for i in range(np.uint64(hashes.size)):
        start, stop = offsets[i], offsets[i + _1]
        h, rest, _ = push_bytes(first_h, first_rest, first_held, text, start, stop)
        hashes[i] = close(h, rest, np.uint64(prefix.size) + stop - start)
