"""Servers that come back with what they had learnt, models out of files, and models that replace everybody's."""

from __future__ import annotations

import copy
import random
from dataclasses import replace as replace_field

import pytest
from cluster.mix_world import SETTINGS, World, tables, trouble

from hogwild.cluster.mix.lineage import Lineage
from hogwild.cluster.mix.mixers import serialised
from hogwild.cluster.mix.protocol import MixEnded, Obsolete, Replace
from hogwild.cluster.mix.server import MixServer
from hogwild.cluster.protocol import Started


class Logged(World):
    """What a server had learnt is in its log: a killed one comes back with all of it."""

    def __init__(self, *arguments, **options):
        self.logs = {}
        super().__init__(*arguments, **options)

    def kill(self, node):
        self.logs[node] = copy.deepcopy(self.servers[node].lineage.state())
        super().kill(node)

    def start(self, node):
        if node not in self.logs:
            return super().start(node)
        self.lives[node] += 1
        self.cut_off.discard(node)
        model = self.model()
        lineage = Lineage("", model)
        lineage.restore(self.logs.pop(node))
        self.servers[node] = self.machine(node, self.lives[node], self.settings, model, lineage=lineage)
        return self.give(node, Started())


@pytest.mark.parametrize("seed", range(40))
def test_a_server_that_comes_back_from_its_log_has_lost_nothing(seed):
    patient = replace_field(SETTINGS, patience=1e9)  # a group that goes on without the newest loses what only that knew
    world = trouble(Logged(seed, 5, drop=0.1, double=0.1, settings=patient), 120)
    world.quiet()
    world.settled()
    counts = next(iter(world.servers.values())).model.master["counts"]
    assert counts == {source: count for source, count in world.learnt.items() if count}


def test_a_group_of_which_all_have_died_comes_back_from_its_logs():
    world = Logged(1, 3)
    world.run(10)
    for node in world.servers:
        world.update(node, 10)
    world.mix("server/0")
    world.run(3)
    version = world.servers["server/0"].version
    for node in sorted(world.servers):
        world.update(node, 7)  # of which no round has heard
        world.kill(node)
    world.run(10)
    world.service = type(world.service)(world.service.round)  # the parent has died as well
    for node in ("server/0", "server/1", "server/2"):
        world.start(node)
    world.quiet()
    world.settled()
    assert world.servers["server/0"].version > version
    assert set(world.servers["server/1"].model.master["counts"].values()) == {17}


def test_a_state_is_taken_and_given_back():
    world = trouble(World(3, 4), 60)
    world.run(20)
    for server in world.servers.values():
        world.update(server.node, 3)
        model = tables()
        lineage = Lineage("", model)
        before, version = serialised(server.model.view), server.version
        lineage.restore(copy.deepcopy(server.lineage.state()))
        assert serialised(model.view) == before == serialised(server.model.view)
        assert (lineage.version, lineage.pending) == (version, server.pending)
        round = 10**6
        lineage.cut(round), server.lineage.cut(round)
        assert repr(lineage.cuts.contribution(round)) == repr(server.lineage.cuts.contribution(round))


# ------------------------------------------------------------------------------------------------ files' models


def seeded(world, node, count):
    """Start a server with the model of a file."""
    model = tables()
    model.change("counts", "file", count)
    model.load(model.join([model.cut()]), [])
    world.lives[node] += 1
    lineage = Lineage(f"{node}#{world.lives[node]}", model, seeded=True)
    world.servers[node] = MixServer(node, world.lives[node], SETTINGS, model, lineage=lineage)
    world.give(node, Started())


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("files", [1, 3])
def test_a_files_model_is_the_start_of_a_group(seed, files):
    world = World(seed, 0, drop=0.1, double=0.1)
    world.learnt["file"] = 2000
    order = random.Random(seed).sample([*range(files), None, None], files + 2)
    for number, file in enumerate(order):
        if file is None:
            world.start(f"server/{number}")
        else:
            seeded(world, f"server/{number}", 1000 + file)
        world.update(f"server/{number}", 3)
    world.service._holder = "nobody"  # until all are there
    world.run(0.1)
    world.service._holder = None
    world.run(30)
    world.quiet()
    world.settled()
    counts = world.servers["server/0"].model.master["counts"]
    assert 1000 <= counts.pop("file") < 1000 + files
    assert sum(counts.values()) == 3 * len(order)  # on top of it


