"""Step sizes, and the clock of a chunk: in one go for threads (`chunk_starts`) as row by row (`fill_clock`)."""

from __future__ import annotations

import math

import naive
import numpy as np
import pytest

from hogwild.compiled import kernel
from hogwild.estimators.linear_task import LinearOptions, make_schedule
from hogwild.schedules import CHUNK, SCHEDULES, SMALLEST_SCALE, chunk_starts, fill_clock, schedule_id, step_size
from hogwild.steps.base import make_work

SIMPSON = 32_769  # first row clock at which chunks are not summed row by row any more
OWN_RULE = ("adagrad", "ftrl")


def to_json(rate: str, **changed) -> LinearOptions:
    chosen = {
        "loss": "log_loss",
        "multi_class": "ovr",
        "epsilon": 0.1,
        "quantile": 0.5,
        "penalty": "elasticnet",
        "alpha": 1e-3,
        "l1_ratio": 0.25,
        "learning_rate": rate,
        "eta0": 0.3,
        "power_t": 0.4,
        "beta": 1.0,
        "fit_intercept": True,
        "intercept_decay": 1.0,
        "average": 0,
    }
    return LinearOptions(**{**chosen, **changed})


def schedule_of(rate: str, **changed):
    options = to_json(rate, **changed)
    return make_schedule(options, options.eta0)


def twin_of(rate: str, **changed) -> naive.Settings:
    options = to_json(rate, **changed)._asdict()
    del options["multi_class"]
    return naive.Settings(**options)


@kernel
def row_by_row(schedule, work, n_rows, ends):
    """Clock at the end of every chunk, by `fill_clock` alone; returns how many rows fit."""
    done, c = 0, 0
    while done < n_rows:
        n = min(CHUNK, n_rows - done)
        ready = fill_clock(schedule, work, np.uint64(n))
        for field in range(5):
            ends[c, field] = work.running[1 + field]
        done += ready
        c += 1
        if ready < n or work.running[2] < SMALLEST_SCALE:
            break
    return done


