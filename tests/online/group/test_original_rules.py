"""What Jubatus loses, on the same scenes as here: each rule of ours is needed."""

from __future__ import annotations

import asyncio

import pytest
from online.group.town import Learner, TablesPart, Town

from hogwild.cluster.mix.protocol import Diff, PutDiff
from hogwild.cluster.mix.round import Round


class Clearing(TablesPart):
    """The whole diff goes when the fold comes."""

    def apply(self, mixed, kept):
        self.cut()
        super().apply(mixed, [])


class Diluting(TablesPart):
    """The mean is over all servers that answered."""

    def __init__(self, over="all"):
        super().__init__("all")


def learner(kind):
    return type("Original", (Learner,), {"part": kind})


def learnt_amid_a_round(kind):
    """Return what was learnt between question and fold, and what of that is left after a quiet round."""

    async def run():
        async with Town(kind=kind) as town:
            servers = [await town.start() for _ in range(2)]
            await town.all_active()
            follower = []

            def keep(source, to, message):
                if isinstance(message, Diff) and not follower:
                    follower.append(source)
                    town.servers[source].table.change("counts", "meanwhile", 1)
                return True

            town.filters.append(keep)
            await servers[0].push("a")
            assert await servers[0].member.mix()
            town.filters.clear()
            await servers[0].push("b")
            await town.quiet()
            assert follower
            return town.counts().get("meanwhile", 0)

    return asyncio.run(run())


def test_what_is_learnt_amid_a_round():
    assert learnt_amid_a_round(Learner) == 1
    assert learnt_amid_a_round(learner(Clearing)) == 0


def mean_beside_idle_servers(kind):
    """Two of four servers learn a weight of 1."""

    async def run():
        async with Town(kind=kind) as town:
            servers = [await town.start() for _ in range(4)]
            await town.all_active()
            for server in servers[:2]:
                server.table.change("weights", "f", 1.0)
            assert await servers[0].member.mix()
            await town.quiet()
            (weight,) = {server.table.view["weights"]["f"] for server in servers}
            return weight

    return asyncio.run(run())


def test_idle_servers_do_not_dilute_the_mean():
    assert mean_beside_idle_servers(Learner) == 1.0
    assert mean_beside_idle_servers(learner(Diluting)) == 0.5


def a_fold_that_timed_out():
    """Return what is said of a round whose fold one server never got, and whether that one goes on as if it had."""

    async def run():
        async with Town() as town:
            servers = [await town.start() for _ in range(3)]
            await town.all_active()
            deaf = servers[2].node
            town.filters.append(lambda source, to, message: to != deaf or not isinstance(message, PutDiff))
            master = servers[0].member.figures
            failed = master.failed
            await servers[0].push("a")
            assert await servers[0].member.mix()
            await town.until(lambda: not any(server.machine.leads for server in servers))
            for _ in range(20):
                await asyncio.sleep(0)
            stale = servers[2].machine.version < servers[0].machine.version
            return master.failed > failed, stale and deaf in town.desk.service._actives

    return asyncio.run(run())


def test_a_fold_that_timed_out_is_no_success(monkeypatch):
    assert a_fold_that_timed_out() == (True, False)
    end = Round._end

    def original(self):
        for node in self._puts:
            self._answers.setdefault(node, True)
        return end(self)

    monkeypatch.setattr(Round, "_end", original)
    assert a_fold_that_timed_out() == (False, True)


@pytest.mark.parametrize("kind", [Learner, learner(Clearing), learner(Diluting)])
def test_the_originals_rules_agree_where_nothing_is_in_their_way(kind):
    async def run():
        async with Town(kind=kind) as town:
            servers = [await town.start() for _ in range(2)]
            await town.all_active()
            for server in servers:
                await server.push("f", 1.0)
            await town.quiet()
            view = servers[0].table.view
            return view["counts"], view["weights"]

    assert asyncio.run(run()) == ({"f": 2}, {"f": 1.0})
