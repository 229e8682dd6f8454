"""``save`` and ``load``: models under names that clients choose, in one folder that they do not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hogwild.online.service.journal import LOAD, call_record, pack_record
from hogwild.online.wire import read_all

if TYPE_CHECKING:
    from hogwild.online.driver import Driver
    from hogwild.online.service.service import Service
    from hogwild.online.storage.files import About

SUFFIXES = (".hogwild", ".jubatus")  # what is written, and what is read as well
_LONGEST = 255  # bytes of a file's name


def model_path(service: Service, name: str, suffix: str = SUFFIXES[0]) -> Path:
    """Return where the model of that name is.

    Raises
    ------
    ValueError
        The name could lead elsewhere, or be none.
    """
    if not name or "/" in name or not all(" " <= letter <= "~" for letter in name):
        raise ValueError(f"a model's id must be of the characters ' ' to '~' without '/', found {name!r}")
    file = f"{service.node}_{service.kind}_{name}{suffix}"
    if len(file) > _LONGEST:
        raise ValueError(f"a model's id must leave its file's name at {_LONGEST} bytes, found {len(file)}")
    return service.datadir / file


def _expected(service: Service) -> About:
    """Return what a file has to say of a model that is to be loaded."""
    from hogwild.online.storage.files import About

    return About(service.kind, service.configuration)


def restore(service: Service, driver: Driver, path: Path) -> None:
    """Have a learner be what a file says."""
    from hogwild.online.storage.files import load_model

    load_model(path, driver, _expected(service))


def restore_content(service: Service, driver: Driver, name: str, content: bytes) -> None:
    """Have a learner be what the content of a file says."""
    from hogwild.online.storage.files import load_content

    load_content(content, name, driver, _expected(service))


async def save(service: Service, arguments: Sequence[Any]) -> dict[str, str]:
    """Save the model as it is at this place in the order of updates."""
    (name,) = read_all(service.methods["save"].takes, arguments)
    path = model_path(service, name)
    await save_as(service, path, name)
    return {service.node: str(path)}


async def save_as(service: Service, path: Path, name: str = "") -> None:
    """Save the model into a file; answers go on meanwhile."""
    from hogwild.online.storage.autosave import save

    states = await service.exclusive(lambda: service.driver.parts.state())
    await save(service, path, name, states)


async def load(service: Service, arguments: Sequence[Any]) -> bool:
    """Load a model that was saved under that name."""
    (name,) = read_all(service.methods["load"].takes, arguments)
    paths = [model_path(service, name, suffix) for suffix in SUFFIXES]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{paths[0]}: found no such file, expected a model that was saved under {name!r}")
    await load_from(service, path)
    return True


async def load_from(service: Service, path: Path) -> None:
    """Load a model from a file; a journal gets all of its content, as the file may change."""
    content = await asyncio.to_thread(path.read_bytes)
    record = None if service.journal is None else pack_record((LOAD, path.name, content))
    await _replace(service, lambda: restore_content(service, service.driver, path.name, content), record)
    note_loaded(service, path)


def note_loaded(service: Service, path: Path) -> None:
    """Note that the model is now that of a file."""
    service.figures.last_loaded, service.figures.last_loaded_path = time.time(), str(path)


async def clear(service: Service, arguments: Sequence[Any]) -> bool:
    """Forget everything."""
    read_all(service.methods["clear"].takes, arguments)
    await _replace(service, lambda: service.driver.parts.clear(), call_record("clear", ()))
    return True


async def _replace(service: Service, change: Callable[[], None], record: bytes | None = None) -> None:
    """Make the model another one: here, or in all of the group."""
    if service.replace is not None:
        await service.replace(change)
    else:
        await service.exclusive(change, record)
