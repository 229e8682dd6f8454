"""Has a learner do everything once, so that what it imports and compiles is there when the first call comes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgpack

from hogwild.online.datum import Datum
from hogwild.online.methods import TYPES
from hogwild.online.wire import BOOL, DATUM, DOUBLE, FLOAT, INT, TEXT, UINT, Listed, Struct, Type

if TYPE_CHECKING:
    from hogwild.online.driver import Driver

_VALUES: dict[Any, list[Any]] = {
    TEXT: ["a", "b"],
    DATUM: [Datum.of({"a": "a b", "x": 1.0}), Datum.of({"a": "b c", "x": 2.0, "y": 1.0})],
    DOUBLE: [0.5, 1.5],
    FLOAT: [0.5, 1.5],
    INT: [1, 2],
    UINT: [1, 2],
    BOOL: [True, False],
}


def warm(kind: str, driver: Driver) -> None:
    """Call every method of a learner that nobody needs, updates first, and see whatever comes of it as done."""
    methods = TYPES[kind].items()
    for name, method in sorted(methods, key=lambda item: not item[1].changes):
        for which in (0, 1):
            with suppress(Exception):
                driver.run(name, [_sample(one, which) for one in method.takes])
    for name, pack in getattr(driver, "packs", {}).items():
        with suppress(Exception):
            items = _sample(TYPES[kind][name].takes[0], 0)
            driver.run(name, [pack(msgpack.packb([_travelling(item) for item in items]), 0)])


def _travelling(item: Any) -> Any:
    return item.wire() if isinstance(item, Datum) else (item[0], item[1].wire())


def _sample(of: Type, which: int) -> Any:
    if isinstance(of, Listed):
        return [_sample(of.item, which), _sample(of.item, 1 - which)]
    if isinstance(of, Struct):
        return tuple(_sample(item, which) for item in of.items)
    return _VALUES[of][which]
