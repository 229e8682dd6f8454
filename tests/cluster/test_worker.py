"""A worker by itself: phases, repeats, leases, rejoining."""

from __future__ import annotations

from naive_counting import Add

from hogwild.cluster.protocol import (
    COORDINATOR,
    Accepted,
    Chunk,
    Compute,
    Computed,
    Evicted,
    Finish,
    Finished,
    Flush,
    Join,
    Joined,
    Lease,
    Leases,
    Moved,
    NeedKeys,
    Phase,
    PhaseResult,
    Prepare,
    Prepared,
    Progress,
    Pulled,
    PushPull,
    Recv,
    Send,
    Started,
    Timer,
)
from hogwild.cluster.settings import JobSettings
from hogwild.cluster.worker import Worker

ME, SHARDS = "worker/0", ("shard/0/0", "shard/1/0")


def lease(number, rows=100, start=0):
    return Lease(number, 1, Chunk(number, rows), start, rows)


def start(*leases, phase_rows=60, clock=0):
    worker = Worker(ME, JobSettings(shards=2, first_phase_rows=2_000, progress_every=0.0))
    ((join, _, _),) = [worker.handle(0.0, Started())]
    joined = Joined(join.message.attempt, clock, SHARDS, Leases(0, leases, phase_rows, 0))
    return worker, worker.handle(0.0, Recv(COORDINATOR, joined))


def sent(effects, kind):
    return [each.message for each in effects if type(each) is Send and type(each.message) is kind]


def job(effects):
    (found,) = [each for each in effects if type(each) is Compute]
    return found


def prepared(worker, effects, now=1.0):
    return worker.handle(now, Computed(job(effects).ticket, Prepared((Add(1), Add(2)))))


def answered(worker, clock, now=2.0, waited=0.0, shards=SHARDS):
    effects = []
    for shard in shards:
        answer = Pulled(shard, worker.epoch, clock, {}, 0, 1, 0.0, waited, 0)
        effects += worker.handle(now, Recv(shard, answer))
    return effects


def stepped(worker, effects, now=3.0):
    phase = job(effects)
    rows = sum(part.stop - part.start for part in phase.job.parts)
    pulls = (Add(3), Add(4)) if phase.job.following else ()
    return worker.handle(now, Computed(phase.ticket, PhaseResult((Add(5), Add(6)), pulls, rows, rows, 2.0 * rows, 0.1)))


def spans(parts):
    return [(part.lease.number, part.start, part.stop) for part in parts]


def test_phases_follow_each_other_across_leases():
    worker, effects = start(lease(0), lease(1))
    assert job(effects).job == Prepare(job(effects).job.parts, True) and spans(job(effects).job.parts) == [(0, 0, 60)]
    effects = prepared(worker, effects)
    assert [(m.clock, m.push, m.pull, m.rows) for m in sent(effects, PushPull)] == [
        (0, None, Add(n), 0) for n in (1, 2)
    ]
    effects = answered(worker, 0)
    phase = job(effects).job
    assert type(phase) is Phase and spans(phase.following) == [(0, 60, 100), (1, 0, 20)]
    effects = stepped(worker, effects)
    assert [(m.clock, m.push, m.pull, m.rows) for m in sent(effects, PushPull)] == [
        (1, Add(5), Add(3), 60),
        (1, Add(6), Add(4), 60),
    ]
    effects = answered(worker, 1)
    (progress,) = sent(effects, Progress)
    assert progress.done == ((0, 60, 100), (1, 0, 20)) and progress.stats.rows == 60 and progress.stats.loss == 120.0
    assert spans(job(effects).job.parts) == [(0, 60, 100), (1, 0, 20)]


def test_rows_count_as_done_once_all_shards_have_accepted():
    worker, effects = start(lease(0))
    prepared(worker, effects)
    stepped(worker, answered(worker, 0))
    assert not sent(worker.handle(3.0, Recv(SHARDS[0], Accepted(SHARDS[0], 0, 1, 0))), Progress)
    (progress,) = sent(worker.handle(3.0, Timer("alive")), Progress)
    assert progress.done == ((0, 0, 100),) and progress.stats.rows == 0
    (progress,) = sent(worker.handle(4.0, Recv(SHARDS[1], Accepted(SHARDS[1], 0, 1, 0))), Progress)
    assert progress.done == ((0, 60, 100),) and progress.stats.rows == 60


