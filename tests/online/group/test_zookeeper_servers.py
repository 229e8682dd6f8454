"""Servers as processes, their group in ZooKeeper, a proxy before them: killed, restarted, and ZooKeeper too."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from online.zookeeper_server import ZooKeeperServer, zookeeper  # noqa: F401

pytest.importorskip("kazoo")

from hogwild.cli import jubaconfig
from hogwild.online.proxy.running import Proxy
from hogwild.online.proxy.settings import ProxySettings
from hogwild.online.service.client import RpcClient, RpcError

pytestmark = pytest.mark.slow
CONFIGURATION = """{
  "method": "AROW", "parameter": {"regularization_weight": 1.0},
  "converter": {"string_rules": [{"key": "*", "type": "space", "sample_weight": "bin", "global_weight": "bin"}]}
}"""
WORDS = [f"word{number}" for number in range(200)]
DEADLINE = 90.0


class ServerProcess:
    """``jubaclassifier``, with a log."""

    def __init__(self, hosts: str, folder: Path, *intervals: str) -> None:
        self._hosts, self._folder, self.port = hosts, folder, 0
        self._intervals = intervals or ("-i", "64", "-s", "0.5")
        self._process: subprocess.Popen | None = None

    async def start(self) -> None:
        words = ["-n", "spam", "-z", self._hosts, "-p", str(self.port), *self._intervals, "-d", self._folder]
        with (self._folder / "messages.txt").open("a") as messages:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hogwild.cli.serving", "classifier", *words, "--log", self._folder / "log"],
                stdout=subprocess.PIPE,
                stderr=messages,
                text=True,
            )
        line = await asyncio.to_thread(self._process.stdout.readline)
        found = re.search(r"listens at 127\.0\.0\.1:(\d+)", line)
        assert found, (line, (self._folder / "messages.txt").read_text())
        self.port = int(found.group(1))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    async def end(self) -> int:
        """End it as an operator does."""
        self._process.terminate()
        return await asyncio.to_thread(self._process.wait, DEADLINE)

    async def ask(self, method: str, *params):
        async with RpcClient("127.0.0.1", self.port) as client:
            return await client.call(method, ("spam", *params), DEADLINE)

    async def status(self) -> dict[str, str]:
        return (await self.ask("get_status"))[f"127.0.0.1_{self.port}"]


class Stream:
    """A client that trains through the proxy, and counts what was acknowledged and what may have arrived."""

    def __init__(self, port: int, seed: int) -> None:
        self._client, self._random = RpcClient("127.0.0.1", port), random.Random(seed)
        self.acknowledged = self.uncertain = 0

    async def send(self, count: int) -> None:
        for _ in range(count):
            label = self._random.choice(("spam", "ham", "eggs"))
            words = [*self._random.sample(WORDS, 5), f"{label}{self._random.randrange(20)}"]
            try:
                taken = await self._client.call("train", ("spam", [(label, ([("text", " ".join(words))], [], []))]), 30)
            except (RpcError, OSError):
                self.uncertain += 1
            else:
                assert taken == 1
                self.acknowledged += 1

    def close(self) -> None:
        self._client.close()


async def until(condition, what: str) -> None:
    until = time.monotonic() + DEADLINE
    while True:
        with contextlib.suppress(OSError, RpcError):
            if await condition():
                return
        assert time.monotonic() < until, what
        await asyncio.sleep(0.1)


async def model(server: ServerProcess) -> tuple:
    """Everything that a model says: the labels, and each word's weight for each label, to the last bit."""
    words = [*WORDS, *(f"{label}{number}" for label in ("spam", "ham", "eggs") for number in range(20))]
    scores = await server.ask("classify", [([("text", word)], [], []) for word in words])
    return await server.ask("get_labels"), [sorted(one) for one in scores]


async def all_equal(servers: list[ServerProcess]) -> bool:
    """Whether nothing is left to be mixed, and versions and models are the same."""
    states = [await server.status() for server in servers]
    if any(state["mix.active"] != "1" or state["mix.pending"] != "0" for state in states):
        return False
    if len({state["mix.version"] for state in states}) != 1:
        return False
    models = [await model(server) for server in servers]
    return all(one == models[0] for one in models)


def test_a_group_learns_as_one_through_kills_and_restarts_of_servers_and_of_zookeeper(zookeeper, tmp_path):  # noqa: F811
    (tmp_path / "config.json").write_text(CONFIGURATION)
    named = ("-t", "classifier", "-n", "spam", "-z", zookeeper.hosts)
    assert jubaconfig.main(("-c", "write", "-f", str(tmp_path / "config.json"), *named)) == 0
    servers = []
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        servers.append(ServerProcess(zookeeper.hosts, tmp_path / str(number)))

    async def main():
        *first, added = servers
        for server in first:
            await server.start()
        settings = ProxySettings("classifier", zookeeper.hosts, port=0, timeout=DEADLINE)
        async with Proxy(settings) as proxy, RpcClient("127.0.0.1", proxy.port) as asked:

            async def actives(count: int) -> bool:
                return len(await asked.call("get_status", ("spam",))) == count

            await until(lambda: actives(4), "four servers do not become active")
            streams = [Stream(proxy.port, seed) for seed in range(2)]

            async def learn(count: int) -> None:
                await asyncio.gather(*(stream.send(count) for stream in streams))

            await learn(150)
            learning = asyncio.create_task(learn(300))
            await asyncio.sleep(0.1)
            first[1].kill()
            await learning
            await first[1].start()
            await added.start()
            learning = asyncio.create_task(learn(300))
            await asyncio.to_thread(zookeeper.restart)
            await learning
            await until(lambda: actives(5), "five servers do not become active")
            await learn(50)
            zookeeper.stop()
            await learn(50)  # those that are known go on
            zookeeper.start()
            for server in servers:
                await until(lambda server=server: server.ask("do_mix"), "no round on demand")
            await until(lambda: all_equal(servers), "the servers differ")
            labels, _ = await model(servers[0])
            acknowledged = sum(stream.acknowledged for stream in streams)
            uncertain = sum(stream.uncertain for stream in streams)
            assert acknowledged <= sum(labels.values()) <= acknowledged + uncertain
            assert uncertain < 20
            assert len(await asked.call("save", ("spam", "last"))) == 5
            for stream in streams:
                stream.close()
        assert await servers[0].end() == 0
        await until(lambda: all_equal(servers[1:]), "those that are left differ")

    try:
        asyncio.run(main())
    finally:
        for server in servers:
            server.kill()


def test_a_server_does_not_join_originals(zookeeper, tmp_path):  # noqa: F811
    from kazoo.client import KazooClient

    (tmp_path / "config.json").write_text(CONFIGURATION)
    named = ("-t", "classifier", "-n", "spam", "-z", zookeeper.hosts)
    assert jubaconfig.main(("-c", "write", "-f", str(tmp_path / "config.json"), *named)) == 0
    original = KazooClient(zookeeper.hosts)
    original.start()
    original.create("/jubatus/actors/classifier/spam/nodes/10.0.0.1_9199", b"", ephemeral=True, makepath=True)
    ended = subprocess.run(
        [sys.executable, "-m", "hogwild.cli.serving", "classifier", "-n", "spam", "-z", zookeeper.hosts, "-p", "0"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    original.stop()
    original.close()
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        f"error: ZooKeeper at {zookeeper.hosts}: /jubatus/actors/classifier/spam/nodes/10.0."
    )
    assert "cannot mix in one group" in ended.stderr and ended.stderr.count("\n") == 1
