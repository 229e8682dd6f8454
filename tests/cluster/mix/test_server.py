"""MIX groups in virtual time: no update is lost or counted twice, whatever fails; and each rule is needed."""

from __future__ import annotations

import pytest
from cluster.mix_world import SETTINGS, World, trouble

from hogwild.cluster.mix import cuts as mix_cuts
from hogwild.cluster.mix import lineage as mix_lineage
from hogwild.cluster.mix.cuts import Cuts
from hogwild.cluster.mix.mixers import Mean, Sum, Tables
from hogwild.cluster.mix.protocol import GetDiff, GetModel, Mixed, MixEnded, PutDiff, RoundEnded
from hogwild.cluster.mix.round import Round


def told(world, kind):
    return [what for _, _, what in world.told if isinstance(what, kind)]


def group(servers, **options):
    """A group that has just got going."""
    world = World(0, servers, **options)
    world.run(10)
    assert all(server.active for server in world.servers.values())
    return world


# ------------------------------------------------------------------------------------------------ plain rounds


def test_a_lone_server_is_active_at_once():
    world = World(0, 1)
    world.run(0.5)
    assert world.servers["server/0"].active


def test_a_count_of_updates_calls_for_a_round():
    world = group(3)
    before = world.servers["server/0"].version
    world.update("server/1", SETTINGS.interval_count - 1)
    world.run(1)
    assert world.servers["server/0"].version == before
    world.update("server/1")
    world.run(1)
    assert world.servers["server/0"].version == before + 1
    world.settled()


def test_time_calls_for_a_round_where_something_was_learnt():
    world = group(3)
    before = world.servers["server/0"].version
    world.run(100 * SETTINGS.interval_sec)
    assert world.servers["server/0"].version == before
    world.update("server/1")
    world.run(SETTINGS.interval_sec + 1)
    assert world.servers["server/0"].version == before + 1
    world.settled()


def test_a_round_on_demand():
    world = group(3)
    world.update("server/1")
    world.mix("server/2", ticket=7)
    world.run(1)
    assert told(world, MixEnded) == [MixEnded(7, True)]
    world.settled()


def test_a_demand_waits_for_a_round_that_begins_after_it():
    world = group(2)
    world.update("server/0", SETTINGS.interval_count)
    while not any(isinstance(item[3][3], PutDiff) for item in world.heap if item[2] == "message"):
        world.run(0.001)
    world.update("server/1")  # after its diff was taken
    world.mix("server/1", ticket=7)
    world.run(2)
    assert told(world, MixEnded) == [MixEnded(7, True)]
    assert world.servers["server/0"].model.master["counts"]["server/1#1"] == 1


def test_a_demand_that_nobody_can_meet_ends():
    world = group(2)
    world.update("server/1")
    world.filters.append(lambda source, to, message: not isinstance(message, GetDiff))
    world.cut_off.update(world.servers)
    world.mix("server/1", ticket=7)
    world.run(4 * SETTINGS.deadline + 1)
    assert told(world, MixEnded) == [MixEnded(7, False)]


def test_a_server_that_stops_hands_over_what_it_learnt():
    world = group(3)
    world.update("server/1", 5)
    world.stop("server/1")
    world.run(3)
    assert sorted(world.servers) == ["server/0", "server/2"]
    assert world.servers["server/0"].model.master["counts"] == {"server/1#1": 5}
    world.settled()


def test_a_new_server_fetches_the_model_and_is_active_after_a_round():
    world = group(2)
    world.update("server/0", SETTINGS.interval_count)
    world.run(2)
    asked, before = [], world.servers["server/0"].version
    world.filters.append(lambda source, to, message: not isinstance(message, GetModel) or not asked.append(to))
    world.start("server/2")
    while not world.servers["server/2"].version:
        world.run(0.01)
    new = world.servers["server/2"]
    assert (new.version, new.active) == (before, False)
    assert set(asked) <= {"server/0", "server/1"}
    world.run(5)
    assert new.active and new.version > before
    world.settled()


def test_the_lock_is_not_asked_for_when_nothing_has_changed():
    world = group(5)
    count = world.run(1000)
    assert count < 5 * 4 * 1000 / SETTINGS.interval_sec  # signs of life, no hot loop


# ------------------------------------------------------------------------------------------------ trouble


@pytest.mark.parametrize("seed", range(40))
def test_no_update_is_lost_or_counted_twice(seed):
    world = trouble(World(seed, 5, drop=0.1, double=0.1), 120)
    world.quiet()
    world.settled()


