"""Saving from time to time: only what has changed, in one step, and the log is kept short."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from hogwild.online.driver import make_driver
from hogwild.online.storage import autosave as module
from hogwild.online.storage.autosave import autosave, keep_short, save, snapshot
from hogwild.online.storage.files import About, load_model, read_model
from hogwild.online.storage.log import open_log

CONFIGURATION = '{"window_size": 1000}'
ABOUT = About("stat", CONFIGURATION)


class Learning:
    """A service as far as it is saved, of a stat."""

    def __init__(self, journal=None):
        self.kind, self.configuration, self.journal = "stat", CONFIGURATION, journal
        self.driver = make_driver("stat", {"window_size": 1000})
        self._changes, self.looked, self.on_updates, self.on_snapshot = 0, 0, [], []
        self.figures = SimpleNamespace(learnt=0, started=1.0, last_saved=0.0, last_saved_path="")

    @property
    def changes(self):
        self.looked += 1
        return self._changes

    async def looked_at(self, times=5):
        """Wait until somebody has asked whether anything has changed."""
        start = self.looked
        await until(lambda: self.looked >= start + times)

    def push(self, value):
        self.driver.run("push", ["x", float(value)])
        if self.journal is not None:
            self.journal.append(b"%d" % value)
        self._changes += 1
        self.figures.learnt += 1
        for told in self.on_updates:
            told(1)

    def values(self):
        return self.driver.parts.state()["window"].arrays["values"].tolist()


def values_in(path):
    _, states = read_model(path)
    return states["window"].arrays["values"].tolist()


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


async def stopped(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_only_changes_are_saved(tmp_path, monkeypatch):
    async def run():
        service, path, written = Learning(), tmp_path / "model", []
        monkeypatch.setattr(module, "save", lambda *args: written.append(service._changes) or save(*args))
        service.push(1)
        task = asyncio.create_task(autosave(service, 0.001, path))
        await service.looked_at()
        assert not written  # what was there at the start is on the disk, or nothing is
        for number in (2, 3):
            service.push(number)
            await until(lambda number=number: path.exists() and values_in(path) == [1.0, 2.0, 3.0][:number])
            await service.looked_at()
        assert written == [2, 3]
        assert service.figures.last_saved > 0 and service.figures.last_saved_path == str(path)
        await stopped(task)

    asyncio.run(run())
    about, _ = read_model(tmp_path / "model")
    assert about.figures == {"learnt": 3, "started": 1.0}
    assert load_model(tmp_path / "model", make_driver("stat", {"window_size": 1000}), ABOUT) == about


def test_a_failed_save_is_said_and_tried_again(tmp_path, caplog):
    async def run():
        service, path = Learning(), tmp_path / "folder" / "model"
        task = asyncio.create_task(autosave(service, 0.001, path))
        await asyncio.sleep(0)
        service.push(1)
        await until(lambda: "the model could not be saved" in caplog.text)
        path.parent.mkdir()
        await until(path.exists)
        await stopped(task)

    asyncio.run(run())


def test_what_killed_writers_left_is_removed(tmp_path):
    async def run():
        for name in (".model-abc", ".model", ".other-abc"):
            (tmp_path / name).write_bytes(b"torn")
        service = Learning()
        task = asyncio.create_task(autosave(service, 0.001, tmp_path / "model"))
        await service.looked_at()
        await stopped(task)

    asyncio.run(run())
    assert sorted(path.name for path in tmp_path.iterdir()) == [".model", ".other-abc"]


def test_no_learner_is_not_saved(tmp_path):
    async def run():
        service = Learning()
        service.driver = None
        task = asyncio.create_task(autosave(service, 0.001, tmp_path / "model"))
        await asyncio.sleep(0)
        service._changes += 1
        await service.looked_at()
        await stopped(task)

    asyncio.run(run())
    assert not list(tmp_path.iterdir())


def replayed(folder):
    service = Learning()

    def load(path):
        load_model(path, service.driver, ABOUT)

    log = open_log(folder)
    for record in log.replay(load):
        if record.isdigit():
            service.push(int(record))
    asyncio.run(log.close())
    return service.values()


def test_autosave_gives_the_log_a_snapshot(tmp_path):
    async def run():
        log = open_log(tmp_path / "log", "never")
        assert list(log.replay(None)) == []
        service = Learning(log)
        task = asyncio.create_task(autosave(service, 0.001))
        await asyncio.sleep(0)
        for number in range(20):
            service.push(number)
            await log.commit()
        await until(lambda: log.since_snapshot == 0)
        service.push(20)
        await stopped(task)
        await log.close()

    asyncio.run(run())
    assert replayed(tmp_path / "log") == [float(number) for number in range(21)]


def test_a_snapshot_is_the_model_before_what_comes_after_it(tmp_path):
    async def run():
        log = open_log(tmp_path, "never")
        assert list(log.replay(None)) == []
        service = Learning(log)
        service.on_snapshot.append(lambda: log.append(b"others"))
        for number in range(5):
            service.push(number)
        task = asyncio.create_task(snapshot(service))
        await asyncio.sleep(0)  # the state is taken, and is being written
        service.push(5)
        await task
        await log.close()

    asyncio.run(run())
    assert replayed(tmp_path) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    log, found = open_log(tmp_path), []
    assert list(log.replay(found.append)) == [b"others", b"5"]
    assert [values_in(path) for path in found] == [[0.0, 1.0, 2.0, 3.0, 4.0]]
    asyncio.run(log.close())


def test_a_log_is_kept_short(tmp_path):
    async def run():
        log = open_log(tmp_path, "never", segment_bytes=10)
        assert list(log.replay(None)) == []
        service = Learning(log)
        task = asyncio.create_task(keep_short(service, 40))
        await asyncio.sleep(0)
        for number in range(100, 400):
            service.push(number)
            await log.commit()
        await until(lambda: log.since_snapshot < 40)
        await stopped(task)
        assert not service.on_updates
        await log.close()
        assert log.figures.snapshots > 1 and log.figures.last_snapshot > 0

    asyncio.run(run())
    assert len(list(tmp_path.glob("*.log"))) < 80
    assert replayed(tmp_path) == [float(number) for number in range(100, 400)]


def test_a_log_that_cannot_be_shortened_goes_on(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "RETRY", 0.001)

    async def run():
        log = open_log(tmp_path, "never")
        assert list(log.replay(None)) == []
        service = Learning(log)
        monkeypatch.setattr(log, "snapshot", refuse)
        task = asyncio.create_task(keep_short(service, 1))
        await asyncio.sleep(0)
        service.push(1)
        await until(lambda: "the log could not be shortened: no room" in caplog.text)
        monkeypatch.undo()
        service.push(2)
        await until(lambda: log.since_snapshot == 0)
        await stopped(task)
        await log.close()

    async def refuse(*_):
        raise OSError("no room")

    asyncio.run(run())
    assert replayed(tmp_path) == [1.0, 2.0]
