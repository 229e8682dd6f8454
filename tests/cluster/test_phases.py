from __future__ import annotations

from hogwild.cluster.phases import PhaseLength, paced
from hogwild.cluster.protocol import Stats
from hogwild.cluster.settings import JobSettings

ROWS = 1_000_000


def reported(share, kept, phases=2, rounds=8, **settings):
    """Lengths after each round in which two workers report so many phases with that share of exchange."""
    length = PhaseLength(JobSettings(**{"workers": 2, "first_phase_rows": 2_000, **settings}), ROWS)
    found = []
    for turn in range(1, rounds + 1):
        stats = Stats(phases * turn, 0, 0.0, 0.0, (1 - share) * turn, share * turn, 99.0, 0.1, kept)
        for worker in ("worker/0", "worker/1"):
            length.report(worker, stats, range(2), float(turn))
        found.append(length.rows)
    return found


def test_doubles_while_exchange_takes_long():
    assert reported(0.5, 0.8)[:4] == [4000, 8000, 16_000, 32_000]
    assert reported(0.5, float("nan"))[:2] == [4000, 8000]


def test_stays_where_exchange_is_short_or_damping_takes_much():
    assert set(reported(0.29, 0.9)) == {2000}
    assert set(reported(0.9, 0.6)) == {2000}


def test_every_worker_has_eight_phases_a_turn():
    assert reported(0.9, 1.0, rounds=20)[-1] == ROWS // 16


def test_waits_for_all_workers():
    length = PhaseLength(JobSettings(workers=2, first_phase_rows=2_000), ROWS)
    for turn in range(1, 9):
        assert not length.report("worker/0", Stats(4 * turn, exchange=float(turn)), range(2), 0.0)
    length.forget("worker/0")
    assert length.report("worker/1", Stats(2, exchange=1.0), range(1), 0.0)


def test_a_given_length_stays():
    assert set(reported(0.9, 1.0, phase_rows=123)) == {123}


def test_pace_gives_all_phases_the_same_time():
    assert paced(1000, 50.0, 100.0) == 500 and paced(1000, 200.0, 100.0) == 2000
    assert paced(1000, 1e-9, 100.0) == 62 and paced(1000, 1e9, 100.0) == 4000
    assert paced(1000, 0.0, 100.0) == paced(1000, 5.0, 0.0) == 1000
