"""Processes of a group on one machine, which their parent coordinates."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hogwild.cluster.mix.protocol import Group, Register, SessionLost
from hogwild.online.group.child import packed_settings, unpacked_settings
from hogwild.online.group.coordination import Desk
from hogwild.online.group.packing import PackingError
from hogwild.online.group.parent import settings_of
from hogwild.online.group.pipe import PipeCoordination, attend
from hogwild.online.service.client import RpcClient, RpcError
from hogwild.online.service.settings import Limits
from hogwild.online.settings import ServeSettings

DEADLINE = 60.0
AROW = {
    "method": "AROW",
    "parameter": {"regularization_weight": 1.0},
    "converter": {"num_rules": [{"key": "*", "type": "num"}]},
}


# ------------------------------------------------------------------------------------------------ settings and pipes


def test_settings_reach_the_child():
    settings = ServeSettings("stat", Path("a/b.json"), log=Path("log"), servers=3, limits=Limits(message=7), http=80)
    assert unpacked_settings(packed_settings(settings)) == settings


def test_servers_share_neither_ports_nor_logs():
    settings = ServeSettings("stat", Path("c.json"), port=9199, http=8080, log=Path("log"), servers=3)
    each = [settings_of(settings, index) for index in range(3)]
    assert [one.port for one in each] == [9199, 9200, 9201] and [one.http for one in each] == [8080, 8081, 8082]
    assert [str(one.log) for one in each] == ["log/server-0", "log/server-1", "log/server-2"]
    assert {one.servers for one in each} == {1}
    free = settings_of(ServeSettings("stat", servers=2, port=0), 1)
    assert (free.port, free.http, free.log) == (0, None, None)


def test_messages_go_through_the_pipe_until_the_parent_is_gone():
    async def run():
        ours, theirs = socket.socketpair()
        desk, told, orphaned = Desk(), asyncio.Queue(), asyncio.Event()
        attending = asyncio.create_task(attend(ours, lambda message, link: desk.receive(message.node, message, link)))
        child = PipeCoordination(theirs, orphaned.set)
        await child.start(told.put_nowait)
        child.send(Register("n", 1))
        assert await told.get() == Group(("n",), {}, 0)
        attending.cancel()
        answer = await told.get()
        assert isinstance(answer, SessionLost)
        await orphaned.wait()
        await child.close()

    asyncio.run(run())


def test_something_else_in_the_pipe():
    async def run():
        ours, theirs = socket.socketpair()
        theirs.sendall(b"\xff\xff\xff\xff")
        with theirs, pytest.raises(PackingError, match="at most"):
            await attend(ours, lambda message, link: None)

    asyncio.run(run())


# ------------------------------------------------------------------------------------------------ processes


def free_ports(count):
    """Return the first of so many free ports in a row."""
    for first in range(21000 + os.getpid() % 8000, 60000, count):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports")


@contextlib.contextmanager
def serving(folder, *options, servers=4, configuration=AROW, kind="classifier"):
    """Run a group; give the parent's process and the servers' ports."""
    (folder / "c.json").write_text(json.dumps(configuration))
    first = free_ports(servers)
    command = [sys.executable, "-m", "hogwild.cli.serving", kind, "-p", str(first)]
    command += ["-f", str(folder / "c.json"), "-d", str(folder)]
    with (folder / "out.txt").open("a") as out:
        parent = subprocess.Popen([*command, "--servers", str(servers), *map(str, options)], stdout=out, stderr=out)
    try:
        yield parent, range(first, first + servers)
    finally:
        if parent.poll() is None:
            parent.terminate()
            try:
                parent.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                parent.kill()


class Client:
    """Calls servers by their ports."""

    def __init__(self):
        self._clients = {}

    async def call(self, port, method, *arguments):
        client = self._clients.setdefault(port, RpcClient("127.0.0.1", port))
        return await client.call(method, ["", *arguments], DEADLINE)

    async def status(self, port):
        (status,) = (await self.call(port, "get_status")).values()
        return status

    async def until(self, port, condition):
        """Wait until a server's status is as wanted; it may be away meanwhile."""
        end, status = time.monotonic() + DEADLINE, None
        while True:
            with contextlib.suppress(OSError, RpcError):
                status = await self.status(port)
                if condition(status):
                    return status
            assert time.monotonic() < end, status
            await asyncio.sleep(0.05)

    async def all_active(self, ports):
        for port in ports:
            await self.until(port, lambda status: status.get("mix.active") == "1" and status["learner"] == "ready")

    async def quiet(self, ports):
        """Mix until all have one version; return the labels' counts and scores, which are the same everywhere."""
        await self.all_active(ports)
        end = time.monotonic() + DEADLINE
        while True:
            assert await self.call(ports[0], "do_mix")
            statuses = [await self.status(port) for port in ports]
            if len({status["mix.version"] for status in statuses}) == 1:
                break
            assert time.monotonic() < end, statuses
        labels = [await self.call(port, "get_labels") for port in ports]
        scores = [await self.call(port, "classify", [example(3), example(8)]) for port in ports]
        assert all(one == labels[0] for one in labels) and all(sorted(one[0]) == sorted(scores[0][0]) for one in scores)
        return labels[0]


def example(number):
    return [], [(f"f{number % 17}", 1.0 + number % 5), (f"g{number % 3}", 0.5)], []


async def train(client, port, count, start=0):
    """Train one by one; return how many were acknowledged."""
    acknowledged = 0
    for number in range(start, start + count):
        try:
            acknowledged += await client.call(port, "train", [("ab"[number % 2], example(number))])
        except (OSError, RpcError):
            break
    return acknowledged


