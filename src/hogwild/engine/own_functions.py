"""What there is to know about a user's function: its surroundings, and why it cannot be compiled."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from types import FunctionType, ModuleType

import numba
from numba import njit

from hogwild.compiled import OPTIONS

COUNTED = {key: value for key, value in OPTIONS.items() if key != "_nrt"}  # with reference counts: may allocate


def plain(function: Callable) -> Callable:
    """Return the Python function of one that is compiled already."""
    return getattr(function, "py_func", function)


def surroundings(function: Callable) -> tuple:
    """What a function refers to outside: compiled code keeps the values that it had."""
    function = plain(function)
    if not isinstance(function, FunctionType):
        return ()
    outside = inspect.getclosurevars(function)
    found = {**outside.globals, **outside.nonlocals}
    return tuple(
        (name, type(value).__name__, value if isinstance(value, int | float | str | bool) else id(value))
        for name, value in sorted(found.items())
        if not isinstance(value, ModuleType)
    )


def why_not(function: Callable, arguments: tuple) -> str | None:
    """Why a function does not compile for `arguments`, in one line; None where it does."""
    name = getattr(function, "__name__", type(function).__name__)
    if not isinstance(plain(function), FunctionType):
        return f"{name} is not a plain function but of type {type(function).__name__}"
    dispatcher = njit(**COUNTED)(plain(function))
    try:
        dispatcher.compile(tuple(numba.typeof(argument) for argument in arguments))
    except Exception as error:  # the compiler raises many kinds
        return f"{name}: {_one_line(error)}"
    return None


_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_EMPTY_WORDS = ("Failed in", "Traceback", "During:", "- Resolution failure", "There are", "raised from")


def _one_line(error: Exception) -> str:
    """What of a compiler's message tells a user something, and the line of the source."""
    lines = [line.strip() for line in _COLOURS.sub("", str(error)).splitlines()]
    told = [line for line in lines if line and not line.startswith(_EMPTY_WORDS)]
    place = re.findall(r'File "[^"]*", line (\d+)', "\n".join(lines))
    reason = told[0] if told else type(error).__name__
    return reason + (f" (line {place[-1]})" if place and "line" not in reason else "")
