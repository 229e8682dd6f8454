"""The order of an epoch: every row once; blocks of 32 rows stay together; a function of the seed alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.engine.order import BLOCK, CHUNK, FULL_BELOW, draw_order, epoch_rows

ALL = np.empty(0, np.uint32)
SHUFFLES = [False, True, "blocks", "full"]
SIZES = [1, 2, 31, 32, 33, 255, 256, 257, 511, 1024, 5000]


def rows_of(seed: int, n: int, shuffle, kept: np.ndarray = ALL) -> np.ndarray:
    return epoch_rows(draw_order(np.random.default_rng(seed), len(kept) or n, kept, shuffle))


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("n", [*SIZES, FULL_BELOW - 1, FULL_BELOW, FULL_BELOW + 77])
def test_every_row_comes_once(n, shuffle):
    np.testing.assert_array_equal(np.sort(rows_of(0, n, shuffle)), np.arange(n))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3000), st.floats(0.01, 1), st.sampled_from(SHUFFLES), st.integers(0, 2**32))
def test_every_kept_row_comes_once(n, share, shuffle, seed):
    kept = np.flatnonzero(np.random.default_rng(seed).random(n) < share).astype(np.uint32)
    if len(kept):
        np.testing.assert_array_equal(np.sort(rows_of(seed, n, shuffle, kept)), kept)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3000), st.floats(0.01, 1), st.sampled_from(SHUFFLES), st.integers(0, 2**32))
def test_kept_rows_come_in_the_order_of_as_many_rows_alone(n, share, shuffle, seed):
    """Rows of weight 0 change nothing: not even the order of the others."""
    kept = np.flatnonzero(np.random.default_rng(seed).random(n) < share).astype(np.uint32)
    if len(kept):
        np.testing.assert_array_equal(rows_of(seed, n, shuffle, kept), kept[rows_of(seed, len(kept), shuffle)])


@pytest.mark.parametrize("n", SIZES)
def test_file_order_without_shuffle(n):
    np.testing.assert_array_equal(rows_of(0, n, False), np.arange(n))
    kept = np.arange(0, 3 * n, 3, dtype=np.uint32)
    np.testing.assert_array_equal(rows_of(0, 3 * n, False, kept), kept)


@pytest.mark.parametrize("shuffle", [True, "blocks", "full"])
def test_the_seed_decides(shuffle):
    n = FULL_BELOW + 100
    first = rows_of(1, n, shuffle)
    np.testing.assert_array_equal(first, rows_of(1, n, shuffle))
    assert np.mean(first != rows_of(2, n, shuffle)) > 0.9


@pytest.mark.parametrize("shuffle", [True, "blocks", "full"])
def test_epochs_differ(shuffle):
    rng = np.random.default_rng(1)
    first, second = (epoch_rows(draw_order(rng, 4096, ALL, shuffle)) for _ in range(2))
    assert np.mean(first != second) > 0.9


@pytest.mark.parametrize("n", [32, 64, 256, 300, 1000, 4096, 20_000])
def test_blocks_keep_consecutive_rows_together(n):
    rows = rows_of(3, n, "blocks")
    whole = n // BLOCK * BLOCK
    blocks = np.sort(rows[:whole].reshape(-1, BLOCK), axis=1)
    assert (blocks[:, 0] % BLOCK == 0).all()
    np.testing.assert_array_equal(blocks, blocks[:, :1] + np.arange(BLOCK))
    np.testing.assert_array_equal(np.sort(rows[whole:]), np.arange(whole, n))  # what fills no block comes last


def test_blocks_are_in_random_order_and_shuffled_within():
    rows = rows_of(4, 32_768, "blocks").reshape(-1, BLOCK)
    first = rows[:, 0] // BLOCK
    assert abs(np.corrcoef(first, np.arange(len(first)))[0, 1]) < 0.15
    places = np.array([np.bincount(rows[:, k] % BLOCK, minlength=BLOCK) for k in range(BLOCK)])
    assert places.sum() == rows.size
    assert places.min() > 5  # every place of a block gets every row of one, 32 times on average
    assert places.max() < 70


def test_full_shuffle_parts_consecutive_rows():
    rows = rows_of(5, 10_000, "full").astype(int)
    assert np.mean(np.abs(np.diff(rows)) < BLOCK) < 0.05
    assert abs(np.corrcoef(rows, np.arange(len(rows)))[0, 1]) < 0.05


def test_true_is_full_where_that_costs_nothing_and_blocks_beyond():
    np.testing.assert_array_equal(rows_of(6, FULL_BELOW - 1, True), rows_of(6, FULL_BELOW - 1, "full"))
    np.testing.assert_array_equal(rows_of(6, FULL_BELOW, True), rows_of(6, FULL_BELOW, "blocks"))


def test_chunks_hold_whole_blocks():
    assert CHUNK % BLOCK == 0
