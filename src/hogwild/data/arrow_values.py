"""What Arrow's types mean here, and arrays of them as NumPy arrays: numbers, hashes of text."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from hogwild.data.columns import Columns, matches
from hogwild.data.hashing_kernel import hash_all

if TYPE_CHECKING:
    import pyarrow as pa

_PLACES = 4096  # above any k that transform="bins" gives, twice


def pyarrow() -> ModuleType:
    """PyArrow, with its functions."""
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError as error:
        raise ImportError(
            "tables and Parquet, Feather and Arrow files need PyArrow: pip install hogwild[arrow]"
        ) from error
    return pyarrow


def role(name: str, columns: Columns) -> bool | None:
    """Whether `columns` calls a column a number, False for a category, None for neither; a name in full wins."""
    lists = (columns.numeric, True), (columns.categorical, False)
    named = next((kind for names, kind in lists if name in names), None)
    return next((kind for patterns, kind in lists if matches(name, patterns)), None) if named is None else named


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is one of lists."""
    types = pyarrow().types
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def is_category(kind: pa.DataType) -> bool | None:
    """Whether values of a type are categories, False for numbers; None for what gives no features."""
    types = pyarrow().types
    if types.is_dictionary(kind):
        return None if is_category(kind.value_type) is None else True
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if text or _is_bytes(kind) or types.is_null(kind):
        return True
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind)
    return False if number else None


def _is_bytes(kind: pa.DataType) -> bool:
    types = pyarrow().types
    plain = types.is_binary(kind) or types.is_large_binary(kind)
    return plain or types.is_binary_view(kind) or types.is_fixed_size_binary(kind)


def decoded(array: pa.Array) -> pa.Array:
    """Values in place of places in a dictionary."""
    types = pyarrow().types
    if not types.is_dictionary(array.type):
        return array
    values = array.dictionary
    if types.is_string_view(values.type) or types.is_binary_view(values.type):  # which nothing can be taken from
        values = values.cast(pyarrow().large_binary() if _is_bytes(values.type) else pyarrow().large_string())
    return values.take(array.indices)


def valid(array: pa.Array) -> np.ndarray:
    """Whether each element is not null."""
    return array.is_valid().to_numpy(zero_copy_only=False)


def numbers(array: pa.Array) -> np.ndarray:
    """Numbers as float64, NaN for null; text is read, where empty text is NaN as well."""
    pa, array = pyarrow(), decoded(array)
    if is_category(array.type) and not pa.types.is_null(array.type):
        array = array.cast(pa.large_binary() if _is_bytes(array.type) else pa.large_string()).cast(pa.large_string())
        array = pa.compute.if_else(pa.compute.equal(pa.compute.binary_length(array), 0), None, array)
    return array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64, copy=False)


def hashed(name: str, array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of ``name=value``, and whether the values are longer than nothing."""
    pa, kind = pyarrow(), array.type
    hashes, offsets = np.zeros(len(array), np.uint32), np.zeros(len(array) + 1, np.uint64)
    if pa.types.is_null(kind):
        return hashes, np.zeros(len(array), bool)
    width = np.int32 if pa.types.is_string(kind) or pa.types.is_binary(kind) else np.int64
    if width == np.int64 and not (pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)):
        array = array.cast(pa.large_binary() if _is_bytes(kind) else pa.large_string())
    _, places, text = array.buffers()
    if places is not None and places.size:
        offsets[:] = np.frombuffer(places, width)[array.offset : array.offset + len(array) + 1]
    content = np.frombuffer(text if text is not None else b"", np.uint8)
    hash_all(np.frombuffer(f"{name}=".encode(), np.uint8), content, offsets, hashes)
    return hashes, offsets[1:] > offsets[:-1]


def bins(names: list[str], which: np.ndarray, numbers: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Categories ``name=k``, k the signed floor of ``log2(1 + |x|)``: their names, and which one each number has."""
    floors = np.frexp(1 + np.abs(numbers))[1].astype(np.int64) - 1  # exact, where log2 may round up
    keys = which * _PLACES + np.where(numbers < 0, -floors, floors) + _PLACES // 2
    distinct, inverse = np.unique(keys, return_inverse=True)
    return [f"{names[key // _PLACES]}={key % _PLACES - _PLACES // 2}" for key in distinct.tolist()], inverse