def test_what_is_unanswered_is_repeated_and_accepted_pushes_are_not():
    worker, effects = start(lease(0))
    prepared(worker, effects)
    stepped(worker, answered(worker, 0))
    again = sent(worker.handle(9.0, Timer("again")), PushPull)
    assert [message.push for message in again] == [Add(5), Add(6)]
    worker.handle(9.0, Recv(SHARDS[0], Accepted(SHARDS[0], 0, 1, 0)))
    again = sent(worker.handle(11.0, Timer("again")), PushPull)
    assert [(message.push, message.wants) for message in again] == [(None, True), (Add(6), True)]
    answered(worker, 1, shards=SHARDS[:1])
    assert [each.to for each in worker.handle(13.0, Timer("again")) if type(each) is Send] == [SHARDS[1]]


def test_late_and_doubled_answers_change_nothing():
    worker, effects = start(lease(0))
    prepared(worker, effects)
    effects = answered(worker, 0)
    assert answered(worker, 0) == []
    stepped(worker, effects)
    assert answered(worker, 0) == [] and stepped(worker, effects) == []


def test_time_is_compute_exchange_or_waiting():
    worker, effects = start(lease(0))
    prepared(worker, effects, now=1.0)
    effects = answered(worker, 0, now=5.0, waited=3.0)
    stepped(worker, effects, now=7.0)
    stats = worker.stats
    assert (stats.compute, stats.exchange, stats.waiting) == (3.0, 1.0, 3.0)


def test_changed_leases_prepare_the_phase_again():
    worker, effects = start(lease(0), lease(1))
    prepared(worker, effects)
    effects = answered(worker, 0)
    worker.handle(2.0, Recv(COORDINATOR, Leases(0, (lease(0)._replace(stop=60), lease(2)), 60, 1)))
    effects = stepped(worker, effects)
    assert job(effects).job == Prepare(job(effects).job.parts, False) and spans(job(effects).job.parts) == [(2, 0, 60)]
    pushes = sent(prepared(worker, effects), PushPull)
    assert [(m.push, m.pull) for m in pushes] == [(Add(5), Add(1)), (Add(6), Add(2))]


def test_an_older_list_of_leases_is_ignored():
    worker, _ = start(lease(0))
    worker.handle(1.0, Recv(COORDINATOR, Leases(0, (lease(0), lease(1)), 60, 2)))
    worker.handle(1.0, Recv(COORDINATOR, Leases(0, (), 60, 1)))
    assert worker.state != "out" and set(worker._leases) == {0, 1}


def test_the_last_rows_are_pushed_without_a_pull():
    worker, effects = start(lease(0, rows=50))
    prepared(worker, effects)
    effects = stepped(worker, answered(worker, 0))
    assert [(m.push, m.pull, m.wants) for m in sent(effects, PushPull)] == [
        (Add(5), None, False),
        (Add(6), None, False),
    ]
    worker.handle(4.0, Recv(SHARDS[0], Accepted(SHARDS[0], 0, 1, 0)))
    effects = worker.handle(4.0, Recv(SHARDS[1], Accepted(SHARDS[1], 0, 1, 0)))
    assert sent(effects, Progress)[0].done == ((0, 50, 50),) and worker.state == "starved"
    effects = worker.handle(5.0, Recv(COORDINATOR, Leases(0, (lease(3),), 60, 1)))
    assert spans(job(effects).job.parts) == [(3, 0, 60)]


def test_without_leases_it_asks_again():
    worker, _ = start(lease(0))
    effects = worker.handle(1.0, Recv(COORDINATOR, Leases(0, (), 60, 1)))
    assert sent(effects, Join) == [Join(ME, (0, 2))]


