"""Described clusters: scenarios, simulations with and without kernels, plans."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hogwild import DivergedError, SGDClassifier
from hogwild.cluster.consistency import BSP, SSP
from hogwild.cluster.protocol import Pulled, PushPull
from hogwild.cluster.simulation.faults import Planned
from hogwild.cluster.simulation.job import simulate
from hogwild.cluster.simulation.plan import plan
from hogwild.cluster.simulation.real import RealJob
from hogwild.cluster.simulation.rounds import RoundLog
from hogwild.cluster.simulation.scenario import ModelSizes, Scenario
from hogwild.data import make_rcv1_like

ROWS = make_rcv1_like(1_500, 120, row_length=12, random_state=2)


def sgd(**changes):
    return SGDClassifier(**{"loss": "log_loss", "learning_rate": "adagrad", "eta0": 0.3, "max_iter": 2} | changes)


# ------------------------------------------------------------------------------------------------ scenarios


def test_a_scenario_is_settings_links_costs_and_faults():
    scenario = Scenario(workers=3, consistency="bsp", slow={1: 10}, loss=0.1, joins=0.5, resend=1.0, timeout=5)
    assert scenario.settings().consistency == BSP
    assert (scenario.settings().resend, scenario.settings().worker_timeout) == (1.0, 5)
    assert scenario.costs().factors == {"worker/1": 10}
    assert scenario.network().loss == 0.1
    assert scenario.faults().joins == 0.5
    assert scenario.changed(workers=5).workers == 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"slow": {4: 2}}, "worker 4 is to be slow, but workers are numbered 0 to 3"),
        ({"slow": {0: 0}}, "positive factor"),
        ({"merge": "best"}, "merge must be one of"),
        ({"rate": 0}, "rate must be positive"),
        ({"delay": -1}, "delay must not be negative"),
        ({"loss": 1.0}, "probabilities"),
        ({"consistency": "dsp"}, "bsp, ssp or asp"),
    ],
)
def test_nonsense_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Scenario(workers=4, **changes)


def test_messages_about_an_imagined_model_grow_with_rows_up_to_dense():
    sizes = ModelSizes(keys=1_000, nonzeros=10, shards=2, workers=4)
    push = PushPull("worker/0", 0, 1, object(), None, 5, True)
    small, large = sizes(push), sizes(push._replace(rows=10_000))
    assert 256 + 150 < small < 256 + 201  # 48.8 of 1,000 keys in expectation, 8 bytes each, on two shards
    assert large == 256 + 2_000
    pulled = Pulled("shard/0/0", 0, 1, None, 0, 4, 0.0, 0.0, 0)
    assert sizes(pulled) == 256 + 2_000
    assert sizes(push._replace(push=None)) == 256


# ------------------------------------------------------------------------------------------------ without data


def test_the_same_seed_gives_the_same_hash_and_another_seed_another():
    small = {"workers": 4, "shards": 2, "rows": 40_000, "phase_rows": 1_000, "stalls": 0.1, "loss": 0.02}
    first, again, other = (simulate(seed=seed, **small) for seed in (1, 1, 2))
    assert first.digest == again.digest != other.digest
    assert (first.seconds, first.sent) == (again.seconds, again.sent)
    assert first.finished
    assert first.rows >= 40_000
    assert first.model is None
    assert not first.losses


def test_a_slow_worker_holds_bulk_synchronous_ones_up_unless_rows_are_leased_to_others():
    setting = {"workers": 4, "shards": 1, "rows": 400_000, "phase_rows": 5_000, "slow": {0: 10.0}, "rate": 1e5}
    fixed = simulate(consistency="bsp", leases=False, **setting)
    leased = simulate(consistency="bsp", leases=True, **setting)
    free = simulate(consistency="asp", leases=True, **setting)
    assert fixed.seconds > 2 * leased.seconds > free.seconds
    assert fixed.share[2] > leased.share[2] > free.share[2] == 0
    assert sum(free.share) == pytest.approx(1)


def test_crashes_joins_and_partitions_are_survived_with_every_invariant_checked():
    planned = (
        Planned(0.1, "crash", ("worker/1",)),
        Planned(0.2, "join"),
        Planned(0.3, "partition", ("worker/0",), 0.5),
        Planned(0.4, "crash", ("shard/1/0",)),
    )
    run = simulate(
        workers=3, shards=2, replicas=2, rows=300_000, phase_rows=5_000, rate=1e5, planned=planned, check=True
    )
    assert run.finished
    assert Counter(why for _, why in run.evictions)["lost"] >= 1
    assert run.faults["join"] == 1


def test_until_stops_a_job():
    run = simulate(workers=2, rows=1_000_000, rate=1e5, until=0.5)
    assert not run.finished
    assert run.seconds <= 0.5
    assert run.failed is None


# ------------------------------------------------------------------------------------------------ with data


def test_one_worker_learns_as_much_as_one_thread():
    estimator = sgd(learning_rate="invscaling", eta0=1.0, power_t=0.25, alpha=1e-4)
    run = simulate(estimator, ROWS, workers=1, shards=2, phase_rows=100, points=5)
    alone = estimator.fit(*ROWS)  # in another order
    assert run.epochs == pytest.approx(alone.loss_curve_, rel=0.03)
    assert run.losses[-1][1] < run.epochs[-1] < run.epochs[0]


def test_several_workers_learn_and_the_same_seed_learns_the_same():
    setting = {"workers": 3, "shards": 2, "phase_rows": 50, "points": 5, "consistency": "asp", "noise": 0.2}
    first, again = (simulate(sgd(), ROWS, **setting) for _ in range(2))
    assert first.digest == again.digest
    assert np.array_equal(first.model.coef_, again.model.coef_)
    assert first.losses == again.losses
    assert first.model.score(*ROWS) > 0.7
    assert len(first.epochs) == 2
    assert first.sent["PushPull"] > 0


def test_a_goal_ends_a_job():
    run = simulate(sgd(max_iter=5), ROWS, workers=2, phase_rows=50, goal=0.65, rate=1e5)
    assert run.reached is not None
    assert not run.finished
    assert run.losses[-1] == (run.reached, pytest.approx(0.6, abs=0.06))


def test_lost_shards_come_back_with_their_values():
    planned = (Planned(0.02, "crash", ("shard/0/0",)), Planned(0.05, "crash", ("worker/1",)))
    setting = {"workers": 2, "shards": 2, "phase_rows": 50, "rate": 2e4, "points": 3, "replicas": 2}
    run = simulate(sgd(), ROWS, planned=planned, **setting)
    calm = simulate(sgd(), ROWS, **setting)
    assert run.finished
    assert run.losses[-1][1] == pytest.approx(calm.losses[-1][1], rel=0.1)


def test_divergence_is_an_error():
    wild = sgd(learning_rate="constant", loss="squared_hinge", eta0=1e20)
    with pytest.raises(DivergedError):
        simulate(wild, ROWS, workers=2, phase_rows=100, merge="sum")


def test_data_and_estimator_belong_together():
    with pytest.raises(ValueError, match="belong together"):
        simulate(sgd())
    with pytest.raises(ValueError, match="without data"):
        simulate(sgd(), ROWS, check=True)
    job = RealJob(sgd(), ROWS, shards=1)
    with pytest.raises(ValueError, match="1 shards, the scenario 3"):
        simulate(job=job, shards=3)
    job.close()


def test_speed_is_measured():
    job = RealJob(sgd(), ROWS, shards=2, workers=2)
    rate, overhead = job.measure(0.01)
    job.close()
    assert rate > 0
    assert overhead >= 0


def test_a_log_keeps_waiting():
    log = RoundLog(nodes={"worker/0", "worker/1", "shard/0/0"})
    simulate(workers=2, shards=1, rows=20_000, phase_rows=1_000, consistency="bsp", slow={0: 5.0}, log=log)
    assert log.messages
    assert log.spans
    waited = Counter()
    for worker, _, _, seconds in log.gates:
        waited[worker] += seconds
    assert waited["worker/1"] > waited["worker/0"]


# ------------------------------------------------------------------------------------------------ plans


def test_a_plan_puts_the_soonest_first():
    done = []
    found = plan(
        sgd(),
        ROWS,
        workers=(1, 2),
        consistencies=("bsp", SSP(2)),
        phase_rows=(50, 2_000),
        rate=1e4,
        points=20,
        callback=lambda n, whole: done.append((n, whole)),
    )
    assert done[-1] == (8, 8)
    assert {(each.workers, each.phase_rows) for each in found.candidates} == {(1, 50), (2, 50)}
    times = [each.seconds_to_goal or np.inf for each in found.candidates]
    assert times == sorted(times)
    assert found.best.workers == 2  # at 10,000 rows a second nothing else counts
    assert found.command.startswith("hogwild cluster train DATA... --model MODEL --workers 2 --consistency ")
    assert found.best.flags.endswith("--phase-rows 50")
    assert found.goal == pytest.approx(1.02 * found.alone.loss)


def test_a_plan_names_settings_that_diverge():
    wild = sgd(learning_rate="constant", loss="squared_hinge", eta0=1e20)
    with pytest.raises(ValueError, match="too long"):
        plan(sgd(), ROWS, workers=(2,), phase_rows=(5_000,))
    found = plan(wild, ROWS, workers=(2,), consistencies=("bsp",), phase_rows=(100,), loss_goal=0.5, merge="sum")
    assert found.best.why == "diverged"
    assert found.best.seconds_to_goal is None
