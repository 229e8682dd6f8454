"""The experiment at a tiny size: its parts are whole, its figures are those of naive twins."""

from types import SimpleNamespace

import numpy as np
import pytest

from hogwild import SGDClassifier
from hogwild.cluster.simulation.job import simulate
from hogwild.data import make_rcv1_like
from hogwild.experiments import find
from hogwild.experiments.async_2012 import curves, faults, machine, merging, on_ray, problem, scaling, waiting
from hogwild.experiments.findings import Findings, Measured, Picture, Setting


@pytest.fixture(scope="module")
def tiny():
    """A problem of a few rows."""
    X, y = make_rcv1_like(4_000, 500, random_state=0)
    alone = problem.fitted_loss(problem.make_estimator(1.0), X, y)
    return problem.Problem(X, y, 1.0, alone, "made up")


@pytest.fixture(scope="module")
def counted():
    """A job that steps through nothing."""
    return simulate(workers=4, shards=2, phase_rows=1_000, rows=80_000, rate=1e5, noise=0.2, slow={0: 3.0}, points=40)


def check(findings: Findings, keys: list[str], n_statements: int) -> None:
    parts = [part for part in findings.parts if isinstance(part, Measured | Picture)]
    assert [part.key for part in parts] == keys
    for part in parts:
        if isinstance(part, Measured):
            assert part.rows and all(len(row) == len(part.columns) for row in part.rows)
    assert len(findings.statements) == n_statements
    assert len({each.claim for each in findings.statements}) == n_statements


def test_waiting_tells_of_every_policy_and_situation(tiny, monkeypatch):
    monkeypatch.setattr(waiting, "WORKERS", 4)
    findings = waiting.run(Setting(0.01), tiny)
    check(findings, ["waiting", "staleness", "loss-by-time", "loss-by-updates"], 7)
    table = next(part for part in findings.parts if isinstance(part, Measured))
    assert len(table.rows) == len(waiting.SITUATIONS) * len(waiting.POLICIES) + 1
    rows = {(row[0], row[1]): row[2] for row in table.rows}
    assert rows[waiting.SLOW, "BSP"] < rows[waiting.SLOW, "SSP(3)"] < rows[waiting.SLOW, "ASP"] < 100


def test_merging_tells_of_every_rule(tiny, monkeypatch):
    monkeypatch.setattr(merging, "REPLICAS", (2, 8))
    monkeypatch.setattr(merging, "WORKERS", (2, 4))
    check(merging.run(Setting(0.01), tiny), ["merge-replicas", "merge-cluster", "merge-rules"], 4)


def test_scaling_tells_of_every_number_of_workers(tiny, monkeypatch):
    small = {1: 1, 10: 2, 100: 4, 1_000: 8}
    real = scaling._simulate
    monkeypatch.setattr(scaling, "_simulate", lambda workers, *rest: real(small[workers], *rest))
    findings = scaling.run(Setting(0.01), tiny)
    check(findings, ["scaling", "scaling"], 3)
    assert findings.parts[1].rows[0][3] == pytest.approx(100 * findings.parts[1].rows[0][2] * 1e6 / scaling.RATE)


def test_killed_workers_are_evicted_and_the_run_goes_on(tiny):
    findings = faults.run(Setting(0.01), tiny)
    check(findings, ["faults", "faults"], 4)
    evicted = {row[0]: row[4] for row in findings.parts[1].rows}
    assert evicted["ASP, nobody killed"] == 0
    assert all(evicted[repr(policy)] >= len(faults.KILLED) for policy in faults.POLICIES)
    assert findings.statements[-1].holds


def test_threads_stand_beside_virtual_ones(tiny, monkeypatch):
    monkeypatch.setattr(machine, "INTERVALS", (1_024,))
    monkeypatch.setattr(machine, "TIMES", 1)
    findings = machine.run(Setting(0.01, threads=2), tiny)
    check(findings, ["threads"], 2)
    assert len(findings.parts[1].rows) == 2 + len(machine.INTERVALS) * len(machine.RULES)


def test_one_thread_leaves_statements_about_threads_open(tiny):
    findings = machine.run(Setting(0.01, threads=1), tiny)
    assert [each.holds for each in findings.statements] == [None, None]


