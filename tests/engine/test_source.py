"""Blocks: the rows that take part, and their weight."""

from __future__ import annotations

import numpy as np
import pytest

from hogwild.engine.source import Block, InMemory
from hogwild.steps.rows import DenseRows


def rows(n, weights=()):
    return DenseRows(np.zeros((n, 2), np.float32), np.zeros(n, np.float32), np.asarray(weights, np.float32))


def kept(*numbers):
    return np.array(numbers, np.uint32)


@pytest.mark.parametrize(
    ("block", "n_rows", "weight"),
    [
        (Block(rows(4)), 4, 4),
        (Block(rows(4), kept(1, 3)), 2, 2),
        (Block(rows(4, [1, 2, 0, 4])), 4, 7),
        (Block(rows(4, [1, 2, 0, 4]), kept(1, 3)), 2, 6),
        (Block(rows(0)), 0, 0),
    ],
)
def test_rows_and_weight(block, n_rows, weight):
    assert (block.n_rows, block.weight) == (n_rows, weight)


def test_memory_is_one_block():
    source, rng = InMemory(rows(4), kept(0, 2)), np.random.default_rng(0)
    before = rng.bit_generator.state
    assert source.n_rows == 2
    assert [block.n_rows for block in source.epoch(rng, 0)] == [2]
    assert list(source.epoch(rng, 1)) == []
    assert source.share() == 1
    assert rng.bit_generator.state == before
