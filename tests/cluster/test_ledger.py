"""Every position of every chunk is in exactly one place: done, leased or free."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.cluster.ledger import Ledger
from hogwild.cluster.protocol import Chunk


def places(ledger):
    """How often each (turn, chunk, position) is leased or free."""
    seen = {}
    held = [(lease.turn, lease.chunk.number, lease.start, lease.stop) for lease in ledger.leases.values()]
    for turn, chunk, start, stop in [*held, *ledger._free]:
        for position in range(start, stop):
            seen[turn, chunk, position] = seen.get((turn, chunk, position), 0) + 1
    return seen


@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.integers(1, 3), st.data())
@settings(max_examples=60)
def test_no_row_is_lost_or_doubled(sizes, turns, data):
    ledger = Ledger([Chunk(k, rows) for k, rows in enumerate(sizes)], turns, seed=3)
    for _ in range(200):
        if ledger.complete:
            break
        action = data.draw(st.sampled_from(["lease", "reach", "give back", "split", "restart"]))
        held = sorted(ledger.leases)
        if action == "lease" or not held:
            ledger.lease()
        elif action == "restart":
            again = Ledger(list(ledger.chunks.values()), turns, seed=3)
            again.restore(json.loads(json.dumps(ledger.about())))
            ledger = again
        else:
            number = data.draw(st.sampled_from(held))
            lease = ledger.leases[number]
            position = data.draw(st.integers(lease.start, lease.stop))
            if action == "reach":
                assert ledger.reach(number, position) == (lease.turn, position - lease.start)
            elif action == "give back":
                ledger.give_back(number)
            else:
                ledger.split(number, position)
        seen = places(ledger)
        assert set(seen.values()) <= {1}
        for turn in range(1, ledger.opened + 1):
            open_rows = sum(1 for where in seen if where[0] == turn)
            assert open_rows + ledger.done.get(turn, 0) == sum(sizes)


def test_all_turns_are_worked_off():
    ledger = Ledger([Chunk(0, 5), Chunk(1, 0), Chunk(2, 7)], 2, seed=0)
    leased = []
    while (lease := ledger.lease()) is not None:
        leased.append((lease.turn, lease.chunk.number))
        ledger.reach(lease.number, lease.stop)
    assert sorted(leased) == [(1, 0), (1, 2), (2, 0), (2, 2)] and ledger.complete and not ledger.has_free


def test_rows_behind_a_shortened_lease_count_as_stepped_twice():
    ledger = Ledger([Chunk(0, 10)], 1, seed=0)
    lease = ledger.lease()
    assert ledger.split(lease.number, 4) and ledger.leases[lease.number].stop == 7
    assert ledger.reach(lease.number, 10) == (1, 7) and ledger.twice == 3
    assert ledger.lease()[3:] == (7, 10)


def test_other_data_are_refused():
    about = Ledger([Chunk(0, 5)], 1, seed=0).about()
    with pytest.raises(ValueError, match="found 1 chunks of 6 rows, expected 1 of 5"):
        Ledger([Chunk(0, 6)], 1, seed=0).restore(about)


def test_no_rows():
    with pytest.raises(ValueError, match="no rows"):
        Ledger([Chunk(0, 0)], 1, seed=0)