def test_a_files_model_is_no_part_of_a_group_that_goes_on():
    world = World(0, 2)
    world.run(10)
    world.update("server/0", 5)
    world.learnt["file"] = 2000
    seeded(world, "server/9", 1000)
    world.quiet()
    world.settled()
    assert "file" not in world.servers["server/9"].model.master["counts"]


# ------------------------------------------------------------------------------------------------ replacing


def replace(world, node, content, ticket=0, works=True):
    model = world.servers[node].model

    def change():
        if works:
            model.cut()
            model.load({**tables().full(), "counts": dict(content)}, [])
        return works

    world.give(node, Replace(ticket, change))


def test_a_loaded_model_replaces_everybodys():
    world = World(0, 4)
    world.run(10)
    for node in world.servers:
        world.update(node, 10)
    world.mix("server/0")
    world.run(3)
    for node in world.servers:
        world.update(node, 5)
    replace(world, "server/2", {"file": 7}, ticket=3)
    world.run(1)
    assert MixEnded(3, True) in [what for _, _, what in world.told]
    assert world.servers["server/2"].active
    world.learnt.clear()
    world.update("server/1", 2)  # after it
    world.run(10)
    assert all(server.active for server in world.servers.values())
    world.quiet()
    assert {repr(server.model.view["counts"]) for server in world.servers.values()} == {"{'file': 7, 'server/1#1': 2}"}


def test_all_load_at_once():
    world = World(0, 4)
    world.run(10)
    for ticket, node in enumerate(world.servers):
        replace(world, node, {f"file/{node}": 1}, ticket)
    world.run(20)
    assert sorted(what for _, _, what in world.told if isinstance(what, MixEnded)) == [
        MixEnded(ticket, True) for ticket in range(4)
    ]
    world.quiet(60)
    assert len({serialised(server.model.view) for server in world.servers.values()}) == 1
    assert len(world.servers["server/0"].model.view["counts"]) == 1


def test_a_model_that_cannot_be_loaded_changes_nothing():
    world = World(0, 3)
    world.run(10)
    world.update("server/1", 10)
    obsolete = []
    world.filters.append(lambda source, to, message: not (isinstance(message, Obsolete) and obsolete.append(message)))
    replace(world, "server/2", {}, ticket=3, works=False)
    world.run(3)
    assert MixEnded(3, False) in [what for _, _, what in world.told] and not obsolete
    world.quiet()
    world.settled()


@pytest.mark.parametrize("seed", range(40))
def test_models_are_replaced_amid_trouble(seed):
    world = World(seed, 5, drop=0.1, double=0.1)
    for number in range(12):
        trouble(world, 10)
        if world.servers:
            replace(world, world.random.choice(sorted(world.servers)), {"file": number})
    world.quiet()
    servers = world.servers.values()
    assert all(server.active for server in servers) and len({server.version for server in servers}) == 1
    assert len({serialised(server.model.view) for server in servers}) == 1
    before = dict(next(iter(servers)).model.master["counts"])
    assert before.get("file", 0) < 12
    assert all(count <= world.learnt[source] for source, count in before.items() if source != "file")
    for server in servers:
        world.update(server.node, 3)
    world.mix(min(world.servers))
    world.run(20)
    after = next(iter(servers)).model.master["counts"]
    for server in servers:
        assert after[server.lineage.source] == before.get(server.lineage.source, 0) + 3
