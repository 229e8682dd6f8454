"""libffm's random numbers: against the C library where it is GNU's, and against slow twins."""

import ctypes
import platform

import numpy as np
import pytest

from hogwild.engine.libffm_order import GlibcRandom, LibffmOrder, fill_initial_weights
from hogwild.engine.order import epoch_rows


def naive_random_shuffle(n, numbers):
    rows = list(range(n))
    for i in range(1, n):
        j = next(numbers) % (i + 1)
        rows[i], rows[j] = rows[j], rows[i]
    return rows


def endless(random):
    while True:
        yield int(random.draw(1)[0])


def test_known_numbers():
    """What a C program prints that calls rand() without a seed."""
    assert GlibcRandom().draw(5).tolist() == [1804289383, 846930886, 1681692777, 1714636915, 1957747793]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")
@pytest.mark.parametrize("seed", [1, 2, 12345, 2**31 - 2])
def test_numbers_of_the_c_library(seed):
    library = ctypes.CDLL(None)
    library.srand(seed)
    assert GlibcRandom(seed).draw(2000).tolist() == [library.rand() for _ in range(2000)]


def test_skip():
    one, other = GlibcRandom(), GlibcRandom()
    one.skip(1000)
    assert one.draw(3).tolist() == other.draw(1003)[-3:].tolist()


@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_permutation(n):
    assert GlibcRandom().permutation(n).tolist() == naive_random_shuffle(n, endless(GlibcRandom()))


def test_epochs_shuffle_blocks_then_rows_and_the_validation_rows_as_well():
    starts, validation = np.array([0, 7, 12, 12]), np.array([0, 4, 4])
    order, numbers = LibffmOrder(starts, validation), endless(GlibcRandom())
    for _ in range(3):
        expected = []
        for block in naive_random_shuffle(3, numbers):
            size = int(starts[block + 1] - starts[block])
            expected += [int(starts[block]) + row for row in naive_random_shuffle(size, numbers)]
        assert epoch_rows(order(None, 12, np.empty(0, np.uint32))).tolist() == expected
        for block in naive_random_shuffle(2, numbers):
            naive_random_shuffle(int(validation[block + 1] - validation[block]), numbers)


def test_skipped_epochs():
    orders = [LibffmOrder(np.array([0, 9, 9]), np.array([0, 3, 3])) for _ in range(2)]
    orders[0].skip(2)
    assert orders[0].epoch().tolist() == [orders[1].epoch().tolist() for _ in range(3)][-1]


def test_other_numbers_of_rows_are_refused():
    with pytest.raises(ValueError, match="found 3 rows to order, expected all of the 9"):
        LibffmOrder(np.array([0, 9, 9]))(None, 3, np.empty(0, np.uint32))


@pytest.mark.parametrize("k", [1, 4, 6])
def test_initial_weights(k):
    weights = np.full((3, 2, -(-k // 4), 2, 4), np.nan, np.float32)
    fill_initial_weights(weights, k)
    x = 1
    for j in range(3):
        for f in range(2):
            for d in range(weights.shape[2] * 4):
                expected = np.float32(0)
                if d < k:
                    x = x * 16807 % 2147483647
                    share = min(np.float32(x - 1) / np.float32(2147483646), np.float32(1 - 2.0**-24))
                    expected = np.float32(1 / np.sqrt(k)) * share
                assert weights[j, f, d // 4, 0, d % 4] == expected
    assert np.all(weights[..., 1, :] == 1)
