"""A parameter shard by itself: gate, idempotence, key sets, copies, checkpoints."""

from __future__ import annotations

from naive_counting import Add, CountingStore

from hogwild.cluster.consistency import ASP, BSP, SSP
from hogwild.cluster.protocol import (
    COORDINATOR,
    Accepted,
    Evicted,
    Members,
    MembersSet,
    NeedKeys,
    Persist,
    Persisted,
    Ping,
    Pong,
    Pulled,
    PushPull,
    Recv,
    Replicate,
    Replicated,
    Save,
    Saved,
    Send,
    ShardUp,
    Started,
    State,
    Synced,
    Timer,
    View,
)
from hogwild.cluster.settings import JobSettings
from hogwild.cluster.shard import ParameterShard

A, B = "worker/0", "worker/1"
PRIMARY, BACKUP = "shard/0/0", "shard/0/1"


def make(node=PRIMARY, policy=BSP, backup=None, members=(A, B), incarnation=0, number=0, **extra):
    shard = ParameterShard(
        node, JobSettings(consistency=policy), CountingStore(), incarnation, extra.pop("restored", None)
    )
    change(shard, number, members, backup, **extra)
    return shard


def change(shard, number, members, backup=None, primary=PRIMARY, epochs=None):
    incarnations = {PRIMARY: 0, BACKUP: 0, shard.node: shard.incarnation}
    view = View(number, {w: (epochs or {}).get(w, 0) for w in members}, (primary,), (backup,), incarnations)
    return shard.handle(0.0, Recv(COORDINATOR, Members(view)))


def say(shard, source, message, now=1.0):
    return [(effect.to, effect.message) for effect in shard.handle(now, Recv(source, message)) if type(effect) is Send]


def step(shard, worker, clock, number=1, *, epoch=0, keys=0, spelled=True, wants=True, now=1.0):
    push = None if clock == 0 else Add(number, keys, spelled)
    message = PushPull(worker, epoch, clock, push, Add(0, keys, spelled), 10 if push else 0, wants)
    return say(shard, worker, message, now)


def kinds(sent):
    return [(to, type(message)) for to, message in sent]


def test_announces_itself_until_it_is_in_a_view():
    shard = ParameterShard(PRIMARY, JobSettings(), CountingStore())
    assert shard.handle(0.0, Started())[0] == Send(COORDINATOR, ShardUp(PRIMARY, 0, False, 0.0))
    assert shard.handle(2.0, Timer("up"))
    assert Send(COORDINATOR, MembersSet(PRIMARY, 0, 0)) in change(shard, 0, (A,))
    assert not shard.handle(4.0, Timer("up"))


def test_views_for_the_one_before_it_are_ignored():
    shard = ParameterShard(PRIMARY, JobSettings(), CountingStore(), incarnation=1)
    view = View(5, {A: 0}, (PRIMARY,), (None,), {PRIMARY: 0})
    assert shard.handle(0.0, Recv(COORDINATOR, Members(view))) == [] and shard.view.number == -1


def test_bsp_waits_for_the_slowest_and_acknowledges_at_once():
    shard = make()
    assert kinds(step(shard, A, 0)) == [(A, Pulled)] and kinds(step(shard, B, 0)) == [(B, Pulled)]
    assert kinds(step(shard, A, 1)) == [(A, Accepted)]
    sent = step(shard, B, 1, now=4.0)
    assert kinds(sent) == [(A, Pulled), (B, Pulled)]
    assert [message.waited for _, message in sent] == [3.0, 0.0] and sent[0][1].values == {1: 2}
    assert shard.rows == 20 and shard.store.factors == [2, 2]


def test_ssp_and_asp():
    shard = make(policy=SSP(2))
    assert [kinds(step(shard, A, clock))[0][1] for clock in range(4)] == [Pulled, Pulled, Pulled, Accepted]
    assert kinds(step(shard, B, 1)) == [(A, Pulled), (B, Pulled)]
    shard = make(policy=ASP)
    assert {kinds(step(shard, A, clock))[0][1] for clock in range(20)} == {Pulled}


def test_a_push_is_applied_once():
    shard = make(policy=ASP)
    for _ in range(3):
        assert kinds(step(shard, A, 1, 7)) == [(A, Pulled)]
    step(shard, A, 2, 8)
    assert kinds(step(shard, A, 1, 7)) == []  # a late copy: its worker has gone on
    assert shard.store.applied == {7: 1, 8: 1} and shard.rows == 20 and shard.duplicates == 3


def test_a_waiting_pull_that_is_repeated_is_acknowledged_again_and_answered_once():
    shard = make()
    step(shard, A, 1)
    assert kinds(step(shard, A, 1)) == [(A, Accepted)]
    assert kinds(step(shard, B, 1)) == [(A, Pulled), (B, Pulled)]


def test_an_evicted_worker_is_told_and_nobody_waits_for_it():
    shard = make()
    step(shard, A, 1)
    effects = change(shard, 1, (A,))
    assert (A, Pulled) in [(each.to, type(each.message)) for each in effects if type(each) is Send]
    assert step(shard, B, 1) == [(B, Evicted(0))] and shard.store.applied == {1: 1}
    assert step(shard, B, 1, epoch=2) == []  # taken in by a view that has not come yet


def test_a_newcomer_starts_where_the_fastest_is():
    shard = make(policy=SSP(3), members=(A,))
    for clock in range(1, 6):
        step(shard, A, clock)
    change(shard, 1, (A, B), epochs={B: 1})
    assert shard.clocks == {A: 5, B: 5}
    assert kinds(step(shard, B, 5, epoch=1))[-1] == (B, Pulled)