@pytest.mark.parametrize("setting", [Setting(0.01, threads=2), Setting(1.0, threads=1)])
def test_ray_is_left_out_of_small_runs(tiny, setting):
    findings = on_ray.run(setting, tiny)
    assert [each.holds for each in findings.statements] == [None, None]
    assert "not tried" in findings.parts[0].text


def test_a_missing_ray_is_told_in_one_line(tiny, monkeypatch):
    monkeypatch.setattr(on_ray, "ray_installed", lambda: False)
    findings = on_ray.run(Setting(1.0, threads=2), tiny)
    assert "pip install hogwild[ray]" in findings.parts[0].text
    assert all(each.holds is None for each in findings.statements)


@pytest.mark.slow
def test_ray_stands_beside_threads(tiny):
    pytest.importorskip("ray")
    findings = on_ray.run(Setting(1.0, threads=2), tiny)
    check(findings, ["ray"], 2)


def test_the_slow_gradient_is_that_of_the_mean_log_loss(tmp_path, monkeypatch):
    monkeypatch.setattr(on_ray, "SLOW", 0.0)
    monkeypatch.setattr(on_ray, "QUICK", 0.0)
    rng = np.random.default_rng(0)
    X, y, w = rng.normal(size=(20, 3)), np.where(rng.random(20) < 0.5, 1.0, -1.0), rng.normal(size=3)
    gradient = on_ray.SlowGradient(tmp_path / "slow")
    _, found = gradient({"w": w}, (X, y))
    for k, step in enumerate(1e-6 * np.eye(3)):
        above, below = (gradient({"w": w + sign * step}, (X, y))[0] for sign in (1, -1))
        assert found["w"][k] == pytest.approx((above - below) / 2e-6, rel=1e-4)


def test_only_the_first_that_asks_is_slow(tmp_path, monkeypatch):
    monkeypatch.setattr(on_ray, "SLOW", 2e-6)
    monkeypatch.setattr(on_ray, "QUICK", 1e-6)
    batch = np.ones((2, 1)), np.ones(2)
    seconds = []
    for _ in range(3):
        gradient = on_ray.SlowGradient(tmp_path / "slow")
        gradient({"w": np.zeros(1)}, batch)
        seconds.append(gradient.seconds)
    assert seconds == [2e-6, 1e-6, 1e-6]


def test_rows_by_time_add_up_to_all_rows(counted):
    rows = curves.rows_until(counted, np.array([0.0, counted.seconds]))
    assert rows.tolist() == pytest.approx([0, counted.rows])
    middle = counted.throughput[9][0]
    naive = sum(
        rate * (end - start)
        for (end, rate), start in zip(counted.throughput, [0.0] + [t for t, _ in counted.throughput], strict=False)
        if end <= middle
    )
    assert curves.rows_until(counted, np.array([middle]))[0] == pytest.approx(naive)


def test_staleness_is_a_quantile_of_all_pushes(counted):
    pushes = np.sort(np.repeat(list(counted.staleness), list(counted.staleness.values())))
    for share in (0.05, 0.5, 0.95, 1.0):
        expected = pushes[max(0, int(np.ceil(share * len(pushes))) - 1)]
        assert curves.staleness_at(counted, share) == expected


def test_the_first_loss_at_the_goal_counts():
    run = SimpleNamespace(losses=[(1.0, 0.7), (2.0, 0.5), (3.0, 0.6)])
    assert curves.time_to(run, 0.6) == 2.0
    assert curves.time_to(run, 0.1) is None


def test_log_loss_is_the_mean_over_all_rows(tiny):
    model = SGDClassifier("log_loss", max_iter=1, tol=None, random_state=0).fit(tiny.X, tiny.y)
    naive = np.mean([np.log1p(np.exp(-y * s)) for y, s in zip(tiny.y, model.decision_function(tiny.X), strict=True)])
    assert problem.log_loss(model, tiny.X, tiny.y) == pytest.approx(naive, rel=1e-5)


def test_more_than_two_files_are_refused():
    with pytest.raises(ValueError, match="3 files"):
        find("async-2012").run(Setting(0.01, data=("a", "b", "c")))
