"""libffm's model files: the binary one, with the sums of AdaGrad, and the text of its older versions."""

from __future__ import annotations

import json
import os
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np

from hogwild.compiled import aligned_zeros
from hogwild.data.errors import DataError
from hogwild.data.files import PathLike, write_whole

_HEADER = struct.Struct("<iiiB")
_TRAILER = struct.Struct("<8sII")  # behind the weights, where libffm does not look: mark, length and digest of a JSON
_MARK = b"hogwild\0"
_LANES = 4  # weights that stand together, their sums behind them
_SAMPLE = 4096
_TEXT_KEYS = ("n", "m", "k", "normalization")


class LibffmModel(NamedTuple):
    """A field-aware factorization machine as libffm holds it.

    Attributes
    ----------
    n_features, n_fields, n_factors : int
    normalized : bool
        Whether rows are scaled to length 1.
    weights : ndarray of float32, shape (n_features, n_fields, ceil(n_factors / 4), 2, 4)
        Of each feature for each field, four at a time: ``[..., 0, :]`` the weights, ``[..., 1, :]`` the sums of squared
        gradients, which start at 1. Weights beyond `n_factors` are 0.
    about : dict
        What a model of ours adds behind the weights: how its rows were read, where that was no libffm text.
    """

    n_features: int
    n_fields: int
    n_factors: int
    normalized: bool
    weights: np.ndarray
    about: dict[str, Any] = {}  # noqa: RUF012  a NamedTuple's default; nobody changes it


