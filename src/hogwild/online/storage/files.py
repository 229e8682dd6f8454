"""Model files of the service: safetensors, with what the model is as JSON in their metadata. They hold no code.

The metadata's entry ``model`` is JSON of the type, the configuration, the id, the time, figures of the service and what
the parts say of themselves; arrays are named ``part/array``.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hogwild import storage
from hogwild.data.errors import DataError
from hogwild.data.files import COMPRESSED
from hogwild.online.configuration import ConfigurationError, parsed
from hogwild.online.driver import Driver
from hogwild.online.state import State
from hogwild.online.storage.about import About
from hogwild.online.storage.errors import UnfitModelError
from hogwild.online.storage.jubatus_files import MAGIC, unpack_jubatus

__all__ = ["About", "load_content", "load_model", "read_model", "save_model", "unpack_model", "write_model"]

FORMAT = 1  # raise it with any change that older versions of hogwild would misread; older files are read for ever
_EXPECTED = "a model of hogwild serve"


def save_model(path: str | os.PathLike[str], driver: Driver, about: About) -> None:
    """Write a learner's model to a file, which appears whole or not at all.

    Parameters
    ----------
    path : str or path-like
    driver : Driver
    about : About
    """
    write_model(path, driver.parts.state(), about)


def write_model(path: str | os.PathLike[str], states: Mapping[str, State], about: About) -> None:
    """Write a model that ``driver.parts.state()`` gave, see `save_model`; any thread may."""
    if Path(path).suffix.lower() in COMPRESSED:
        raise ValueError(f"{os.fspath(path)}: model files are not compressed, expected another name")
    model = {
        **about._asdict(),
        "saved": about.saved or time.time(),
        "figures": dict(about.figures),
        "parts": {name: state.about for name, state in states.items()},
    }
    arrays = {f"{part}/{name}": array for part, state in states.items() for name, array in state.arrays.items()}
    version = importlib.import_module("hogwild").__version__
    # ASCII: texts may hold lone surrogates, which no UTF-8 can
    storage.write(path, {"service": FORMAT, "hogwild": version, "model": json.dumps(model)}, arrays)


def read_model(path: str | os.PathLike[str]) -> tuple[About, dict[str, State]]:
    """Read a file that `save_model` wrote, or one of the original.

    Returns
    -------
    about : About
    states : dict of State
        What ``driver.parts.restore`` takes.

    Raises
    ------
    DataError
        It is torn, altered or something else.
    UnfitModelError
        A newer version wrote it, or it is a file of the original of a type or method that is not read.
    """
    with open(path, "rb") as file:
        original = file.read(len(MAGIC)) == MAGIC
    if original:
        return unpack_model(Path(path).read_bytes(), path)
    return _model(path, *storage.read(path))


def unpack_model(content: bytes, name: str | os.PathLike[str]) -> tuple[About, dict[str, State]]:
    """Return what a file of that content holds, see `read_model`; `name` is what errors call it."""
    if content.startswith(MAGIC):
        from hogwild.online.storage.jubatus_models import states_of

        return states_of(unpack_jubatus(content, name), name)
    return _model(name, *storage.unpack(content, name))


def _model(
    path: str | os.PathLike[str], texts: dict[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[About, dict[str, State]]:
    form = texts.get("service")
    if not isinstance(form, int):
        raise DataError(path, found="another safetensors file", expected=_EXPECTED)
    if form > FORMAT:
        written = f"format {form} (written by hogwild {texts.get('hogwild', 'of unknown version')})"
        raise UnfitModelError(path, found=written, expected=f"at most {FORMAT}: a newer hogwild reads it")
    try:
        model = json.loads(texts["model"])
        parts = model.pop("parts")
        states = {name: State(about, {}) for name, about in parts.items()}
        for key, array in arrays.items():
            part, _, name = key.partition("/")
            states[part].arrays[name] = array
        return About(**model), states
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(path, found=f"a description that makes no model ({error!r})", expected=_EXPECTED) from None


def load_model(path: str | os.PathLike[str], driver: Driver, expected: About) -> About:
    """Make a learner what a file says; where that fails, it is what it was.

    Parameters
    ----------
    path : str or path-like
        Written by `save_model`, or by the original.
    driver : Driver
        Made from its own configuration.
    expected : About
        Its type and configuration: the file must have the same, however its JSON is laid out.

    Returns
    -------
    About
        What the file says.

    Raises
    ------
    DataError
        The file is damaged, or something else.
    UnfitModelError
        It is of another type, another configuration, or a newer format.
    """
    return _load(path, read_model(path), driver, expected)


def load_content(content: bytes, name: str | os.PathLike[str], driver: Driver, expected: About) -> About:
    """Make a learner what a file of that content says, see `load_model`."""
    return _load(name, unpack_model(content, name), driver, expected)


def _load(
    path: str | os.PathLike[str], model: tuple[About, dict[str, State]], driver: Driver, expected: About
) -> About:
    about, states = model
    if about.type != expected.type:
        raise UnfitModelError(path, found=f"a model of type {about.type}", expected=f"one of type {expected.type}")
    found, wanted = _values(about.configuration), _values(expected.configuration)
    if found != wanted:
        place, ours, theirs = _difference(found, wanted, "$")
        raise UnfitModelError(path, found=f"a configuration with `{place}` {ours}", expected=f"{theirs} there")
    try:
        driver.parts.restore(states)
    except (ValueError, KeyError) as error:
        raise DataError(path, found=f"a state that makes no model ({error})", expected=_EXPECTED) from None
    return about


def _values(configuration: str) -> Any:
    try:
        return parsed(configuration)
    except ConfigurationError:
        return configuration


def _difference(found: Any, wanted: Any, place: str) -> tuple[str, str, str]:
    """Return the first place at which two JSON values differ, and what stands there."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in {**wanted, **found}:
            if found.get(key) != wanted.get(key) or (key in found) != (key in wanted):
                if key in found and key in wanted:
                    return _difference(found[key], wanted[key], f"{place}.{key}")
                return f"{place}.{key}", *(_shown(one[key]) if key in one else "absent" for one in (found, wanted))
    return place, _shown(found), _shown(wanted)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
