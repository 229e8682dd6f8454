"""Arrays and JSON texts in one safetensors file with a digest over all of it: models and checkpoints."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from hogwild.data.errors import DataError
from hogwild.data.files import PathLike, write_whole

DIGEST = "digest"


def digest(texts: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> str:
    """Digest of everything in the file: a flipped bit in a weight would otherwise go unseen."""
    found = hashlib.blake2b(digest_size=16)
    for key in sorted(texts):
        if key != DIGEST:
            found.update(f"{key}={texts[key]}\n".encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(array.reshape(-1).view(np.uint8))
    return found.hexdigest()


def pack(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return the content of a file; `about` holds values that JSON knows."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    texts = {key: json.dumps(value, ensure_ascii=False, allow_nan=False) for key, value in about.items()}
    texts[DIGEST] = digest(texts, arrays)
    return save(arrays, texts)


def unpack(content: bytes, name: PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what `pack` was given; `name` is what errors call the content.

    Raises
    ------
    DataError
        If it is torn, altered, or something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
        size = int.from_bytes(content[:8], "little")
        texts = json.loads(content[8 : 8 + size]).get("__metadata__") or {}
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise DataError(name, found=f"a damaged or truncated file ({error})", expected="an unaltered one") from None
    return _checked(texts, arrays, name)


def write(path: PathLike, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a file, which appears whole or not at all; `about` holds values that JSON knows."""
    put(path, pack(about, arrays))


def put(path: PathLike, content: bytes) -> None:
    """Write a file of that content, which appears whole or not at all; errors name it."""
    try:
        with write_whole(path) as file:
            file.write(content)
    except OSError as error:
        if error.filename is None:  # a full disk does not say whose
            error.filename = os.fspath(path)
        raise


def read(path: PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a file that `write` wrote.

    Raises
    ------
    DataError
        If it is torn, altered, or something else.
    """
    from safetensors import SafetensorError, safe_open

    with open(path, "rb"):  # a missing file is an OSError as everywhere
        pass
    try:
        with safe_open(path, framework="np") as file:
            texts = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
    except (SafetensorError, OSError) as error:
        raise DataError(path, found=f"a damaged or truncated file ({error})", expected="an unaltered one") from None
    return _checked(texts, arrays, path)


def _checked(
    texts: dict[str, str], arrays: dict[str, np.ndarray], name: PathLike
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if texts.get(DIGEST) != digest(texts, arrays):
        raise DataError(name, found="content that does not agree with its digest", expected="an unaltered file")
    return {key: json.loads(text) for key, text in texts.items() if key != DIGEST}, arrays
