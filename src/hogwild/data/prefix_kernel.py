"""MurmurHash3 of names with a common beginning: the beginning is mixed once, and every name goes on from there.

The state is the hash of the whole words so far, the up to three bytes that wait for their word to fill, and their bits.
It starts as ``uint32(seed), uint64(0), uint64(0)``.
"""

from __future__ import annotations

import numpy as np

from hogwild.compiled import inlined
from hogwild.data.hashing import _C1, _C2, _finish, _mix_word, _rotate, _times
from hogwild.data.numerals import load_word

_1, _3, _4, _32 = (np.uint64(i) for i in (1, 3, 4, 32))


@inlined
def mixed(h, waiting, bits, word, count):
    """Go on with a hash by the first `count` (0 to 4) bytes of `word`: the hash, bytes that wait and bits of these."""
    waiting |= (word & ((_1 << (count << _3)) - _1)) << bits
    bits += count << _3
    if bits >= _32:
        h = _mix_word(h, np.uint32(waiting))
        waiting >>= _32
        bits -= _32
    return h, waiting, bits


@inlined
def extended(h, waiting, bits, text, start, stop):
    """Go on with a hash by ``text[start:stop]``."""
    p = start
    while p + _4 <= stop:
        h, waiting, bits = mixed(h, waiting, bits, load_word(text, p), _4)
        p += _4
    return mixed(h, waiting, bits, load_word(text, p), stop - p)


@inlined
def finished(h, waiting, length):
    """Hash of all `length` bytes."""
    h = np.uint32(h ^ _times(_rotate(_times(np.uint32(waiting), _C1), 15), _C2))
    return _finish(np.uint32(h ^ np.uint32(length)))
