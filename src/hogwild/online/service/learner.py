"""How a service comes to its learner: made, warmed, and brought to where the journal ends. Runs in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hogwild.online.service import models
from hogwild.online.service.journal import CALL, LOAD, unpack_record
from hogwild.online.wire import read_all

if TYPE_CHECKING:
    from hogwild.online.driver import Driver
    from hogwild.online.service.service import Service

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Run a function in a thread that does not keep the process when the server is told to stop."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(give: Callable[[Any], None], what: Any) -> None:
        if not future.done():
            give(what)

    def run() -> None:
        try:
            give, what = future.set_result, function(*arguments)
        except BaseException as error:
            give, what = future.set_exception, error
        with suppress(RuntimeError):  # nobody waits: the loop is closed
            loop.call_soon_threadsafe(tell, give, what)

    threading.Thread(target=run, daemon=True, name="learner").start()
    return await future


def make_learner(service: Service, model: Path | None) -> tuple[Driver, bool]:
    """Return the learner, and whether it is what `model` says: the journal comes before that file.

    Raises
    ------
    ConfigurationError
        The configuration cannot be used.
    ValueError, OSError
        The model's file or the journal cannot.
    """
    from hogwild.online.configuration import parsed
    from hogwild.online.driver import make_driver
    from hogwild.online.service.warming import warm

    configuration = parsed(service.configuration)
    node = "" if service.group is None else service.node  # names need not be unique anywhere else
    driver = make_driver(service.kind, configuration, node)
    warm(service.kind, make_driver(service.kind, configuration, node))
    if _replay(service, driver) or model is None:
        return driver, False
    models.restore(service, driver, model)
    return driver, True


def _replay(service: Service, driver: Driver) -> bool:
    """Give a learner what the journal has; return whether that is anything."""
    if service.journal is None:
        return False
    found = 0

    def restore(path: Path) -> None:
        nonlocal found
        found += 1
        models.restore(service, driver, path)

    for record in service.journal.replay(restore):
        found += 1
        kind, *rest = unpack_record(record)
        if kind == LOAD:
            models.restore_content(service, driver, *rest)
        elif kind != CALL:
            service.replays[kind](driver, rest)
        elif rest[0] == "clear":
            driver.parts.clear()
        else:
            name, came = rest
            driver.run(name, read_all(service.methods[name].takes, came))
    return found > 0
