"""The coordinator by itself: joins, leases, evictions, lost shards, checkpoints, the end."""

from __future__ import annotations

import json

import pytest

from hogwild.cluster.coordinator import Coordinator
from hogwild.cluster.protocol import (
    Chunk,
    EpochEnded,
    Evicted,
    Fail,
    Finish,
    Finished,
    Join,
    Joined,
    Leases,
    Lost,
    Members,
    MembersSet,
    Moved,
    Persist,
    Persisted,
    Ping,
    Progress,
    Recv,
    Save,
    Saved,
    Send,
    ShardUp,
    Start,
    Started,
    Stats,
    Stop,
    Synced,
    Timer,
    Told,
    Wait,
)
from hogwild.cluster.settings import JobSettings

A, B = "worker/0", "worker/1"
S0, S1 = "shard/0/0", "shard/0/1"


class Script:
    """A coordinator, and shards that take every view over at once."""

    def __init__(self, chunks=8, rows=1000, turns=1, restored=None, **settings):
        settings = JobSettings(**{"phase_rows": 1000, "workers": 2, **settings})
        self.machine = Coordinator(settings, [Chunk(k, rows) for k in range(chunks)], turns, restored=restored)
        self.now, self.sent, self.others = 0.0, [], []
        self.deaf = set()
        self.event(Started())
        for replica in range(settings.replicas):
            self.tell(f"shard/0/{replica}", ShardUp(f"shard/0/{replica}", 0, False, 0.0))

    def event(self, event):
        self.sent, self.others = [], []
        self._carry(self.machine.handle(self.now, event))
        return self.sent

    def _carry(self, effects):
        for effect in effects:
            if type(effect) is not Send:
                self.others.append(effect)
                continue
            self.sent.append((effect.to, effect.message))
            if type(effect.message) is Members and effect.to not in self.deaf:
                answer = MembersSet(effect.to, effect.message.view.number, 0)
                self._carry(self.machine.handle(self.now, Recv(effect.to, answer)))

    def tell(self, source, message):
        return self.event(Recv(source, message))

    def join(self, worker, attempt=1):
        return self.of(self.tell(worker, Join(worker, (0, attempt))), worker)

    def of(self, sent, node):
        return [message for to, message in sent if to == node]

    def progress(self, worker, joined, phases, rows, done, **changes):
        stats = Stats(phases, rows, float(rows), 0.5 * rows, 1.0 * phases, 0.1 * phases, 0.0, 0.1)
        epoch = joined.leases.epoch
        message = Progress(worker, epoch, joined.clock + phases, done, stats, None, 99, 99)._replace(**changes)
        return self.of(self.tell(worker, message), worker)

    @property
    def view(self):
        return self.machine.views.view

    def told(self, kind):
        return [each.what for each in self.others if type(each) is Told and type(each.what) is kind]


def test_nobody_is_taken_in_before_all_shards_are_up():
    script = Script()
    script.machine = Coordinator(JobSettings(shards=2), [Chunk(0, 10)], 1)
    assert script.join(A) == [Wait()]
    script.tell("shard/0/0", ShardUp("shard/0/0", 0, False, 0.0))
    script.tell("shard/1/0", ShardUp("shard/1/0", 0, False, 0.0))
    assert type(script.join(A)[0]) is Joined


def test_a_worker_is_a_member_at_all_shards_before_it_is_told():
    script = Script()
    script.deaf.add(S0)
    assert script.join(A) == [] and script.view.members == {A: 1}
    sent = script.tell(S0, MembersSet(S0, 1, 5))
    (joined,) = script.of(sent, A)
    assert joined.clock == 5 and joined.leases.epoch == 1 and len(joined.leases.leases) == 2


def test_a_repeated_wish_gets_the_same_answer_and_an_older_one_none():
    script = Script()
    (joined,) = script.join(A, attempt=2)
    assert script.join(A, attempt=2) == [joined] and script.join(A, attempt=1) == []


def test_a_worker_that_joins_anew_has_a_new_epoch_and_its_rows_are_free():
    script = Script(chunks=2)
    (first,) = script.join(A)
    (second,) = script.join(A, attempt=2)
    assert second.leases.epoch > first.leases.epoch and len(second.leases.leases) == 2


def test_leases_follow_progress_and_the_job_ends():
    script = Script(chunks=3, turns=2)
    (joined,) = script.join(A)
    held, reached = list(joined.leases.leases), {}
    ended = []
    for phase in range(1, 7):
        lease = held.pop(0)
        reached[lease.number] = 1000
        done = [(lease.number, 1000, 1000), *((each.number, 0, 0) for each in held)]
        for message in script.progress(A, joined, phase, 1000 * phase, tuple(done)):
            if type(message) is Leases:
                held = [each for each in message.leases if each.number not in reached]
        ended += script.told(EpochEnded)
    assert [(each.turn, each.loss, each.rows) for each in ended] == [(1, 0.5, 3000), (2, 0.5, 3000)]
    assert Finished() in script.others and (A, Finish()) in script.sent
    assert script.join(B) == [Finish()] and script.machine.ledger.twice == 0


def test_who_has_nothing_to_do_is_no_member():
    script = Script(chunks=1)
    (joined,) = script.join(A)
    assert script.join(B) == [Wait()] and B not in script.view.members
    script.progress(A, joined, 1, 500, ((0, 500, 500),))
    sent = script.join(B)  # the other's rows behind its present phase are shared
    assert type(sent[0]) in (Joined, Wait)


