"""The user's parameters, and a rehearsal of the user's functions on them."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hogwild.compiled import aligned_copy
from hogwild.engine.own_data import OwnData
from hogwild.engine.own_task import OwnTask


def own_params(params: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Copy the parameters; returns a NamedTuple of them, and what puts such a tuple into the user's container."""
    if isinstance(params, Mapping):
        fields = tuple(params)
        for name in fields:
            if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
                raise ValueError(f"parameters need names that can be written after a dot, found {name!r}")
        given, kind = namedtuple("Params", fields)(**params), dict
    elif isinstance(params, tuple) and hasattr(params, "_fields"):
        given, kind = params, None
    else:
        raise TypeError(f"params must be a NamedTuple or a dict of arrays, found {type(params).__name__}")
    copies = {}
    for name, value in zip(given._fields, given, strict=True):
        if isinstance(value, int | float | bool | np.number):
            copies[name] = value
            continue
        array = np.asarray(value)
        if not isinstance(value, np.ndarray) or array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            found = f"an array of {array.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
            raise TypeError(f"params.{name} must be an array of numbers (or a number, a constant); found {found}")
        copies[name] = aligned_copy(array)
    if not any(isinstance(value, np.ndarray) for value in copies.values()):
        raise ValueError("params has no array that a step could change")

    def pack(own: Any) -> Any:
        arrays = [np.array(value) if isinstance(value, np.ndarray) else value for value in own]
        return dict(zip(own._fields, arrays, strict=True)) if kind is dict else type(own)(*arrays)

    return given._replace(**copies), pack


def rehearse(task: OwnTask, data: OwnData) -> None:
    """Try step and loss in Python on a few telling rows: compiled code has no bounds and no tracebacks."""
    before = [value.copy() if isinstance(value, np.ndarray) else value for value in task.params]
    eta = float(task.etas(1)[0])
    shapes = ", ".join(
        f"{name} {value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else f"{name} = {value!r}"
        for name, value in zip(task.params._fields, task.params, strict=True)
    )
    calls = [(task.step, (task.params, eta))] + ([(task.loss, (task.params,))] if task.loss is not None else [])
    for i in data.telling():
        row = task.view.row(task.rows, np.uint32(i))
        for function, rest in calls:
            name, function = getattr(function, "__name__", "the function"), getattr(function, "py_func", function)
            try:
                with np.errstate(all="ignore"):
                    value = function(row, *rest)
            except NotImplementedError:  # written for the compiler only
                continue
            except Exception as error:
                error.add_note(
                    f"{name} was tried on row {i}, which has the fields {', '.join(row._fields)}; params has {shapes}"
                )
                raise
            _check_loss(name, value)
    for value, old in zip(task.params, before, strict=True):
        if isinstance(value, np.ndarray):
            value[...] = old


def _check_loss(name: str, value: Any) -> None:
    if value is None:
        raise TypeError(f"{name} returned nothing, expected a number: the loss of the row (before the update)")
    if not isinstance(value, int | float | np.number) and not (isinstance(value, np.ndarray) and value.ndim == 0):
        raise TypeError(f"{name} returned {value!r}, expected a number: the loss of the row (before the update)")