def clocks(schedule, t: float, n_rows: int, penalty: float = 0.0):
    """(rows, clocks) of the chunks by both ways, the start of the first included."""
    starts = np.full((n_rows // CHUNK + 2, 5), np.nan)
    n_fast = chunk_starts(schedule, t, 1.0, penalty, 0.0, 0.0, n_rows, starts)
    work = make_work(1, np.float64)
    work.running[:] = 0.0, t, 1.0, penalty, 0.0, 0.0, 0.0, 0.0
    ends = np.full((n_rows // CHUNK + 2, 5), np.nan)
    ends[0] = t, 1.0, penalty, 0.0, 0.0
    n_slow = row_by_row(schedule, work, n_rows, ends[1:])
    return (n_fast, starts), (n_slow, ends)


@pytest.mark.parametrize("rate", list(SCHEDULES))
@pytest.mark.parametrize("t", [1.0, 2.0, 1000.0, 1e7])
@pytest.mark.parametrize("power_t", [0.0, 0.25, 0.5, 1.0])
def test_step_sizes_are_the_formulas(rate, t, power_t):
    expected = naive.step_size(twin_of(rate, power_t=power_t), t)
    assert step_size(schedule_of(rate, power_t=power_t), t) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", list(naive.LOSSES))
@pytest.mark.parametrize("alpha", [1e-6, 1e-4, 0.1])
def test_optimal_begins_at_the_size_of_a_typical_weight(loss, alpha):
    assert schedule_of("optimal", loss=loss, alpha=alpha).shift + 1 == pytest.approx(
        naive.optimal_t0(twin_of("optimal", loss=loss, alpha=alpha)), rel=1e-12
    )
    typical = 1.0 / alpha**0.25
    assert step_size(schedule_of("optimal", loss=loss, alpha=alpha), 1.0) == pytest.approx(typical, rel=1e-9)


def test_schedules_are_numbered_by_their_place():
    assert [schedule_id(name) for name in SCHEDULES] == list(range(len(SCHEDULES)))


@pytest.mark.parametrize("rate", list(SCHEDULES))
def test_row_clock_is_the_products_and_sums_of_single_rows(rate):
    n, average = 100, 31
    schedule, twin = schedule_of(rate, average=average), twin_of(rate, average=average)
    work = make_work(1, np.float64)
    work.running[:] = 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    assert fill_clock(schedule, work, np.uint64(n)) == n
    scale, penalty, area, count = 1.0, 0.0, 0.0, 0.0
    for k in range(n):
        eta = naive.step_size(twin, k + 1)
        assert (work.eta[k], work.scale[k], work.area[k], work.count[k]) == pytest.approx((eta, scale, area, count))
        if rate not in OWN_RULE:
            scale *= 1 - eta * 1e-3 * 0.75
        penalty += {"ftrl": 1e-3, "adagrad": eta * 1e-3}.get(rate, eta * 1e-3 * 0.25)
        assert work.penalty[k] == pytest.approx(penalty)
        if k + 1 >= average:
            area, count = area + scale, count + 1
    assert work.running[1:6] == pytest.approx([n + 1, scale, penalty, area, count])


@pytest.mark.parametrize("rate", list(SCHEDULES))
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet", None])
@pytest.mark.parametrize("n_rows", [1, CHUNK, 3 * CHUNK + 17])
@pytest.mark.parametrize("average", [0, 1, 300])
def test_chunk_starts_are_those_of_single_rows(rate, penalty, n_rows, average):
    schedule = schedule_of(rate, penalty=penalty, average=average)
    (n_fast, starts), (n_slow, ends) = clocks(schedule, 5.0, n_rows, penalty=0.125)
    assert n_fast == n_slow == n_rows
    n = -(-n_rows // CHUNK) + 1
    np.testing.assert_allclose(starts[:n], ends[:n], rtol=1e-11)


@pytest.mark.parametrize("rate", list(SCHEDULES))
@pytest.mark.parametrize("t", [SIMPSON, SIMPSON + 0.0 - 2 * CHUNK, 10_000_001])
@pytest.mark.parametrize("alpha", [1e-6, 1e-4])
def test_chunk_starts_of_later_rows_are_those_of_single_rows(rate, t, alpha):
    """Beyond row 32,768 a chunk is integrated, not summed."""
    schedule = schedule_of(rate, alpha=alpha, average=1)
    (n_fast, starts), (n_slow, ends) = clocks(schedule, float(t), 8 * CHUNK + 100, penalty=0.125)
    assert n_fast == n_slow == 8 * CHUNK + 100
    n = 10
    np.testing.assert_array_equal(starts[:n, [0, 4]], ends[:n, [0, 4]], "t and count")
    np.testing.assert_allclose(starts[:n, 1], ends[:n, 1], rtol=1e-8, err_msg="scale")
    np.testing.assert_allclose(starts[:n, 2], ends[:n, 2], rtol=1e-8, err_msg="penalty")
    np.testing.assert_allclose(starts[:n, 3], ends[:n, 3], rtol=1e-4, err_msg="area")


@pytest.mark.parametrize(
    "alpha",
    [1e-3, 1e-2, 0.1],
)
def test_area_of_later_rows_holds_under_strong_l2(alpha):
    schedule = schedule_of("constant", penalty="l2", alpha=alpha, average=1)
    (n_fast, starts), (_, ends) = clocks(schedule, float(SIMPSON), 2 * CHUNK)
    n = n_fast // CHUNK + 1
    assert n >= 2
    np.testing.assert_allclose(starts[:n, 3], ends[:n, 3], rtol=1e-3)


@pytest.mark.parametrize("average", [SIMPSON + 1, SIMPSON + 100, SIMPSON + CHUNK - 1])
def test_average_may_begin_in_the_middle_of_a_later_chunk(average):
    schedule = schedule_of("invscaling", penalty=None, average=average)
    (_, starts), (_, ends) = clocks(schedule, float(SIMPSON), 2 * CHUNK)
    np.testing.assert_allclose(starts[:3, 3:], ends[:3, 3:], rtol=1e-9)


@pytest.mark.parametrize("t", [1.0, float(SIMPSON)])
def test_chunks_end_before_the_scale_vanishes(t):
    """What `chunk_starts` hands out keeps its scale above the limit at which one thread folds it into the weights."""
    schedule = schedule_of("constant", penalty="l2", alpha=0.1)  # 0.97 a row: 4e-4 a chunk, 1e-9 in the third
    (n_fast, starts), (n_slow, _) = clocks(schedule, t, 10 * CHUNK)
    assert n_fast == n_slow // CHUNK * CHUNK == 2 * CHUNK
    assert starts[2, 1] == pytest.approx(0.97 ** (2 * CHUNK), rel=1e-6)
    (n_fast, _), (n_slow, _) = clocks(schedule_of("constant", penalty="l2", alpha=10.0), t, 10 * CHUNK)
    assert n_fast == 0
    assert 0 < n_slow < CHUNK


def test_rows_that_would_turn_the_weights_over_leave_a_millionth():
    schedule = schedule_of("constant", penalty="l2", alpha=100.0)
    work = make_work(1, np.float64)
    work.running[:] = 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    assert fill_clock(schedule, work, np.uint64(10)) == 2
    assert work.running[2] == pytest.approx(1e-12)
    assert math.isclose(work.scale[1], 1e-6)


def test_callbacks_are_told_the_step_size():
    import hogwild
    from hogwild.data import make_rcv1_like

    X, y = make_rcv1_like(300, 30)
    told = []

    def follow(progress):
        if progress.epoch_ended:
            told.append(progress.eta)

    clf = hogwild.SGDClassifier(learning_rate="epoch_decay", decay=0.5, eta0=0.4, max_iter=3, tol=None, callback=follow)
    clf.fit(X, y)
    assert told == [0.4, 0.2, 0.1]
    told.clear()
    clf.set_params(learning_rate="invscaling", max_iter=1).fit(X, y)
    assert told == [0.4 / 300**clf.power_t]
