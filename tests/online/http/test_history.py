"""What is remembered, and for how long."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hogwild.online.http.history import Event, History, Life, Sample


@given(st.integers(1, 8), st.integers(0, 300))
def test_a_life_is_kept_evenly_in_bounded_room(half, count):
    room = 2 * half
    life = Life(room)
    for moment in range(count):
        life.add(Sample(moment, 0, None, None))
    times = [sample.time for sample in life.samples]
    step = next(2**power for power in range(20) if count <= room * 2**power)
    assert times == list(range(0, count, step))  # the twin: every step-th, the smallest step that has room


class Ticking:
    def __init__(self, service):
        self.now = 1000.0
        self.history = History(service, lambda: self.now)

    def second(self, learnt=0, seconds=1.0):
        self.now += seconds
        self.history._service.figures.learnt += learnt
        self.history.take()


def test_rates_are_those_between_samples(serve):
    ticking = Ticking(serve())
    assert ticking.history.rate() == 0 and ticking.history.rates() == []
    ticking.second()
    assert ticking.history.rate() == 0
    ticking.second(10)
    ticking.second(50, 2.0)
    assert ticking.history.rates() == [(1002, 10), (1004, 25)]
    assert ticking.history.rate() == 20
    assert ticking.history.rate(2.5) == 25
    ticking.second(5, -3.0)  # the clock was set back
    assert ticking.history.rates() == [(1002, 10), (1004, 25)]
    assert ticking.history.rate() == 0
    for _ in range(1000):
        ticking.second(7)
    assert ticking.history.rate() == 7 and len(ticking.history.rates()) < 300


def test_who_joins_and_leaves_is_noted(serve, group):
    service = serve()
    ticking = Ticking(service)
    ticking.second()
    service.group = group(["a", "b"])
    ticking.second()  # they were there before this server was
    service.group = group(["b", "c", "d"])
    ticking.second()
    service.group = group([])
    ticking.second()
    assert list(ticking.history.events) == [
        Event(1003, "c", True),
        Event(1003, "d", True),
        Event(1003, "a", False),
        Event(1004, "b", False),
        Event(1004, "c", False),
        Event(1004, "d", False),
    ]
    for number in range(1000):
        service.group = group([str(number)])
        ticking.second()
    assert len(ticking.history.events) == 100


def test_progress_is_remembered(serve):
    service = serve()
    ticking = Ticking(service)
    ticking.second()
    for right in (1.0, 0.0, 0.0):
        service.figures.trials.add(right)
    ticking.second()
    assert [sample.mean for sample in ticking.history.life.samples] == [None, pytest.approx(1 / 3)]


def test_samples_are_taken_while_it_is_watched(serve, monkeypatch):
    monkeypatch.setattr("hogwild.online.http.history.EVERY", 0.001)

    async def go():
        history = History(serve())
        watching = asyncio.create_task(history.watch())
        async with asyncio.timeout(60):
            while len(history.last) < 5:
                await asyncio.sleep(0)
        watching.cancel()
        assert await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(go())
