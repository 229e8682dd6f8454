"""Servers whose folds are dropped at random, their group in ZooKeeper, which is restarted as well."""

from __future__ import annotations

import asyncio
import random

import pytest
from online.group.town import Town
from online.zookeeper_server import zookeeper  # noqa: F401

pytest.importorskip("kazoo")

from hogwild.cluster.mix.protocol import PutDiff
from hogwild.cluster.mix.settings import MixSettings
from hogwild.online.group.zookeeper import ZooKeeperCoordination

pytestmark = pytest.mark.slow
SETTINGS = MixSettings(interval_count=50, interval_sec=0.5, deadline=0.4, retry=0.05, patience=30.0)


class ZooTown(Town):
    """A group whose sessions, lock and active servers are ZooKeeper's."""

    def __init__(self, hosts, **options):
        super().__init__(settings=SETTINGS, **options)
        self.hosts = hosts

    def coordination(self, service):
        coordination = ZooKeeperCoordination(self.hosts, "stat", "town", service.node)
        coordination.die = lambda: None  # ends with its server's process, or by `close`
        return coordination


def test_dropped_folds_and_a_restart_lose_and_double_nothing(zookeeper):  # noqa: F811
    async def main():
        chance, dropped = random.Random(0), []
        async with ZooTown(zookeeper.hosts) as town:
            servers = [await town.start() for _ in range(3)]
            await town.all_active()

            def keep(source, to, message):
                lost = isinstance(message, PutDiff) and source != to and chance.random() < 0.5
                if lost:
                    dropped.append(to)
                return not lost

            town.filters.append(keep)
            for turn in range(12):
                for server in servers:
                    for number in range(20):
                        await server.push(f"k{chance.randrange(30)}", float(number))
                if turn == 4:
                    servers.append(await town.start())
                if turn == 8:
                    await asyncio.to_thread(zookeeper.restart)
                await asyncio.sleep(0.1)
            await town.quiet()
            assert dropped
            assert town.counts() == town.learnt
            for server in servers:
                await server.member.leave(5.0)

    asyncio.run(main())
