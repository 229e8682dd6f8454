"""The active servers that a proxy sees in a real ZooKeeper."""

from __future__ import annotations

import asyncio

import pytest
from online.zookeeper_server import zookeeper  # noqa: F401

pytest.importorskip("kazoo")

from kazoo.client import KazooClient

from hogwild.online.proxy.members import NoServerError, ZooKeeperMembers

A, B = "127.0.0.1_9199", "127.0.0.1_9200"
ACTIVES = "/jubatus/actors/classifier/spam/actives"
pytestmark = pytest.mark.slow


@pytest.fixture
def servers(zookeeper):  # noqa: F811
    """A client in the servers' place; original ones write nothing into their entries."""
    client = KazooClient(zookeeper.hosts)
    client.start()
    yield client
    client.stop()
    client.close()


async def until_nodes(members: ZooKeeperMembers, *nodes: str) -> None:
    async with asyncio.timeout(20):
        while (await members.group("spam")).nodes != nodes:
            await asyncio.sleep(0.02)


def test_servers_that_come_and_go_are_noticed(zookeeper, servers):  # noqa: F811
    async def main():
        members = ZooKeeperMembers(zookeeper.hosts, "classifier", 2.0)
        try:
            for name in ("spam", "other"):
                with pytest.raises(NoServerError, match=f"found no active server in /jubatus/actors/classifier/{name}"):
                    await members.group(name)
            servers.create(f"{ACTIVES}/{A}", makepath=True)
            await until_nodes(members, A)
            servers.create(f"{ACTIVES}/{B}")
            await until_nodes(members, A, B)
            servers.delete(f"{ACTIVES}/{A}")
            await until_nodes(members, B)
            servers.delete(f"{ACTIVES}/{B}")
            with pytest.raises(NoServerError):
                await until_nodes(members)
            servers.delete("/jubatus", recursive=True)  # and everything anew
            servers.create(f"{ACTIVES}/{B}", makepath=True)
            async with asyncio.timeout(20):
                while True:
                    try:
                        assert (await members.group("spam")).nodes == (B,)
                        break
                    except NoServerError:
                        await asyncio.sleep(0.02)
        finally:
            await members.close()

    asyncio.run(main())


def test_while_the_service_is_away_the_last_ones_are_gone_on_with(zookeeper, servers):  # noqa: F811
    async def main():
        members = ZooKeeperMembers(zookeeper.hosts, "classifier", 1.0)
        try:
            servers.create(f"{ACTIVES}/{A}", makepath=True)
            await until_nodes(members, A)
            zookeeper.stop()
            assert (await members.group("spam")).nodes == (A,)
            with pytest.raises(NoServerError, match="not reached"):
                await members.group("other")
            zookeeper.start()
            async with asyncio.timeout(20):
                await asyncio.to_thread(servers.retry, servers.create, f"{ACTIVES}/{B}")
            await until_nodes(members, A, B)
        finally:
            await members.close()

    asyncio.run(main())


@pytest.mark.parametrize("name", ["", "a/b", "..", "a\nb", "\udcff"])
def test_a_name_that_cannot_be_one_is_an_error_of_the_call(zookeeper, name):  # noqa: F811
    async def main():
        members = ZooKeeperMembers(zookeeper.hosts, "classifier")
        try:
            with pytest.raises(ValueError, match="the name of a type or group"):
                await members.group(name)
        finally:
            await members.close()

    asyncio.run(main())
