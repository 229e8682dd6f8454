"""MurmurHash3, whole and in pieces, against scikit-learn's; numbers and signs of features; crosses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction import FeatureHasher
from sklearn.utils import murmurhash3_32

from hogwild.compiled import kernel
from hogwild.data.hashing import cross, hash_names, place
from hogwild.data.hashing_kernel import START, finished, hash_all, murmur, with_byte, with_text

names = st.lists(st.binary(max_size=40), max_size=8)


@kernel
def in_pieces(text, ends, by_bytes):
    h, rest, length = START
    start = np.uint64(0)
    for i in range(np.uint64(ends.size)):
        if by_bytes[i]:
            for p in range(start, ends[i]):
                h, rest, length = with_byte(h, rest, length, text[p])
        else:
            h, rest, length = with_text(h, rest, length, text, start, ends[i])
        start = ends[i]
    return finished(h, rest, length)


@kernel
def whole(text, start, stop):
    return murmur(text, np.uint64(start), np.uint64(stop))


def padded(content, byte=255):
    """What lies behind must not matter."""
    return np.frombuffer(content + bytes([byte]) * 8, np.uint8)


@settings(deadline=None)
@given(names)
def test_names_hash_as_in_scikit_learn(names):
    assert hash_names(names).tolist() == [murmurhash3_32(name, positive=True) for name in names]


def test_text_is_hashed_as_utf8():
    assert hash_names(["käse=1"]).tolist() == [murmurhash3_32("käse=1".encode(), positive=True)]
    assert hash_names([]).dtype == np.uint32


@settings(deadline=None)
@given(names, st.data())
def test_pieces_hash_as_the_whole(pieces, data):
    by_bytes = np.array(data.draw(st.lists(st.booleans(), min_size=len(pieces), max_size=len(pieces))), bool)
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.uint64)
    content = b"".join(pieces)
    expected = murmurhash3_32(content, positive=True)
    assert in_pieces(padded(content), ends, by_bytes) == expected
    assert whole(padded(b"before" + content), 6, 6 + len(content)) == expected


@settings(deadline=None)
@given(st.binary(max_size=9), names)
def test_names_behind_a_prefix(prefix, names):
    """With nothing readable behind the last one."""
    offsets = np.cumsum([0, *map(len, names)], dtype=np.uint64)
    hashes = np.empty(len(names), np.uint32)
    hash_all(np.frombuffer(prefix, np.uint8), np.frombuffer(b"".join(names), np.uint8), offsets, hashes)
    assert hashes.tolist() == [murmurhash3_32(prefix + name, positive=True) for name in names]


@settings(deadline=None)
@given(st.lists(st.text("abcdefgh", min_size=1, max_size=6), unique=True, min_size=1, max_size=20), st.booleans())
def test_places_are_those_of_scikit_learn(names, signed):
    indices, signs = place(hash_names(names), 1 << 20)
    row = FeatureHasher(1 << 20, alternate_sign=signed).transform([dict.fromkeys(names, 1.0)])
    expected = np.zeros(1 << 20)
    np.add.at(expected, indices, signs if signed else 1.0)
    np.testing.assert_array_equal(expected[row.indices], row.data)
    assert expected.astype(bool).sum() == (row.data != 0).sum()


@pytest.mark.parametrize("n_features", [1, 2, 7, 1000, 1 << 20, 1 << 31, (1 << 31) - 1, 1 << 32])
def test_places_of_extreme_hashes(n_features):
    hashes = np.array([0, 1, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF], np.uint32)
    indices, signs = place(hashes, n_features)
    signed = [int(h) - (1 << 32) if h >= 1 << 31 else int(h) for h in hashes]
    assert indices.tolist() == [abs(h) % n_features for h in signed]
    assert signs.tolist() == [-1.0 if h < 0 else 1.0 for h in signed]


def naive_cross(a, b):
    h = (a * 16_777_619 ^ b) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = (h ^ h >> shift) * factor & 0xFFFFFFFF
    return h ^ h >> 16


words = st.integers(0, 2**32 - 1)


@settings(deadline=None)
@given(st.lists(st.tuples(words, words), max_size=10))
def test_crosses(pairs):
    a, b = (np.array([pair[side] for pair in pairs], np.uint32) for side in (0, 1))
    assert cross(a, b).tolist() == [naive_cross(*pair) for pair in pairs]
    if pairs:
        assert cross(a[:, None], b).shape == (len(pairs), len(pairs))
        assert cross(a[:, None], b[:1])[:, 0].tolist() == [naive_cross(first, int(b[0])) for first in a.tolist()]