def state_of(folder, paths):
    from hogwild.online.storage.files import read_model

    states = []
    for path in paths:
        _, state = read_model(folder / path)
        states.append(
            {
                name: (json.dumps(part.about, sort_keys=True), {key: one.tobytes() for key, one in part.arrays.items()})
                for name, part in state.items()
            }
        )
    return states


@pytest.mark.slow
def test_a_killed_server_catches_up_and_nothing_is_lost(tmp_path):
    async def run(parent, ports):
        client = Client()
        await client.all_active(ports)
        sent = sum(await asyncio.gather(*(train(client, port, 200) for port in ports)))
        assert sent == 800
        victim = ports[2]
        pid = int((await client.status(victim))["pid"])
        load = asyncio.gather(*(train(client, port, 400, 200) for port in ports))
        await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        sent += sum(await load)
        await client.until(victim, lambda status: int(status["pid"]) != pid)
        labels = await client.quiet(ports)
        # one call may have been logged and not answered
        assert sent <= sum(labels.values()) <= sent + 1
        paths = [path for port in ports for path in (await client.call(port, "save", "last")).values()]
        assert len(set(paths)) == 4
        first, *others = state_of(tmp_path, paths)
        assert all(other == first for other in others)

    with serving(tmp_path, "--log", tmp_path / "log", "-i", 100, "-s", 1) as (parent, ports):
        asyncio.run(run(parent, ports))
        parent.terminate()
        assert parent.wait(DEADLINE) == 0, (tmp_path / "out.txt").read_text()


@pytest.mark.slow
def test_a_killed_group_comes_back_from_its_logs(tmp_path):
    async def learn(ports):
        client = Client()
        await client.all_active(ports)
        sent = sum(await asyncio.gather(*(train(client, port, 150) for port in ports)))
        return sent, [int((await client.status(port))["pid"]) for port in ports]

    async def look(ports):
        return await Client().quiet(ports)

    with serving(tmp_path, "--log", tmp_path / "log", "-i", 64, servers=3) as (parent, ports):
        sent, pids = asyncio.run(learn(ports))
        for pid in (parent.pid, *pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    with serving(tmp_path, "--log", tmp_path / "log", "-i", 64, servers=3) as (parent, ports):
        labels = asyncio.run(look(ports))
    assert sum(labels.values()) == sent == 450


@pytest.mark.slow
def test_sigterm_hands_over_and_all_end(tmp_path):
    async def learn(ports):
        client = Client()
        await client.all_active(ports)
        for port in ports:
            await train(client, port, 10)
        return [int((await client.status(port))["pid"]) for port in ports]

    with serving(tmp_path, "-s", 1000, servers=3) as (parent, ports):
        pids = asyncio.run(learn(ports))
        parent.terminate()
        assert parent.wait(DEADLINE) == 0, (tmp_path / "out.txt").read_text()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.slow
def test_a_server_that_is_told_to_end_hands_over_what_it_learnt(tmp_path):
    async def run(ports):
        client = Client()
        await client.all_active(ports)
        pid = int((await client.status(ports[1]))["pid"])
        assert await train(client, ports[1], 10) == 10
        os.kill(pid, signal.SIGTERM)
        await client.until(ports[1], lambda status: int(status["pid"]) != pid)
        assert sum((await client.quiet(ports)).values()) == 10

    with serving(tmp_path, "-s", 1000, servers=3) as (_, ports):
        asyncio.run(run(ports))


@pytest.mark.slow
def test_all_servers_load_at_once(tmp_path):
    async def run(ports):
        client = Client()
        await client.all_active(ports)
        assert await train(client, ports[1], 10) == 10
        await client.quiet(ports)
        for port in ports:
            assert len(await client.call(port, "save", "ten")) == 1
        assert await train(client, ports[2], 5) == 5
        assert await asyncio.gather(*(client.call(port, "load", "ten") for port in ports)) == [True] * len(ports)
        assert sum((await client.quiet(ports)).values()) == 10

    with serving(tmp_path, servers=4) as (_, ports):
        asyncio.run(run(ports))


@pytest.mark.slow
def test_servers_end_when_their_parent_is_gone(tmp_path):
    async def pids_of(ports):
        client = Client()
        await client.all_active(ports)
        return [int((await client.status(port))["pid"]) for port in ports]

    with serving(tmp_path, servers=2) as (parent, ports):
        pids = asyncio.run(pids_of(ports))
        parent.kill()
        parent.wait()
        end = time.monotonic() + DEADLINE
        while any(alive(pid) for pid in pids):
            assert time.monotonic() < end
            time.sleep(0.05)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
def test_a_server_that_cannot_start_ends_the_group(tmp_path):
    with serving(tmp_path, servers=2, configuration={"method": "nonsense"}) as (parent, _):
        assert parent.wait(DEADLINE) == 1
    said = (tmp_path / "out.txt").read_text()
    assert "nonsense" in said and "did not start" in said


@pytest.mark.slow
def test_a_server_that_dies_again_and_again_ends_the_group(tmp_path):
    async def kill_again_and_again(parent, port):
        client, pid = Client(), None
        while parent.poll() is None:
            with contextlib.suppress(OSError, RpcError):
                status = await client.status(port)
                if int(status["pid"]) != pid and status.get("mix.members"):
                    pid = int(status["pid"])
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.02)

    with serving(tmp_path, servers=2) as (parent, ports):
        asyncio.run(asyncio.wait_for(kill_again_and_again(parent, ports[1]), DEADLINE))
        assert parent.wait(DEADLINE) == 1
    assert "5 times in a row, the last time by signal 9" in (tmp_path / "out.txt").read_text()
