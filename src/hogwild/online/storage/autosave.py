"""The model saved from time to time, and the log kept short, while the service goes on.

States are taken on the loop, in one step: between two updates. They are written in a thread.
"""

from __future__ import annotations

import asyncio
import glob
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from hogwild.online.driver import Driver
    from hogwild.online.state import State
    from hogwild.online.storage.files import About
    from hogwild.online.storage.log import Log

LOG_BYTES = 256 << 20
RETRY = 10.0  # seconds until the log is shortened again where that failed

logger = logging.getLogger(__name__)


class Service(Protocol):
    """What is saved: a service, as far as it is known here.

    Attributes
    ----------
    kind, configuration : str
    driver : Driver or None
        None until it is loaded.
    journal : Log or None
    changes : int
        Grows with everything that may change the model.
    on_updates : list of callable
        Told how many updates were applied.
    on_snapshot : list of callable
        Called when the log is cut: what they append stands at its new beginning.
    figures : Any
    """

    kind: str
    configuration: str
    driver: Driver | None
    journal: Log | None
    changes: int
    on_updates: list[Callable[[int], None]]
    on_snapshot: list[Callable[[], None]]
    figures: Any


async def autosave(service: Service, seconds: float, path: str | os.PathLike[str] | None = None) -> None:
    """Save the model every so many seconds, where anything has changed since; runs until it is cancelled.

    Parameters
    ----------
    service : Service
    seconds : float
    path : str or path-like, optional
        Where to; the service's log gets a snapshot as well, if there is one.
    """
    saved = service.changes
    if path is not None:
        _remove_torn(Path(path))
    while True:
        await asyncio.sleep(seconds)
        changes = service.changes
        if service.driver is None or changes == saved:
            continue
        try:
            if path is not None:
                await save(service, path)
            if service.journal is not None:
                await snapshot(service)
        except (OSError, ValueError) as error:  # a full disk may have room again
            logger.error("the model could not be saved: %s", error)
        else:
            saved = changes


async def save(
    service: Service, path: str | os.PathLike[str], id: str = "", states: dict[str, State] | None = None
) -> None:
    """Save the model as it is now, or as `states` have it."""
    from hogwild.online.storage.files import write_model

    states, about = states or service.driver.parts.state(), _about(service, id)
    await asyncio.to_thread(write_model, path, states, about)
    service.figures.last_saved, service.figures.last_saved_path = time.time(), os.fspath(path)


async def snapshot(service: Service) -> None:
    """Make the log begin with the model as it is now: what came before it is not replayed again."""
    from hogwild.online.storage.files import write_model

    journal = service.journal
    states, about, cut = service.driver.parts.state(), _about(service), journal.cut()
    for told in service.on_snapshot:  # others put their own beginning into the log
        told()

    def write(path: Path) -> None:
        write_model(path, states, about)

    await journal.snapshot(cut, write)


async def keep_short(service: Service, limit: int = LOG_BYTES) -> None:
    """Take a snapshot whenever that many bytes of records have gathered; runs until it is cancelled.

    Parameters
    ----------
    service : Service
        Has a log.
    limit : int
    """
    grown = asyncio.Event()

    def look(_: int) -> None:
        if service.journal.since_snapshot >= limit:
            grown.set()

    service.on_updates.append(look)
    try:
        look(0)
        while True:
            await grown.wait()
            grown.clear()
            try:
                await snapshot(service)
            except (OSError, ValueError) as error:
                logger.error("the log could not be shortened: %s", error)
                await asyncio.sleep(RETRY)
    finally:
        service.on_updates.remove(look)


def _remove_torn(path: Path) -> None:
    """Remove what writers of that file have left when they were killed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}-*"):
        left.unlink(missing_ok=True)


def _about(service: Service, id: str = "") -> About:
    from hogwild.online.storage.files import About

    figures = {"learnt": service.figures.learnt, "started": service.figures.started}
    return About(service.kind, service.configuration, id, time.time(), figures)
