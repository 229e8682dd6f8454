"""The service with what is stored: a disk that fails, a log that is in use, models of the original."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import sys

import golden_calls
import pytest

from hogwild.online.service.service import Service
from hogwild.online.storage.autosave import snapshot
from hogwild.online.storage.log import LogFailedError, open_log

CONFIGURATION = '{"window_size": 100}'


async def started(folder, fsync="always"):
    service = Service("stat", CONFIGURATION, datadir=folder, journal=open_log(folder / "log", fsync))
    await service.load_learner()
    return service


async def pushed(service, *values):
    await asyncio.gather(*(service.call("push", ["x", float(value)]) for value in values))


def test_a_disk_that_fails_ends_updates_and_not_answers(tmp_path, monkeypatch):
    def broken(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    async def run():
        service = await started(tmp_path)
        await pushed(service, 1, 2)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", broken)
            with pytest.raises(LogFailedError, match="updates are refused: No space left on device"):
                await service.call("push", ["x", 3.0])
        for _ in range(2):
            with pytest.raises(OSError, match="No space left on device"):
                await service.call("push", ["x", 4.0])
        assert service.journal.failure is not None
        assert service.journal.status()["log.failure"].endswith("No space left on device")
        assert await service.call("max", ["x"]) <= 3.0  # questions are answered
        await service.drain()
        again = await started(tmp_path)
        assert await again.call("sum", ["x"]) in (3.0, 6.0)  # what was answered with an error may be there
        await again.drain()

    asyncio.run(run())


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_a_service_goes_on_where_it_was(tmp_path, fsync):
    async def run():
        service = await started(tmp_path, fsync)
        await pushed(service, *range(10))
        await service.call("save", ["kept"])
        await pushed(service, 100)
        await snapshot(service)
        await service.call("load", ["kept"])
        await pushed(service, 20)
        assert (await service.call("sum", ["x"]), service.journal.figures.snapshots) == (65.0, 1)
        await service.journal.close()  # as far as the disk goes, it is killed here
        again = await started(tmp_path, fsync)
        assert await again.call("sum", ["x"]) == 65.0
        assert again.journal.figures.replayed == 2  # the load, and what came after it
        await again.call("clear", [])
        await pushed(again, 1)
        await again.drain()
        last = await started(tmp_path, fsync)
        assert await last.call("sum", ["x"]) == 1.0
        await last.drain()

    asyncio.run(run())


def test_a_log_of_another_configuration_is_refused(tmp_path):
    async def run():
        service = await started(tmp_path)
        await pushed(service, 1)
        await snapshot(service)
        await service.drain()
        other = Service("stat", '{"window_size": 5}', journal=open_log(tmp_path / "log"))
        with pytest.raises(ValueError, match=r"found a configuration with `\$.window_size` 100, expected 5 there"):
            await other.load_learner()
        await other.drain()

    asyncio.run(run())


@pytest.mark.parametrize("name", ["classifier-AROW-1", "regression-PA", "recommender-inverted_index"])
def test_a_client_loads_a_model_of_the_original(name, tmp_path):
    path = golden_calls.FILE.parent / f"{name}.jubatus"
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    case = next(case for case in golden_calls.CASES if f"{case['type']}-{case['name']}" == name)

    async def run():
        service = Service(case["type"], json.dumps(case["config"]), datadir=tmp_path)
        await service.load_learner()
        shutil.copy(path, tmp_path / f"{service.node}_{case['type']}_old.jubatus")
        assert await service.call("load", ["old"]) is True
        method, arguments, expected = case["calls"][-1]
        golden_calls.check(method, expected, await service.call(method, arguments))
        await service.drain()

    asyncio.run(run())


def test_two_servers_cannot_use_one_log(tmp_path):
    async def run():
        (tmp_path / "configuration").write_text(CONFIGURATION)
        service = await started(tmp_path)
        words = ["stat", "-p", "0", "-f", tmp_path / "configuration", "--log", tmp_path / "log"]
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hogwild.cli.serving", *map(str, words), stdout=-1, stderr=-1
        )
        _, said = await asyncio.wait_for(other.communicate(), 60)
        assert other.returncode == 1
        assert said.decode() == f"error: {tmp_path / 'log'}: the log is in use by process {os.getpid()}\n"
        await service.drain()

    asyncio.run(run())
