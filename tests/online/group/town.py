"""Servers of a group in one process: real services, a plain model, and connections that lose and double."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np

from hogwild.cluster.mix.mixers import Mean, Minimum, Sum, Tables, serialised
from hogwild.cluster.mix.settings import MixSettings
from hogwild.online import driver as drivers
from hogwild.online.group.coordination import Desk
from hogwild.online.group.member import join_group
from hogwild.online.group.settings import LinkSettings
from hogwild.online.service.client import RpcClient
from hogwild.online.service.rpc import RpcServer
from hogwild.online.service.service import Service
from hogwild.online.state import Parts, State

SETTINGS = MixSettings(interval_count=50, interval_sec=0.5, deadline=0.4, retry=0.03, patience=1.0)
DEADLINE = 20.0  # for what must come about


class TablesPart(Tables):
    """The reference model as a part."""

    def __init__(self, over="changed"):
        self._over = over
        super().__init__({"counts": Sum(), "variances": Minimum(), "weights": Mean(over)})

    def clear(self):
        self.__init__(self._over)

    def state(self):
        return State({"tables": json.loads(json.dumps(self.view))}, {"none": np.zeros(0)})

    def restore(self, state):
        self.clear()
        self.load(state.about["tables"], [])


class Learner:
    """Answers the calls of a stat: `push(key, value)` counts the key, and learns the value as its weight."""

    part: type = TablesPart

    def __init__(self, configuration=None, node=""):
        self.table = self.part()
        self.parts = Parts({"tables": self.table})

    def run(self, method, arguments):
        key, *rest = arguments
        if method == "push":
            self.table.change("counts", key, 1)
            self.table.change("weights", key, rest[0])
            self.table.change("variances", key, rest[0])
            return True
        return float(self.table.view["counts"].get(key, 0))

    def status(self):
        return {}


@contextlib.contextmanager
def learning(kind):
    """Have that class be the learner of stats."""
    known, make = drivers._DRIVERS["stat"], drivers.make_driver

    def make_driver(type, configuration, node=""):
        return kind(configuration, node) if type == "stat" else make(type, configuration, node)

    drivers.make_driver = make_driver
    try:
        yield
    finally:
        drivers.make_driver = make
    assert drivers._DRIVERS["stat"] == known


class NearCoordination:
    """A desk in the same process."""

    def __init__(self, desk, node):
        self._desk, self._node, self._tell = desk, node, None
        self.dead = False

    async def start(self, tell):
        self._tell = tell

    def send(self, message):
        if not self.dead:
            asyncio.get_running_loop().call_soon(self._desk.receive, self._node, message, self._link)

    def _link(self, answer):
        if not self.dead:
            asyncio.get_running_loop().call_soon(self._tell, answer)

    async def close(self):
        await asyncio.sleep(0)
        self.die()

    def die(self):
        self.dead = True
        self._desk.lost(self._node, self._link)


class Memory:
    """A journal that outlasts its process: what was not committed is lost."""

    def __init__(self):
        self.durable, self.buffered, self.failure, self.state = [], [], None, None

    def replay(self, load):
        self.buffered = []
        yield from self.durable

    def append(self, record):
        self.buffered.append(record)

    async def commit(self):
        await asyncio.sleep(0)
        self.durable += self.buffered
        self.buffered = []

    async def close(self):
        await self.commit()


class Server:
    """One of them."""

    def __init__(self, town, service, rpc, coordination, member):
        self.town, self.service, self.rpc, self.coordination, self.member = town, service, rpc, coordination, member
        self.node = service.node

    @property
    def machine(self):
        return self.member._machine

    @property
    def table(self):
        return self.service.driver.table

    async def push(self, key, value=1.0):
        await self.service.call("push", [key, value])
        self.town.learnt[key] += 1


class Town:
    """A group. Use as an asynchronous context."""

    type, mixer = "stat", "linear_mixer"

    def __init__(self, seed=0, drop=0.0, double=0.0, settings=SETTINGS, links=None, kind=Learner, configuration="{}"):
        self.chance, self.drop, self.double = random.Random(seed), drop, double
        self.settings, self.links, self.configuration = settings, links or LinkSettings(timeout=2.0), configuration
        self.desk, self.servers, self.learnt = Desk(), {}, Counter()
        self.filters = []
        self._learning = learning(kind)

    async def __aenter__(self):
        self._learning.__enter__()
        return self

    async def __aexit__(self, *error):
        for server in list(self.servers.values()):
            await self.kill(server)
        self._learning.__exit__(*error)

    async def start(self, journal=None, port=0, configuration=None, model=None):
        service = Service(self.type, configuration or self.configuration, journal=journal)
        rpc = RpcServer(service, port=port)
        service.address = "127.0.0.1", await rpc.start()
        coordination = self.coordination(service)
        member = await join_group(service, rpc, coordination, self.settings, self.links, self.mixer)
        self._trouble(member)
        await service.load_learner(model and Path(model))
        server = Server(self, service, rpc, coordination, member)
        self.servers[service.node] = server
        await self.until(lambda: server.machine is not None)
        return server

    def coordination(self, service):
        return NearCoordination(self.desk, service.node)

    def _trouble(self, member):
        send, node = member._post.send, member._node

        def troubled(to, message):
            if all(keep(node, to, message) for keep in self.filters):
                for _ in range(1 + (self.chance.random() < self.double)):
                    if self.chance.random() >= self.drop:
                        send(to, message)

        member._post.send = troubled

    async def kill(self, server):
        """End it as a process ends."""
        del self.servers[server.node]
        server.member._task.cancel()
        server.member._end()
        server.member._post.keep(())
        server.coordination.die()
        await server.rpc.close()
        server.service.draining = True
        server.service.journal = None

    async def until(self, condition):
        loop = asyncio.get_running_loop()
        end = loop.time() + DEADLINE
        while not condition():
            assert loop.time() < end, self.standing()
            await asyncio.sleep(0.01)

    def standing(self):
        return {
            node: (server.machine.version, server.machine.active, server.machine.pending, server.member.figures)
            for node, server in self.servers.items()
        }

    async def all_active(self):
        await self.until(lambda: all(server.machine.active for server in self.servers.values()))

    async def quiet(self):
        """No more faults; then rounds, until all are equal."""
        self.drop = self.double = 0.0
        self.filters.clear()
        await self.all_active()
        await self.until(lambda: not self.mixing() and not any(server.machine.pending for server in self.all()))
        assert await next(iter(self.all())).member.mix()
        await self.until(lambda: len({server.machine.version for server in self.all()}) == 1 and not self.mixing())
        assert len({serialised(server.table.master) for server in self.all()}) == 1
        assert len({serialised(server.table.view) for server in self.all()}) == 1

    def all(self):
        return list(self.servers.values())

    def mixing(self):
        return any(server.machine.leads or not server.machine.active for server in self.all())

    def counts(self):
        return Counter(self.all()[0].table.view["counts"])


async def client_of(server):
    client = RpcClient("127.0.0.1", server.rpc.port)
    await client.connect()
    return client