@pytest.mark.parametrize(("servers", "seed"), [(2, 0), (2, 1), (3, 0), (20, 0), (20, 1), (100, 0)])
def test_groups_of_all_sizes(servers, seed):
    world = trouble(World(seed, servers, drop=0.1, double=0.1), 3000 // (servers + 20))
    world.quiet()
    world.settled()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_a_hundred_servers(seed):
    world = trouble(World(1000 + seed, 100, drop=0.1, double=0.1), 60)
    world.quiet()
    world.settled()


@pytest.mark.slow
@pytest.mark.parametrize("seeds", range(0, 1000, 100))
def test_a_thousand_seeds(seeds):
    for seed in range(seeds, seeds + 100):
        world = trouble(World(2000 + seed, 3 + seed % 5, drop=0.2, double=0.2), 150)
        world.quiet()
        world.settled()


def test_cuts_are_kept_while_a_server_of_another_branch_may_come_back():
    """Seed 891: two restarts of the service, between which one server has led a round alone."""
    world = trouble(World(2891, 4, drop=0.2, double=0.2), 150)
    world.quiet()
    world.settled()


def test_nothing_is_settled_while_a_former_member_is_missing():
    world = group(3)
    world.update("server/0", 5)
    world.kill("server/2")
    world.run(4)  # its session has ended
    world.mix("server/0")
    world.run(2)
    server = world.servers["server/0"]
    assert server._missing() == {"server/0", "server/1", "server/2"}
    floor = world.service.floor
    for _ in range(2):
        world.update("server/0", 5)
        world.mix("server/0")
        world.run(2)
    assert world.service.floor == floor
    world.run(SETTINGS.patience)
    for _ in range(2):
        world.update("server/0", 5)
        world.mix("server/0")
        world.run(2)
    assert server._missing() == {"server/0", "server/1"} and world.service.floor > floor


def test_a_seed_has_one_trace():
    first, second, other = (trouble(World(seed, 4, drop=0.1), 60).trace.hexdigest() for seed in (5, 5, 6))
    assert first == second != other


@pytest.mark.parametrize("messages", range(12))
@pytest.mark.parametrize("kind", [GetDiff, PutDiff])
def test_a_round_survives_its_master(kind, messages):
    """It is killed when that many of its messages have got through, and is not heard of again."""
    world = group(4)
    for node in world.servers:
        world.update(node, 10)
    passed = []

    def keep(source, to, message):
        if not world.servers[source].leads if source in world.servers else False:
            return True
        if isinstance(message, kind):
            passed.append(to)
            return len(passed) <= messages
        return True

    world.filters.append(keep)
    world.mix("server/0")
    while len(passed) <= messages and world.run(0.01) is not None and world.now < 20:
        pass
    world.kill("server/0")
    world.filters.clear()
    world.run(60)
    for _ in range(2):  # the dead one is missed no more: cuts go
        world.mix("server/1")
        world.run(10)
    world.settled()
    assert "server/0" not in world.servers


def test_a_master_that_was_only_slow_is_overtaken():
    world = group(4)
    world.update("server/0", 10)
    held = []

    def hold(source, to, message):
        if source == "server/0" and isinstance(message, PutDiff):
            held.append((source, world.lives[source], to, message))
            return False
        return True

    world.filters.append(hold)
    world.mix("server/0")
    world.run(0.5)
    assert held
    world.isolate("server/0")  # its session ends, the next one becomes master
    world.update("server/1", 10)
    world.mix("server/1")
    world.run(20)
    world.filters.clear()
    for message in held:
        world.at(0, "message", message)
    world.run(20)
    world.mix("server/2")
    world.run(10)
    world.settled()


def test_all_sessions_end_and_a_new_server_comes_first():
    world = group(3)
    for _ in range(3):
        for node in world.servers:
            world.update(node, 10)
        world.mix("server/0")
        world.run(2)
    model = world.servers["server/0"].model.view
    world.cut_off.update(world.servers)
    world.service = mix_coordination_anew(world)
    world.start("server/9")
    world.run(5)
    assert not world.servers["server/9"].active  # it has nothing, and the group once had more
    world.cut_off.clear()
    world.run(2 * SETTINGS.interval_sec)
    world.settled()
    assert world.servers["server/9"].model.view == model


def mix_coordination_anew(world):
    return type(world.service)(world.service.round, world.service.floor)


def test_when_all_that_knew_more_are_gone_the_rest_goes_on():
    world = group(2)
    for _ in range(2):
        world.update("server/0", 10)
        world.mix("server/0")
        world.run(2)
    world.kill("server/0"), world.kill("server/1")
    world.start("server/2")
    world.run(SETTINGS.patience)
    assert not world.servers["server/2"].active
    world.run(10)
    assert world.servers["server/2"].active


# ------------------------------------------------------------------------------------------------ memory


def test_cuts_are_few_while_a_member_is_silent():
    world = group(3)
    world.filters.append(lambda source, to, message: source != "server/2")
    for _ in range(3 * mix_cuts.LIMIT):
        world.update("server/0")
        world.mix("server/0")
        world.run(3 * SETTINGS.deadline)
    assert max(len(server.lineage.cuts) for server in world.servers.values()) <= mix_cuts.LIMIT
    assert len(world.servers["server/0"].lineage.cuts) == mix_cuts.LIMIT
    world.quiet()
    world.settled()


def test_former_servers_are_remembered_up_to_a_number(monkeypatch):
    monkeypatch.setattr(mix_lineage, "REMEMBERED", 12)
    for seed in range(10):
        world = trouble(World(seed, 4, drop=0.1), 150)
        world.quiet()
        world.settled()
        assert all(len(server.lineage.included) <= 12 for server in world.servers.values())


# ------------------------------------------------------------------------------------------------ rules that are needed


def between_question_and_fold(model):
    """Update a server after it has handed over its diff, before the fold comes."""
    world = group(2, model=model)
    world.update("server/0", SETTINGS.interval_count)
    while not any(isinstance(item[3][3], PutDiff) for item in world.heap if item[2] == "message"):
        world.run(0.001)
    world.update("server/1", 5)
    world.quiet()
    world.settled()


class Clearing(Tables):
    """As the original: the whole diff goes when the fold comes."""

    def apply(self, mixed, kept):
        self.cut()
        super().apply(mixed, [])


def counting(kind):
    return lambda: kind({"counts": Sum(), "weights": Mean(), "variances": Sum()})


def test_what_is_learnt_during_a_round_is_kept():
    between_question_and_fold(counting(Tables))
    with pytest.raises(AssertionError, match="server/1#1"):
        between_question_and_fold(counting(Clearing))


def test_an_idle_server_does_not_dilute_the_mean():
    def weight(over):
        world = group(4, model=lambda: Tables({"weights": Mean(over)}))
        for node in ("server/0", "server/1"):
            world.servers[node].model.change("weights", "f", 1.0)
        world.mix("server/0")
        world.run(1)
        return {server.model.view["weights"]["f"] for server in world.servers.values()}

    assert weight("changed") == weight("updates") == {1.0}
    assert weight("all") == {0.5}  # as the original


def silent(world):
    """A server gets no folds; the round goes on without it."""
    world.filters.append(lambda source, to, message: to != "server/2" or not isinstance(message, PutDiff))
    world.update("server/0", SETTINGS.interval_count)
    world.run(SETTINGS.deadline + 0.4)
    stale = world.servers["server/2"]
    newest = max(server.version for server in world.servers.values())
    return stale.active and stale.version < newest, told(world, RoundEnded)[-1]


def test_a_fold_that_nobody_acknowledged_is_no_success(monkeypatch):
    stale_and_active, ended = silent(group(3))
    assert not stale_and_active
    assert set(ended.took) == {"server/0", "server/1"} and ended.missed == ("server/2",)
    end = Round._end

    def original(self):
        for node in self._puts:
            self._answers.setdefault(node, True)
        return end(self)

    monkeypatch.setattr(Round, "_end", original)
    stale_and_active, _ = silent(group(3))
    assert stale_and_active


def test_a_server_whose_answer_was_lost_stays_active():
    world = group(3)
    world.filters.append(lambda source, to, message: source != "server/2" or not isinstance(message, Mixed))
    world.update("server/0", SETTINGS.interval_count)
    world.run(3 * SETTINGS.deadline)
    assert all(server.active for server in world.servers.values())
    assert set(world.service._actives) == set(world.servers)


def without(monkeypatch, name, rule):
    monkeypatch.setattr(Cuts, name, rule)
    for seed in range(40):
        world = trouble(World(seed, 5, drop=0.1, double=0.1), 120)
        world.quiet()
        world.settled()


def test_cuts_that_go_once_they_are_sent_are_lost(monkeypatch):
    with pytest.raises(AssertionError, match="server/"):
        without(monkeypatch, "contribution", lambda self, round: self._join([c.diff for c in self._cuts[-1:]]))


def test_cuts_that_are_not_taken_out_count_twice(monkeypatch):
    with pytest.raises(AssertionError):
        without(monkeypatch, "rebase", lambda self, included: None)


def test_cuts_that_go_once_they_are_mixed_are_lost(monkeypatch):
    def rebase(self, included):
        self.included = included
        self._cuts = [cut for cut in self._cuts if cut.round > included]

    with pytest.raises(AssertionError, match="server/"):
        without(monkeypatch, "rebase", rebase)