def test_after_an_eviction_everything_is_forgotten():
    worker, effects = start(lease(0))
    effects = prepared(worker, effects)
    assert worker.handle(2.0, Recv(SHARDS[0], Evicted(5))) == []  # of another epoch
    assert sent(worker.handle(2.0, Recv(SHARDS[0], Evicted(0))), Join) == [Join(ME, (0, 2))]
    assert answered(worker, 0) == []
    old = Joined((0, 1), 0, SHARDS, Leases(0, (lease(0),), 60, 0))
    assert worker.handle(3.0, Recv(COORDINATOR, old)) == []
    new = Joined((0, 2), 7, SHARDS, Leases(4, (lease(5),), 60, 0))
    effects = worker.handle(3.0, Recv(COORDINATOR, new))
    assert job(effects).job.fresh and worker.clock == 7 and worker.epoch == 4


def test_key_sets_are_spelled_once_and_when_asked_for():
    worker, effects = start(lease(0, rows=200))
    ticket = job(effects).ticket
    first = worker.handle(1.0, Computed(ticket, Prepared((Add(1, keys=8), Add(2, keys=8)))))
    assert [message.pull.spelled for message in sent(first, PushPull)] == [True, True]
    again = sent(worker.handle(3.0, Timer("again")), PushPull)
    assert [message.pull.spelled for message in again] == [False, False]
    effects = worker.handle(4.0, Recv(SHARDS[1], NeedKeys(SHARDS[1], 0, 0, (8,))))
    assert [(each.to, each.message.pull.spelled) for each in effects] == [(SHARDS[1], True)]


def test_a_moved_shard_gets_what_is_outstanding():
    worker, effects = start(lease(0))
    prepared(worker, effects)
    moved = Moved((SHARDS[0], "shard/1/1"), 3)
    effects = worker.handle(2.0, Recv(COORDINATOR, moved))
    assert [each.to for each in effects] == ["shard/1/1"] and worker.handle(2.0, Recv(COORDINATOR, moved)) == []


def test_the_end():
    worker, _ = start(lease(0))
    assert Finished() in worker.handle(1.0, Recv(COORDINATOR, Finish()))
    assert worker.handle(2.0, Timer("alive")) == [] and answered(worker, 0) == []


def test_reports_are_rare_while_there_are_rows():
    worker, effects = start(lease(0, rows=1000))
    worker._settings = JobSettings(shards=2, progress_every=10.0)
    prepared(worker, effects)
    effects, reports = answered(worker, 0), []
    for clock in range(1, 17):
        stepped(worker, effects)
        effects = answered(worker, clock)
        reports += [(clock, each.done[0][1]) for each in sent(effects, Progress)]
    assert reports == [(15, 900), (16, 960)]  # when fewer rows than a phase has are left behind the next one


def test_rows_whose_changes_are_kept_back_are_done_once_those_are_pushed():
    worker, effects = start(lease(0, rows=180))
    prepared(worker, effects)
    effects = answered(worker, 0)
    done = []
    for clock, complete in ((1, False), (2, True), (3, False)):
        phase = job(effects)
        rows = sum(part.stop - part.start for part in phase.job.parts)
        pulls = (Add(3), Add(4)) if phase.job.following else ()
        result = PhaseResult((Add(5), Add(6)), pulls, rows, rows, 2.0 * rows, 0.1, 1.0, complete)
        pushed = worker.handle(3.0, Computed(phase.ticket, result))
        assert len(sent(pushed, PushPull)) == 2
        if pulls:
            effects = answered(worker, clock)
            done += [each.done[0][1] for each in sent(effects, Progress)]
    assert done == [0, 120]  # the first says that rows are needed
    for shard in SHARDS:
        effects = worker.handle(4.0, Recv(shard, Accepted(shard, 0, 3, 0)))
    assert job(effects).job == Flush()
    pushed = worker.handle(5.0, Computed(job(effects).ticket, PhaseResult((Add(7), None), (), 0, 0.0, 0.0, 0.1)))
    assert [(m.clock, m.push, m.rows, m.wants) for m in sent(pushed, PushPull)] == [
        (4, Add(7), 0, False),
        (4, None, 0, False),
    ]
    for shard in SHARDS:
        effects = worker.handle(6.0, Recv(shard, Accepted(shard, 0, 4, 0)))
    assert sent(effects, Progress)[-1].done == ((0, 180, 180),) and worker.state == "starved"
