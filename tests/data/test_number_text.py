"""Rows as text: every float32 reads back with the same bits, in no more digits than NumPy takes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.data.number_text import rows_text

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
plain = st.one_of(
    st.floats(2**-13, 2**29, width=32), st.floats(-(2**29), -(2**-13), width=32), st.integers(-(10**8), 10**8)
)


def text_of(values: np.ndarray) -> list[str]:
    n = len(values)
    text = rows_text(["1"], np.array([0, n]), np.arange(n), values, 1)
    words = text.decode().split()
    assert words[0] == "1" and text.endswith(b"\n")
    indices, numbers = zip(*(word.split(":") for word in words[1:]), strict=True)
    assert [int(index) for index in indices] == list(range(1, n + 1))
    return list(numbers)


def shortest(value: np.float32) -> str:
    return np.format_float_positional(value, unique=True, trim="-")


@settings(deadline=None)
@given(st.lists(finite, min_size=1, max_size=40))
def test_any_number_reads_back(numbers):
    values = np.array(numbers, np.float32)
    found = np.array([np.float32(text) for text in text_of(values)])
    np.testing.assert_array_equal(found.view(np.uint32), values.view(np.uint32))


@settings(deadline=None)
@given(st.lists(plain, min_size=1, max_size=40))
def test_plain_numbers_take_the_fewest_digits(numbers):
    values = np.array(numbers, np.float32)
    for text, value in zip(text_of(values), values, strict=True):
        assert np.float32(text).view(np.uint32) == value.view(np.uint32) or value == 0
        assert len(text) <= len(shortest(value))


def test_every_width_of_number():
    powers = np.array([10.0**k for k in range(-9, 9)], np.float32)
    values = np.concatenate([powers, -powers, np.nextafter(powers, np.float32(np.inf)), powers * np.float32(9.99)])
    assert [np.float32(text) for text in text_of(values)] == values.tolist()


@pytest.mark.parametrize("dtype", [np.float64, np.int32, bool])
def test_other_types(dtype):
    values = np.array([0.1, 3, 1]).astype(dtype)
    assert [float(text) for text in text_of(values)] == values.astype(np.float64).tolist()


def test_rows_labels_and_fields():
    indptr, fields = np.array([0, 1, 1, 3]), np.array([4, 5, 6], np.uint32)
    values = np.array([1, 0.5, -2], np.float32)
    assert rows_text(["a", "", "ü"], indptr, np.arange(3), values) == "a 0:1\n\nü 1:0.5 2:-2\n".encode()
    assert rows_text(["1", "2", "3"], indptr, np.arange(3), values, 1, fields) == b"1 4:1:1\n2\n3 5:2:0.5 6:3:-2\n"
    assert rows_text([], np.array([0]), np.arange(0), values[:0]) == b""
