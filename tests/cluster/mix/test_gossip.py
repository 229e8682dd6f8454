"""Exchange pair by pair in virtual time: everybody has every change in the end, whatever fails."""

from __future__ import annotations

import random

import pytest
from cluster.mix_world import SETTINGS, World, trouble

from hogwild.cluster.mix.gossip import CHOICES, GossipServer
from hogwild.cluster.mix.protocol import MixEnded, Updated


class Numbered:
    """Changes by owner: the naive model."""

    def __init__(self):
        self.changes = {}

    def learn(self, owner, count):
        known = self.changes.setdefault(owner, [])
        known += [f"{owner}:{len(known) + number}" for number in range(count)]

    def summary(self):
        return {owner: len(changes) for owner, changes in self.changes.items()}

    def since(self, summary):
        return {
            owner: (summary.get(owner, 0), changes[summary.get(owner, 0) :])
            for owner, changes in self.changes.items()
            if len(changes) > summary.get(owner, 0)
        }

    def merge(self, changes):
        new = 0
        for owner, (first, some) in changes.items():
            known = self.changes.get(owner, [])
            if first <= len(known) < first + len(some):
                new += first + len(some) - len(known)
                self.changes[owner] = known + some[len(known) - first :]
        return new


class Pairs(World):
    """Servers that gossip."""

    def __init__(self, seed, servers, choice="random", **options):
        def machine(*arguments):
            return GossipServer(*arguments, choice=choice)

        super().__init__(seed, servers, model=Numbered, machine=machine, **options)

    def update(self, node, count=1):
        self.servers[node].model.learn(self.servers[node].source, count)
        self.learnt[self.servers[node].source] += count
        self.give(node, Updated(count))

    def check(self, server):
        for owner, changes in server.model.changes.items():
            assert changes == [f"{owner}:{number}" for number in range(len(changes))]  # in order, each once
            assert len(changes) <= self.learnt[owner]
        assert server.version >= self.versions[server.source]
        self.versions[server.source] = server.version

    def settled(self):
        models = [server.model for server in self.servers.values()]
        assert all(server.active for server in self.servers.values())
        assert all(model.changes == models[0].changes for model in models)
        for server in self.servers.values():
            assert models[0].summary().get(server.source, 0) == self.learnt[server.source]


def test_a_lone_server_is_active_at_once():
    world = Pairs(0, 1)
    world.run(1)
    assert world.servers["server/0"].active
    world.mix("server/0", 7)
    assert [what for _, _, what in world.told if isinstance(what, MixEnded)] == [MixEnded(7, True)]


def test_a_new_server_is_active_once_it_has_what_another_has():
    world = Pairs(0, 1)
    world.update("server/0", 25)
    world.run(1)
    world.filters.append(lambda source, to, message: to != "server/1")
    world.start("server/1")
    world.run(20)
    assert not world.servers["server/1"].active
    world.filters.clear()
    world.run(20)
    assert world.servers["server/1"].active
    world.settled()


@pytest.mark.parametrize("choice", CHOICES)
def test_a_count_of_updates_and_then_time_bring_changes_to_all(choice):
    world = Pairs(1, 5, choice)
    world.run(10)
    world.update("server/3", SETTINGS.interval_count)
    world.run(1)
    having = sum(server.version > 0 for server in world.servers.values())
    assert {"random": 2, "broadcast": 5, "skip": 4}[choice] == having
    world.run(12 * SETTINGS.interval_sec)
    world.settled()


def test_the_ring_reaches_all_in_as_many_steps_as_the_logarithm():
    nodes = [f"server/{number:02}" for number in range(13)]
    reached = {nodes[4]}
    for _ in range(4):
        for node in list(reached):
            reached |= set(CHOICES["skip"]([other for other in nodes if other != node], node, random.Random(0)))
    assert reached == set(nodes)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_demand_is_told_whether_the_others_have_it(choice):
    world = Pairs(2, 3, choice)
    world.run(10)
    world.update("server/0", 3)
    world.mix("server/0", 1)
    world.run(SETTINGS.deadline)
    world.filters.append(lambda source, to, message: False)
    world.mix("server/0", 2)
    world.run(2 * SETTINGS.deadline)
    ended = [what for _, _, what in world.told if isinstance(what, MixEnded)]
    assert ended == [MixEnded(1, True), MixEnded(2, False)]


def test_a_server_that_stops_leaves_its_changes_to_the_others():
    world = Pairs(3, 3)
    world.run(10)
    world.update("server/2", 5)
    world.stop("server/2")
    world.run(5)
    assert "server/2" not in world.servers
    assert all(server.version == 5 for server in world.servers.values())


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("seed", range(6))
def test_whatever_fails_all_have_all_in_the_end(choice, seed):
    world = trouble(Pairs(seed, 4, choice, drop=0.2, double=0.2), 150)
    world.quiet()
    world.settled()


@pytest.mark.slow
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("seed", range(3))
def test_thirty_servers(choice, seed):
    world = trouble(Pairs(seed, 30, choice, drop=0.1, double=0.1), 60)
    world.quiet()
    world.settled()