def test_unknown_key_sets_are_asked_for():
    shard = make(policy=ASP)
    assert step(shard, A, 1, keys=9, spelled=False) == [(A, NeedKeys(PRIMARY, 0, 1, (9, 9)))]
    assert kinds(step(shard, A, 1, keys=9)) == [(A, Pulled)]
    assert kinds(step(shard, A, 2, keys=9, spelled=False)) == [(A, Pulled)]


def test_the_last_push_waits_for_nothing():
    shard = make()
    message = PushPull(A, 0, 1, Add(1), None, 10, False)
    assert kinds(say(shard, A, message)) == [(A, Accepted)]


def test_staleness_counts_pushes_of_others_between_pull_and_push():
    shard = make(policy=ASP)
    step(shard, A, 0), step(shard, B, 0)
    for clock in (1, 2, 3):
        step(shard, A, clock)
    step(shard, B, 1)
    assert shard.staleness == {0: 3, 3: 1}
    assert say(shard, COORDINATOR, Ping()) == [(COORDINATOR, Pong(PRIMARY, 0, 4, 40.0, 0, {0: 3, 3: 1}))]


# ------------------------------------------------------------------------------------------------ copies


def pair():
    """A primary and its backup that holds everything."""
    primary = make(policy=ASP, backup=BACKUP)
    backup = make(BACKUP, ASP, BACKUP)
    state = primary._state
    ((_, answer),) = say(backup, PRIMARY, state)
    assert kinds(say(primary, BACKUP, answer)) == [(COORDINATOR, Synced)]
    return primary, backup


def test_a_push_is_accepted_once_the_backup_has_it():
    primary, backup = pair()
    ((to, copy),) = step(primary, A, 1, 5)
    assert to == BACKUP and type(copy) is Replicate
    ((_, answer),) = say(backup, PRIMARY, copy)
    assert backup.store.applied == {5: 1} and kinds(say(primary, BACKUP, answer)) == [(A, Pulled)]
    assert say(backup, PRIMARY, copy) == [(PRIMARY, answer)] and backup.store.applied == {5: 1}


def test_copies_come_in_order():
    primary, backup = pair()
    ((_, first),), ((_, second),) = step(primary, A, 1, 5), step(primary, B, 1, 6)
    assert say(backup, PRIMARY, second) == []
    say(backup, PRIMARY, first)
    ((_, answer),) = say(backup, PRIMARY, second)
    assert answer.sequence == 2 and kinds(say(primary, BACKUP, answer)) == [(A, Pulled), (B, Pulled)]


def test_pushes_during_the_transfer_of_the_state_are_accepted_and_follow_it():
    primary = make(policy=ASP, backup=BACKUP)
    backup = make(BACKUP, ASP, BACKUP)
    state = primary._state
    copy, accepted = step(primary, A, 1, 5)
    assert accepted[0] == A and say(backup, PRIMARY, copy[1]) == []
    ((_, answer),) = say(backup, PRIMARY, state)
    assert say(primary, BACKUP, answer) == []  # installed, but not up to date
    again = [each.message for each in primary.handle(9.0, Timer("copy")) if type(each) is Send]
    ((_, answer),) = say(backup, PRIMARY, again[0])
    assert kinds(say(primary, BACKUP, answer)) == [(COORDINATOR, Synced)] and backup.store.applied == {5: 1}


def test_a_promoted_backup_knows_what_was_applied():
    primary, backup = pair()
    for clock, number in ((1, 5), (2, 6)):
        ((_, copy),) = step(primary, A, clock, number)
        say(backup, PRIMARY, copy)  # the primary dies before it accepts the second
    change(backup, 1, (A, B), primary=BACKUP)
    assert kinds(step(backup, A, 2, 6)) == [(A, Pulled)] and backup.store.applied == {5: 1, 6: 1}
    assert step(primary, A, 3, 7)[0][0] == BACKUP
    assert say(backup, PRIMARY, step(primary, B, 3, 8)[0][1]) == []  # the one before it copies in vain


def test_states_and_copies_of_another_lineage_are_refused():
    primary, backup = pair()
    ((_, copy),) = step(primary, A, 1, 5)
    assert say(backup, PRIMARY, copy._replace(lineage=7)) == []
    assert say(primary, BACKUP, Replicated(7, 1)) == [] and say(backup, A, State(9, 0, {}, {})) == []


def test_without_its_backup_a_primary_accepts_alone():
    primary, _ = pair()
    step(primary, A, 1, 5)
    sent = [(each.to, type(each.message)) for each in change(primary, 1, (A, B)) if type(each) is Send]
    assert (A, Pulled) in sent


# ------------------------------------------------------------------------------------------------ checkpoints


def test_a_checkpoint_is_written_once_and_read_back():
    shard = make(policy=ASP)
    step(shard, A, 1, 5)
    (persist,) = shard.handle(1.0, Recv(COORDINATOR, Save(3)))
    assert type(persist) is Persist and shard.handle(1.0, Recv(COORDINATOR, Save(3))) == []
    assert shard.handle(2.0, Persisted(3)) == [Send(COORDINATOR, Saved(PRIMARY, 3))]
    assert say(shard, COORDINATOR, Save(3)) == [(COORDINATOR, Saved(PRIMARY, 3))]
    again = make(policy=ASP, members=(), incarnation=1, restored=(persist.about, persist.state))
    assert again.store.applied == {5: 1} and again.rows == 10 and again.highest == 1
    assert step(again, A, 2, 6) == [(A, Evicted(0))]
