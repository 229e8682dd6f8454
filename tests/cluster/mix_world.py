"""A MIX group in virtual time: servers, their coordination service, and a network that loses, doubles and delays."""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from hashlib import blake2b

from hogwild.cluster.mix.coordination import MixCoordination
from hogwild.cluster.mix.mixers import Mean, Minimum, Sum, Tables, serialised
from hogwild.cluster.mix.protocol import COORDINATION, MixNow, Updated
from hogwild.cluster.mix.server import MixServer, MixSettings
from hogwild.cluster.protocol import Finished, Lost, Recv, Send, SetTimer, Started, Stop, Timer, Told

SESSION = 3.0  # seconds until the session of a server that is not heard of ends
SETTINGS = MixSettings(interval_count=40, interval_sec=16.0, deadline=2.0, retry=0.5, patience=20.0)


def tables():
    return Tables({"counts": Sum(), "variances": Minimum(), "weights": Mean()})


class World:
    """Everything is drawn from the seed; two worlds of a seed are the same."""

    def __init__(self, seed, servers, drop=0.0, double=0.0, settings=SETTINGS, model=tables, machine=MixServer):
        self.random = random.Random(seed)
        self.drop, self.double, self.settings, self.model, self.machine = drop, double, settings, model, machine
        self.now, self.order, self.heap = 0.0, 0, []
        self.service = MixCoordination()
        self.servers, self.lives, self.timers = {}, Counter(), {}
        self.cut_off, self.reached = set(), {}
        self.learnt = Counter()  # updates of each life of a server
        self.bytes = {}  # of the master part of each version
        self.versions = Counter()  # of each life
        self.told, self.trace, self.filters = deque(maxlen=10_000), blake2b(digest_size=8), []
        for number in range(servers):
            self.start(f"server/{number}")

    # -------------------------------------------------------------------------------------- what happens to servers

    def start(self, node):
        self.lives[node] += 1
        self.cut_off.discard(node)  # another process, another connection
        self.servers[node] = self.machine(node, self.lives[node], self.settings, self.model())
        self.give(node, Started())

    def kill(self, node):
        """The session ends later, unless the server comes back before."""
        del self.servers[node]
        self.at(SESSION, "lost", (node, self.lives[node]))

    def isolate(self, node):
        """Cut a server off its coordination service, until the session has ended; others still reach it."""
        self.cut_off.add(node)
        self.at(SESSION, "lost", (node, self.lives[node]))
        self.at(SESSION + 2 * self.random.random(), "healed", node)

    def update(self, node, count=1):
        server = self.servers[node]
        for _ in range(count):
            key = f"f{self.random.randrange(30)}"
            server.model.change("counts", server.lineage.source, 1)
            server.model.change("weights", key, self.random.gauss(0, 1))
            server.model.change("variances", key, self.random.random())
        self.learnt[server.lineage.source] += count
        self.give(node, Updated(count))

    def mix(self, node, ticket=0):
        self.give(node, MixNow(ticket))

    def stop(self, node):
        self.give(node, Stop())

    # -------------------------------------------------------------------------------------- the loop

    def at(self, delay, kind, what):
        self.order += 1
        heapq.heappush(self.heap, (self.now + delay, self.order, kind, what))

    def run(self, seconds):
        """Events in the next seconds; those after them stay."""
        end = self.now + seconds
        count = 0
        while self.heap and self.heap[0][0] <= end:
            self.now, _, kind, what = heapq.heappop(self.heap)
            getattr(self, f"_{kind}")(what)
            count += 1
        self.now = end
        return count

    def give(self, node, event):
        """Hand an event to a server, carry out what it wants, and look whether all is well."""
        server = self.servers.get(node)
        if server is None:
            return
        self.trace.update(f"{self.now!r} {node} {event!r}\n".encode())
        effects = server.handle(self.now, event)
        self.check(server)
        for effect in effects:
            if isinstance(effect, Send):
                self.carry(node, effect)
            elif isinstance(effect, SetTimer):
                self.timers[node, effect.name] = None
                if effect.delay is not None:
                    self.at(effect.delay, "timer", (node, self.lives[node], effect.name, self.order + 1))
                    self.timers[node, effect.name] = self.order
            elif isinstance(effect, Told):
                self.told.append((self.now, node, effect.what))
            elif isinstance(effect, Finished):
                del self.servers[node]

    def check(self, server):
        """Versions only grow, and what has one version has one content."""
        assert server.version >= self.versions[server.lineage.source]
        if server.version != self.versions[server.lineage.source]:
            self.versions[server.lineage.source] = server.version
            content = serialised(server.model.master), sorted(server.lineage.included.items())
            assert self.bytes.setdefault(server.version, content) == content

    def carry(self, source, effect, life=None):
        to, message = effect
        if COORDINATION in (source, to):  # in order, complete, as long as the session lasts
            server = to if source == COORDINATION else source
            life = life or self.lives[server]
            if server in self.cut_off or life != self.lives[server]:  # a session belongs to one life
                return
            link = source, to, life
            self.reached[link] = max(self.reached.get(link, 0.0), self.now + self.random.expovariate(100))
            self.at(self.reached[link] - self.now, "message", (source, life, to, message))
            return
        if any(not keep(source, to, message) for keep in self.filters):
            return
        for _ in range(1 + (self.random.random() < self.double)):
            if self.random.random() >= self.drop:
                slow = 30.0 if self.random.random() < 0.01 else 0.02  # some come when nobody waits any more
                self.at(self.random.expovariate(1 / slow), "message", (source, self.lives[source], to, message))

    def _message(self, what):
        source, life, to, message = what
        if to == COORDINATION:
            if self.lives[source] == life and source not in self.cut_off:
                self.serve(Recv(source, message))
        elif source != COORDINATION or (self.lives[to] == life and to not in self.cut_off):
            self.give(to, Recv(source, message))

    def _timer(self, what):
        node, life, name, order = what
        if self.lives[node] == life and self.timers[node, name] == order:
            self.give(node, Timer(name))

    def _lost(self, what):
        node, life = what
        if self.lives[node] == life and (node not in self.servers or node in self.cut_off):
            self.serve(Lost(node))

    def _healed(self, node):
        self.cut_off.discard(node)

    def _call(self, what):
        what()

    def serve(self, event):
        for effect in self.service.handle(self.now, event):
            answer = isinstance(event, Recv) and effect.to == event.source
            self.carry(COORDINATION, effect, self.lives[effect.to] if answer else self.service.life(effect.to) or -1)

    # -------------------------------------------------------------------------------------- what is to come out

    def quiet(self, seconds=240.0):
        """No more faults and updates: everybody starts again, the network is whole, and one asks for a round."""
        self.drop = self.double = 0.0
        self.filters.clear()
        for node in sorted(self.lives.keys() - self.servers.keys() - self.left):
            self.start(node)
        self.run(seconds)
        for _ in range(3):
            self.mix(min(self.servers))
            self.run(seconds / 4)

    left = frozenset()

    def settled(self):
        """All are active with one version and the same bytes, and each update of a server that lives counts once."""
        servers = self.servers.values()
        assert all(server.active for server in servers)
        assert len({server.version for server in servers}) == 1
        assert len({serialised(server.model.view) for server in servers}) == 1
        assert len({serialised(server.model.master) for server in servers}) == 1
        counts = next(iter(servers)).model.master["counts"]
        for server in servers:
            assert counts.get(server.lineage.source, 0) == self.learnt[server.lineage.source], server.lineage.source
            assert server.pending == 0 and len(server.lineage.cuts) <= 3
        for source, count in counts.items():  # of lives that have ended, no more than they learnt
            assert count <= self.learnt[source]


def trouble(world, steps, crashes=True):
    """Updates on all servers, amid crashes, restarts, cut-off servers, lost masters, joins and demands."""
    chance = world.random
    for _ in range(steps):
        world.run(chance.expovariate(2.0))
        alive = sorted(world.servers)
        dice = chance.random()
        if alive:
            for node in chance.sample(alive, min(len(alive), 3)):
                world.update(node, chance.randrange(1, 15))
        if not crashes:
            continue
        if dice < 0.04 and alive:
            world.kill(chance.choice(alive))
        elif dice < 0.08:
            masters = [node for node in alive if world.servers[node].leads]
            if masters:
                world.kill(masters[0])
        elif dice < 0.12 and alive:
            node = chance.choice(alive)
            if node not in world.cut_off:
                world.isolate(node)
        elif dice < 0.18:
            down = sorted(world.lives.keys() - world.servers.keys())
            if down:
                world.start(chance.choice(down))
        elif dice < 0.20:
            world.start(f"server/{len(world.lives)}")
        elif dice < 0.24 and alive:
            world.mix(chance.choice(alive), 1)
        elif dice < 0.26:
            world.service = MixCoordination(
                world.service.round, world.service.floor
            )  # restarted: all sessions have ended
    return world
