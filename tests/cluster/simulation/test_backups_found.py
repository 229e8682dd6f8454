"""Bugs of backups that simulations have found, as short as they can be told."""

from __future__ import annotations

from hogwild.cluster.protocol import Members, PushPull, Recv, Replicate, Replicated, Send, State, View
from hogwild.cluster.settings import JobSettings
from hogwild.cluster.shard import ParameterShard
from hogwild.cluster.simulation.counting import CountingPush, CountingStore, worth

PRIMARY, BACKUP = "shard/0/0", "shard/0/1"
SETTINGS = JobSettings(replicas=2)


def view(number, members, primary=PRIMARY, backup=BACKUP):
    return View(number, members, (primary,), (backup,), {PRIMARY: 0, BACKUP: 0})


def push(worker, epoch, clock, serial):
    return PushPull(worker, epoch, clock, CountingPush(serial, worth(serial), 0), None, 10, True)


def sent(effects, kind):
    return [effect.message for effect in effects if type(effect) is Send and type(effect.message) is kind]


def synced_backup(members):
    """A backup that has the state of an empty primary, in view 0."""
    backup = ParameterShard(BACKUP, SETTINGS, CountingStore())
    backup.handle(0.0, Recv("coordinator", Members(view(0, members))))
    primary = ParameterShard(PRIMARY, SETTINGS, CountingStore())
    (state,) = sent(primary.handle(0.0, Recv("coordinator", Members(view(0, members)))), State)
    assert sent(backup.handle(0.1, Recv(PRIMARY, state)), Replicated)
    return backup, state.lineage


def test_a_copy_of_a_member_that_the_backup_has_not_heard_of_is_not_applied_again():
    backup, lineage = synced_backup({})
    message = push("worker/0", 1, 7, serial=5)
    backup.handle(0.2, Recv(PRIMARY, Replicate(lineage, 1, message, 1)))
    backup.handle(0.3, Recv("coordinator", Members(view(1, {"worker/0": 1}))))
    backup.handle(0.4, Recv("coordinator", Members(view(2, {"worker/0": 1}, primary=BACKUP, backup=None))))
    backup.handle(0.5, Recv("worker/0", message))
    assert backup.store.log == {5} and not backup.store.doubled
    assert backup.duplicates == 1


def test_a_state_with_members_that_the_backup_has_not_heard_of_is_kept():
    backup, lineage = synced_backup({})
    store = CountingStore()
    store.apply(push("worker/0", 1, 7, serial=5).push, 1)
    about = {
        "epochs": {"worker/0": 1},
        "clocks": {"worker/0": 7},
        "rows": 10.0,
        "version": 1,
        "sequence": 1,
        "highest": 7,
    }
    backup.handle(0.2, Recv(PRIMARY, State(lineage + 1, 1, about, store.snapshot())))
    backup.handle(0.3, Recv("coordinator", Members(view(1, {"worker/0": 1}, primary=BACKUP, backup=None))))
    backup.handle(0.4, Recv("worker/0", push("worker/0", 1, 7, serial=5)))
    assert backup.store.sums == list(worth(5))


def test_copies_that_overtake_others_wait_for_them():
    backup, lineage = synced_backup({"worker/0": 0})
    copies = [Replicate(lineage, n, push("worker/0", 0, n, serial=n), 1) for n in range(1, 6)]
    for copy in reversed(copies[1:]):
        assert not sent(backup.handle(1.0, Recv(PRIMARY, copy)), Replicated)
    (answer,) = sent(backup.handle(1.1, Recv(PRIMARY, copies[0])), Replicated)
    assert answer.sequence == 5 and backup.store.log == {1, 2, 3, 4, 5}
    assert backup.clocks == {"worker/0": 5}
    (again,) = sent(backup.handle(1.2, Recv(PRIMARY, copies[2])), Replicated)
    assert again.sequence == 5 and not backup.store.doubled
