"""The checker finds bugs that are planted in the real machines, one of each kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hogwild.cluster.consistency import ASP, BSP, SSP
from hogwild.cluster.coordinator import Coordinator
from hogwild.cluster.protocol import Chunk, Replicated, Send
from hogwild.cluster.settings import JobSettings
from hogwild.cluster.shard import ParameterShard
from hogwild.cluster.simulation.costs import Costs
from hogwild.cluster.simulation.delays import Delay
from hogwild.cluster.simulation.faults import Faults
from hogwild.cluster.simulation.network import Network
from hogwild.cluster.simulation.run import Roles, run
from hogwild.cluster.simulation.shard_checks import InvariantError
from hogwild.cluster.worker import Worker

SETTINGS = JobSettings(
    shards=2,
    workers=5,
    phase_rows=500,
    resend=0.2,
    heartbeat=0.2,
    worker_timeout=2.0,
    shard_timeout=2.0,
    compute_timeout=2.0,
    give_up=1e6,
    checkpoint_every=1.0,
)
CHUNKS = [Chunk(number, 700 + 37 * number) for number in range(20)]


def simulated(seed: int, roles: Roles, settings: JobSettings, faults: Faults, network: Network):
    return run(
        settings,
        CHUNKS,
        20,
        roles=roles,
        faults=faults,
        network=network,
        costs=Costs(rate=2e4, noise=0.3, spread=0.4),
        told=0.5,
        start=Delay(0.1),
        grace=30.0,
        seed=seed,
        fault_events=12_000,
        events=100_000,
    )


# ------------------------------------------------------------------------------------------------ double application


class ForgetsClocks(ParameterShard):
    """A push that came before is taken for new."""

    def _push_pull(self, now, source, message):
        if message.push is not None and self.clocks.get(message.worker) == message.clock:
            self._counts[message.clock] -= 1
            self._counts[message.clock - 1] += 1
            self.clocks[message.worker] -= 1
        return super()._push_pull(now, source, message)


class CopiesTwice(ParameterShard):
    """A backup applies the copy of a push whenever it comes."""

    def _replicate(self, now, source, message):
        if self.backup and message.lineage == self._lineage and message.sequence == self.sequence:
            self.store.apply(message.message.push, message.active)
        return super()._replicate(now, source, message)


# ------------------------------------------------------------------------------------------------ lost deltas


class AcceptsWithoutApplying(ParameterShard):
    """Every hundredth push is acknowledged, and not added."""

    def _apply(self, message, active):
        super()._apply(message._replace(push=None) if self.version % 100 == 99 else message, active)


class AcceptsBeforeTheCopy(ParameterShard):
    """A push is acknowledged while its copy is on its way."""

    def _copy(self, now, message, active, staleness):
        copying = super()._copy(now, message, active, staleness)
        self._copies[self.sequence] = self._copies[self.sequence]._replace(accepted=True)
        return copying + self._accept(now, message, staleness)


class CopiesInNameAlone(ParameterShard):
    """A backup says that it has a push before it has it."""

    def _replicate(self, now, source, message):
        if self.backup and message.lineage == self._lineage:
            return [Send(source, Replicated(self._lineage, message.sequence))]
        return super()._replicate(now, source, message)


class ComesBackEmpty(ParameterShard):
    """A shard forgets to take its checkpoint over."""

    def __init__(self, node, settings, store, incarnation=0, restored=None):
        super().__init__(node, settings, store, incarnation, None)


class SendsHalfItsState(ParameterShard):
    """A new backup is sent a state without the newest pushes."""

    def _choose_backup(self, now):
        snapshot = self.store.snapshot
        self.store.snapshot = lambda: {**snapshot(), "log": snapshot()["log"][:-3]}
        effects = super()._choose_backup(now)
        del self.store.snapshot
        return effects


# ------------------------------------------------------------------------------------------------ stale reads


class AdmitsOneTooMany(ParameterShard):
    """The gate is one phase too wide."""

    def __init__(self, node, settings, *rest):
        wider = replace(settings, consistency=SSP(settings.consistency.staleness + 1))
        super().__init__(node, wider, *rest)


class OverlooksAMember(ParameterShard):
    """The clock of one worker counts for nothing."""

    def _raise_lowest(self, now):
        kept = self._counts
        self._counts = {clock: n for clock, n in kept.items() if n > (self.clocks.get("worker/1") == clock)}
        effects = super()._raise_lowest(now)
        self._counts = kept
        return effects


class AnswersFromMemory(ParameterShard):
    """What a worker pulls is read anew for every third answer only."""

    def _answer(self, now, message, since, staleness):
        send = super()._answer(now, message, since, staleness)
        self.answered = getattr(self, "answered", 0) + 1
        if self.answered % 3 == 1:
            self.remembered = send.message.values
        return send._replace(message=send.message._replace(values=self.remembered))


# ------------------------------------------------------------------------------------------------ livelocks and hangs


class WaitsBeforeItAccepts(ParameterShard):
    """A push is taken only with its pull: it comes again and again."""

    def _push_pull(self, now, source, message):
        if message.wants and not self._settings.consistency.admits(message.clock, self.lowest):
            return []
        return super()._push_pull(now, source, message)


class NeverReleases(ParameterShard):
    """Who waits at the gate is not seen again."""

    def _raise_lowest(self, now):
        waiters, self._waiters = self._waiters, {}
        effects = super()._raise_lowest(now)
        self._waiters = waiters
        return effects


class NeverAsksAgain(Worker):
    """What is lost on the way stays lost."""

    def _again(self, now):
        return []


class KeepsTheDead(Coordinator):
    """A dead worker stays a member."""

    def _lost(self, now, node):
        return [] if node.startswith("worker/") else super()._lost(now, node)

    def _tick(self, now):
        for member in self._members.values():
            member.heard = now
        return super()._tick(now)

    def _join(self, now, message):
        return [] if message.worker in self._members else super()._join(now, message)


# ------------------------------------------------------------------------------------------------ rows


class LosesLeases(Coordinator):
    """What an evicted worker held counts as done."""

    def _drop(self, now, worker, why):
        for number in self._members[worker].held:
            if number in self.ledger.leases:
                self.ledger.reach(number, self.ledger.leases[number].stop)
        return super()._drop(now, worker, why)


class StepsTwice(Worker):
    """Some rows are stepped in two phases."""

    def _plan(self, parts=()):
        for number in list(self._planned):
            if self.clock % 7 == 3 and number in self._leases:
                self._planned[number] = self._leases[number].start
        return super()._plan(parts)


CALM = Faults()
CRASHES = Faults(worker_crashes=0.2, shard_crashes=0.3, restart=Delay(0.1, 0.5), both_copies=False)
LOSSES = replace(CRASHES, both_copies=True)
NOISY = Network(Delay(0.0005, 0.002), loss=0.02, duplication=0.05)
CLEAN = Network(Delay(0.0005, 0.002))
COPIES = {"replicas": 2}


@pytest.mark.parametrize(
    ("role", "machine", "settings", "faults", "network", "found"),
    [
        ("shard", ForgetsClocks, {}, CALM, NOISY, {"applied once"}),
        ("shard", CopiesTwice, COPIES, CALM, NOISY, {"applied once"}),
        ("shard", AcceptsWithoutApplying, {}, CALM, CLEAN, {"acknowledged"}),
        ("shard", AcceptsBeforeTheCopy, COPIES, CALM, CLEAN, {"copied", "nothing lost"}),
        ("shard", CopiesInNameAlone, COPIES, CALM, CLEAN, {"copied", "nothing lost"}),
        ("shard", ComesBackEmpty, {}, LOSSES, CLEAN, {"restored"}),
        ("shard", SendsHalfItsState, COPIES, CRASHES, CLEAN, {"sums", "copied", "nothing lost"}),
        ("shard", AdmitsOneTooMany, {"consistency": BSP}, CALM, CLEAN, {"staleness"}),
        ("shard", AdmitsOneTooMany, {"consistency": SSP(2)}, CALM, CLEAN, {"staleness"}),
        ("shard", OverlooksAMember, {"consistency": SSP(1)}, CALM, CLEAN, {"staleness"}),
        ("shard", AnswersFromMemory, {"consistency": ASP}, CALM, CLEAN, {"reads"}),
        ("shard", WaitsBeforeItAccepts, {"consistency": BSP}, CALM, CLEAN, {"progress", "idles"}),
        ("shard", NeverReleases, {"consistency": BSP}, CALM, CLEAN, {"progress", "idles"}),
        ("worker", NeverAsksAgain, {"consistency": SSP(1)}, CALM, NOISY, {"progress", "idles"}),
        ("coordinator", KeepsTheDead, {"consistency": SSP(1)}, CRASHES, CLEAN, {"progress", "idles"}),
        ("coordinator", LosesLeases, {}, CRASHES, CLEAN, {"coverage"}),
        ("worker", StepsTwice, {}, CALM, CLEAN, {"rows once"}),
    ],
)
def test_a_planted_bug_is_found(role, machine, settings, faults, network, found):
    settings = replace(SETTINGS, **settings)
    with pytest.raises(InvariantError) as caught:
        for seed in range(5):
            simulated(seed, Roles(**{role: machine}), settings, faults, network)
    assert caught.value.invariant in found
    assert "the last events:" in str(caught.value)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("consistency", [BSP, SSP(1), SSP(2), ASP])
def test_nothing_is_found_where_nothing_is_planted(consistency, replicas):
    settings = replace(SETTINGS, consistency=consistency, replicas=replicas)
    for seed, (faults, network) in enumerate([(CALM, NOISY), (CALM, CLEAN), (CRASHES, CLEAN), (CRASHES, NOISY)]):
        assert simulated(seed, Roles(), settings, faults, network).finished
