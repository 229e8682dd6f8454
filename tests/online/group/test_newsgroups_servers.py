"""Four servers over ZooKeeper, each on a quarter of 20 Newsgroups, learn as well as one that sees everything."""

from __future__ import annotations

import asyncio
import io
import json
import random
import re
import tarfile
from pathlib import Path

import pytest
from online.group.test_zookeeper_servers import ServerProcess, until
from online.zookeeper_server import zookeeper  # noqa: F401

pytest.importorskip("kazoo")

from hogwild.cli import jubaconfig
from hogwild.data.files import read_bytes
from hogwild.online.datum import Datum
from hogwild.online.driver import make_driver
from hogwild.online.service.client import RpcClient

ARCHIVE = Path(__file__).parents[4] / "shared" / "data" / "20news-bydate.tar.xz"
CONFIGURATION = {
    "method": "AROW",
    "parameter": {"regularization_weight": 1.0},
    "converter": {"string_rules": [{"key": "*", "type": "space", "sample_weight": "bin", "global_weight": "bin"}]},
}
SERVERS, INTERVAL, CALL = 4, 512, 64
WAIT = 60.0

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not ARCHIVE.exists(), reason="20 Newsgroups is not here")]


def stream():
    parts = {"train": [], "test": []}
    with tarfile.open(fileobj=io.BytesIO(bytes(read_bytes(ARCHIVE)))) as archive:
        for member in sorted(filter(tarfile.TarInfo.isfile, archive), key=lambda member: member.name):
            folder, label, _ = member.name.split("/")[-3:]
            text = archive.extractfile(member).read().decode("latin-1").lower()
            words = " ".join(sorted(set(re.findall("[a-z0-9]+", text))))
            parts[folder.rsplit("-", 1)[1]].append((label, words))
    random.Random(0).shuffle(parts["train"])
    return parts["train"], parts["test"]


def wire(words):
    return [("t", words)], [], []


def share(answers, test):
    best = [max(scores, key=lambda pair: pair[1])[0] for scores in answers]
    return sum(label == found for found, (label, _) in zip(best, test, strict=True)) / len(test)


def test_four_servers_learn_as_well_as_one(zookeeper, tmp_path):  # noqa: F811
    train, test = stream()
    alone = make_driver("classifier", CONFIGURATION)
    alone.run("train", [[(label, Datum.of({"t": words})) for label, words in train]])
    one = share(alone.run("classify", [[Datum.of({"t": words}) for _, words in test]]), test)

    (tmp_path / "config.json").write_text(json.dumps(CONFIGURATION))
    named = ("-t", "classifier", "-n", "spam", "-z", zookeeper.hosts)
    assert jubaconfig.main(("-c", "write", "-f", str(tmp_path / "config.json"), *named)) == 0
    servers = []
    for number in range(SERVERS):
        (tmp_path / str(number)).mkdir()
        servers.append(ServerProcess(zookeeper.hosts, tmp_path / str(number), "-i", str(INTERVAL), "-s", "600"))

    async def learn(server, examples, turns):
        """Learn a quarter, no server far ahead of the others."""
        async with RpcClient("127.0.0.1", server.port) as client:
            for start in range(0, len(examples), CALL):
                await client.call("train", ("spam", [(y, wire(x)) for y, x in examples[start : start + CALL]]), WAIT)
                await turns.wait()

    async def main():
        for server in servers:
            await server.start()

        async def all_active():
            return all([(await server.status())["mix.active"] == "1" for server in servers])

        await until(all_active, "four servers do not become active")
        quarters = [train[number::SERVERS] for number in range(SERVERS)]
        calls = {-(-len(quarter) // CALL) for quarter in quarters}
        assert len(calls) == 1
        turns = asyncio.Barrier(SERVERS)
        await asyncio.gather(*(learn(server, each, turns) for server, each in zip(servers, quarters, strict=True)))
        await until(lambda: servers[0].ask("do_mix"), "no round on demand")
        versions = {(await server.status())["mix.version"] for server in servers}
        assert len(versions) == 1
        found = []
        for server in servers:
            answers = []
            for start in range(0, len(test), 500):
                answers += await server.ask("classify", [wire(words) for _, words in test[start : start + 500]])
            found.append(answers)
        assert all(answers == found[0] for answers in found)
        labels = await servers[0].ask("get_labels")
        assert sum(labels.values()) == len(train)
        print(f"one server {one:.4f}, four {share(found[0], test):.4f}")
        assert share(found[0], test) >= one

    try:
        asyncio.run(main())
    finally:
        for server in servers:
            server.kill()