def test_an_idle_worker_takes_rows_that_are_not_about_to_be_stepped():
    script = Script(chunks=1, rows=10_000)
    (joined,) = script.join(A)
    script.progress(A, joined, 1, 1000, ((0, 1000, 2000),))
    (other,) = script.join(B)
    (lease,) = other.leases.leases
    assert (lease.start, lease.stop) == (6500, 10_000)
    (told,) = [m for m in script.progress(A, joined, 2, 2000, ((0, 2000, 3000),)) if type(m) is Leases] or [None]
    assert told is None or told.leases[0].stop == 6500


def test_a_lost_worker_is_taken_out_and_its_rows_are_leased_again():
    script = Script(chunks=2)
    (joined,) = script.join(A)
    script.progress(A, joined, 1, 400, ((0, 400, 1000),))
    script.event(Lost(A))
    assert Start(A) in script.others and script.view.members == {}
    (other,) = script.join(B)
    left = sum(lease.stop - lease.start for lease in other.leases.leases)
    assert left == 1600
    assert script.progress(A, joined, 2, 1000, ((0, 1000, 1000),)) == [Evicted(joined.leases.epoch)]


def test_a_silent_worker_is_taken_out_by_the_clock():
    script = Script()
    script.join(A)
    script.now = 25.0
    script.event(Timer("tick"))
    assert script.view.members == {} and script.machine.evictions == [(A, "silent")]
    script.now = 121.0
    assert any(type(each) is Fail for each in (script.event(Timer("tick")), script.others)[1])


def test_a_worker_that_is_far_too_slow_is_evicted():
    script = Script(chunks=20)
    (first,), (second,) = script.join(A), script.join(B)
    script.progress(A, first, 1, 1000, ())
    script.progress(B, second, 1, 1000, ())
    script.progress(B, second, 1, 1000, (), computing=30.0)
    assert B in script.view.members
    script.progress(B, second, 1, 1000, (), computing=70.0)
    assert B not in script.view.members and script.machine.evictions == [(B, "too slow")]


def test_without_leases_everybody_keeps_its_own_chunks():
    script = Script(chunks=6, leases=False)
    (first,), (second,) = script.join(A), script.join(B)
    assert {lease.chunk.number % 2 for lease in first.leases.leases} == {0}
    assert {lease.chunk.number % 2 for lease in second.leases.leases} == {1}


# ------------------------------------------------------------------------------------------------ shards


def test_a_lost_shard_without_a_copy_is_restored_and_all_join_anew():
    script = Script()
    (joined,) = script.join(A)
    script.event(Lost(S0))
    assert Start(S0) in script.others
    assert script.tell(S0, ShardUp(S0, 0, False, 0.0)) == []  # a late message of the one that is gone
    script.tell(S0, ShardUp(S0, 1, True, 0.0))
    assert script.view.members == {} and script.view.incarnations == {S0: 1}
    assert script.progress(A, joined, 1, 1000, ()) == [Evicted(joined.leases.epoch)]


def test_a_complete_copy_is_promoted_and_the_workers_go_on():
    script = Script(replicas=2)
    (joined,) = script.join(A)
    script.tell(S0, Synced(S0, 0, S1, 0))
    sent = script.event(Lost(S0))
    assert script.of(sent, A) == [Moved((S1,), script.view.number)]
    assert script.view.members == {A: joined.leases.epoch} and script.view.backups == (None,)
    script.tell(S0, ShardUp(S0, 1, False, 0.0))
    assert (script.view.primaries, script.view.backups) == ((S1,), (S0,))
    script.event(Lost(S1))  # before the new copy is complete
    assert script.view.primaries == (S1,)


@pytest.mark.parametrize("stale", [(1, 0), (0, 1)])
def test_word_of_a_complete_copy_counts_for_those_incarnations_only(stale):
    script = Script(replicas=2)
    script.tell(S0, Synced(S0, stale[0], S1, stale[1]))
    script.event(Lost(S0))
    assert script.view.primaries == (S0,)


def test_a_silent_shard_is_lost():
    script = Script()
    script.now = 21.0
    script.event(Timer("tick"))
    assert Start(S0) in script.others
    script = Script()
    assert (S0, Ping()) in script.event(Timer("tick"))


# ------------------------------------------------------------------------------------------------ checkpoints


def test_a_checkpoint_is_complete_once_all_have_written_it_and_a_job_goes_on_from_it():
    script = Script(chunks=3, checkpoint_every=5.0)
    (joined,) = script.join(A)
    script.progress(A, joined, 1, 1000, ((0, 1000, 1000), (1, 0, 1000)))
    script.now = 6.0
    assert (S0, Save(1)) in script.event(Timer("tick"))
    (persist,) = [each for each in script.others if type(each) is Persist]
    script.tell(S0, Saved(S0, 1))
    assert not script.others
    script.event(Persisted(1))
    assert [each.what.number for each in script.others if type(each) is Told] == [1]
    about = json.loads(json.dumps(persist.about))
    again = Script(chunks=3, checkpoint_every=5.0, restored=about)
    assert sum(again.machine.ledger.done.values()) == 1000 and again.machine.ledger.rows == 3000


def test_stopping_leaves_a_checkpoint():
    script = Script(checkpoint_every=5.0)
    script.join(A)
    assert (S0, Save(1)) in script.event(Stop())
    assert Finished() not in script.others
    script.event(Persisted(1))
    sent = script.tell(S0, Saved(S0, 1))
    assert (A, Finish()) in sent and Finished() in script.others
    script = Script()
    script.join(A)
    assert (A, Finish()) in script.event(Stop())