def model_shape(n_features: int, n_fields: int, n_factors: int) -> tuple[int, ...]:
    """Shape of `LibffmModel.weights`."""
    return n_features, n_fields, -(-n_factors // _LANES), 2, _LANES


def read_model(path: PathLike) -> LibffmModel:
    """Read a model file that libffm or `write_model` wrote: binary, or the text of versions before 2017.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    LibffmModel
        A text has no sums: they are 1, as before training. A binary file of a build without SSE is brought in order.

    Raises
    ------
    DataError
        If it is cut off, holds anything else, or weights that are not finite.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = file.read(_HEADER.size)
        if header[:2] == b"n ":
            file.seek(0)
            return _read_text(path, file.read())
        if len(header) < _HEADER.size:
            raise _wrong(path, f"{len(header)} bytes", f"a header of {_HEADER.size} bytes")
        n, m, k, normalized = _HEADER.unpack(header)
        if min(n, m, k) < 1 or normalized > 1:
            sizes = f"{n:,} features, {m:,} fields, {k:,} factors, normalisation {normalized}"
            raise _wrong(path, sizes, "positive numbers, and 0 or 1")
        shape = model_shape(n, m, k)
        count = int(np.prod(shape, dtype=object))
        portable = n * m * k * 2  # floats of a build without SSE
        is_short = size < _HEADER.size + 4 * count
        of = f"{_HEADER.size + 4 * count:,} for {n:,} features x {m:,} fields x {k} factors"
        if is_short and size != _HEADER.size + 4 * portable:
            raise _wrong(path, f"{size:,} bytes", of)
        weights = aligned_zeros(portable if is_short else count, np.float32)
        file.readinto(weights.data)
        if is_short and not (weights[1::2] >= 1).all():
            raise _wrong(path, f"{size:,} bytes", of)
        about = _read_trailer(path, file.read())
    if not np.isfinite(weights.sum()):
        raise _wrong(path, "weights that are not finite", "those of a training that did not diverge")
    if is_short or _is_portable(weights):
        pairs = weights.reshape(n, m, k, 2)
        weights = aligned_zeros(shape, np.float32)
        weights[..., 1, :] = 1
        for d in range(k):
            weights[:, :, d // _LANES, :, d % _LANES] = pairs[:, :, d]
    return LibffmModel(n, m, k, bool(normalized), weights.reshape(shape), about)


def _is_portable(weights: np.ndarray) -> bool:
    """Whether sums, which are never below 1, stand behind each weight and not behind each four."""
    sample = weights[: _SAMPLE * 2 * _LANES]
    return bool((sample[1::2] >= 1).all()) and not (sample.reshape(-1, 2, _LANES)[:, 1] >= 1).all()


def _read_trailer(path: PathLike, content: bytes) -> dict[str, Any]:
    """What stands behind the weights: nothing, in libffm's own files."""
    if not content:
        return {}
    text = content[_TRAILER.size :]
    if len(content) >= _TRAILER.size:
        mark, length, digest = _TRAILER.unpack_from(content)
        if mark == _MARK and length == len(text) and digest == zlib.crc32(text):
            return json.loads(text)
    raise _wrong(path, f"{len(content):,} bytes behind the weights", "the end of the file")


def _read_text(path: PathLike, content: bytes) -> LibffmModel:
    """Read the text of older versions: sizes, then a line for each feature and field."""
    lines = content.decode("ascii", "replace").splitlines()
    if not content.endswith(b"\n"):
        raise DataError(path, len(lines), found="the end of the file", expected="the end of a line before it")
    sizes = []
    for number, key in enumerate(_TEXT_KEYS):
        name, _, text = lines[number].partition(" ") if number < len(lines) else ("", "", "")
        if name != key or not text.strip().isdigit():
            found = repr(lines[number][:40]) if number < len(lines) else "the end of the file"
            raise DataError(path, number + 1, found=found, expected=f"'{key} NUMBER' (libffm's model as text)")
        sizes.append(int(text))
    n, m, k, normalized = sizes
    found = len(lines) - len(_TEXT_KEYS)
    if found != n * m:
        raise _wrong(path, f"{found:,} lines of weights", f"{n * m:,} for {n:,} features x {m:,} fields")
    weights = aligned_zeros(model_shape(n, m, k), np.float32)
    weights[..., 1, :] = 1
    flat = weights.reshape(n * m, -1, 2, _LANES)
    for place, line in enumerate(lines[len(_TEXT_KEYS) :]):
        name, *words = line.split()
        try:
            numbers = np.array(words, np.float32) if name == f"w{place // m},{place % m}" else np.empty(0, np.float32)
        except ValueError:
            numbers = np.empty(0, np.float32)
        if len(numbers) != k or not np.isfinite(numbers).all():
            expected = f"'w{place // m},{place % m}' and {k} finite numbers (libffm's model as text)"
            raise DataError(path, place + 1 + len(_TEXT_KEYS), found=repr(line[:40]), expected=expected)
        for d in range(k):
            flat[place, d // _LANES, 0, d % _LANES] = numbers[d]
    return LibffmModel(n, m, k, bool(normalized), weights)


def write_model(model: LibffmModel, path: PathLike, *, text: bool = False) -> None:
    """Write a model file that libffm reads; it appears complete or not at all.

    Parameters
    ----------
    model : LibffmModel
        `about` is written behind the weights of a binary file, where libffm does not look, unless it is empty.
    path : str or path-like
    text : bool
        Write the text of versions before 2017: six digits of each weight, no sums.

    Raises
    ------
    ValueError
        If the shape of the weights is not that of the model's sizes, or those exceed 32 bits with a sign.
    """
    sizes = (model.n_features, model.n_fields, model.n_factors)
    if model.weights.shape != model_shape(*sizes) or model.weights.dtype != np.float32:
        found = f"{model.weights.dtype} weights of shape {model.weights.shape}"
        raise ValueError(f"found {found}, expected float32 of shape {model_shape(*sizes)}")
    if not all(1 <= size < 2**31 for size in sizes):
        raise ValueError(f"found {sizes} features, fields and factors, expected numbers from 1 to 2**31 - 1")
    try:
        with write_whole(path) as file:
            if text:
                _write_text(model, file)
                return
            file.write(_HEADER.pack(*sizes, model.normalized))
            file.write(np.ascontiguousarray(model.weights).data)
            if model.about:
                said = json.dumps(model.about, allow_nan=False).encode()
                file.write(_TRAILER.pack(_MARK, len(said), zlib.crc32(said)) + said)
    except OSError as error:
        if error.filename is None:  # a full disk does not say whose
            error.filename = os.fspath(path)
        raise


def _write_text(model: LibffmModel, file: Any) -> None:
    n, m, k = model[:3]
    file.write(f"n {n}\nm {m}\nk {k}\nnormalization {int(model.normalized)}\n".encode())
    line = "w%d,%d " + "%g " * k + "\n"
    for j in range(n):
        rows = model.weights[j, :, :, 0].reshape(m, -1)[:, :k].tolist()
        file.write("".join(line % (j, f, *row) for f, row in enumerate(rows)).encode())


def _wrong(path: PathLike, found: str, expected: str) -> DataError:
    return DataError(path, found=found, expected=f"{expected} (libffm's model file)")
