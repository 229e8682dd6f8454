"""Sequence diagrams and pictures of simulated jobs: geometry, not looks."""

from __future__ import annotations

from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

from hogwild.cluster.simulation.job import simulate
from hogwild.cluster.simulation.rounds import RoundLog
from hogwild.report import write_report
from hogwild.report.sequence import LEAST, choose_nodes, lay_out, rounds_of, to_svg, write_sequence
from hogwild.report.simulation import (
    plot_simulation,
    seconds,
    simulation_parts,
    simulation_tables,
    size,
    staleness_bins,
)

NODES = ["worker/3", "worker/0", "shard/0/0", "shard/1/0", "worker/1", "coordinator"]


def job(nodes=NODES, **changes):
    log = RoundLog(nodes=set(nodes))
    setting = {"workers": 6, "shards": 2, "rows": 300_000, "phase_rows": 10_000, "consistency": "bsp", "slow": {3: 4.0}}
    return simulate(**(setting | changes), log=log), log


@pytest.fixture(scope="module")
def calm():
    return job()


@pytest.fixture(scope="module")
def stormy():
    return job(loss=0.2, consistency="asp", seed=4)


@pytest.mark.parametrize("which", ["calm", "stormy"])
@pytest.mark.parametrize("number", [2, 3, 6])
def test_no_two_labels_overlap(request, which, number):
    _, log = request.getfixturevalue(which)
    nodes = NODES[1:3] if number == 2 else NODES[:number]
    for clock in rounds_of(log)[:4]:
        diagram = lay_out(log, clock, nodes)
        assert diagram.labels
        for one, other in combinations(diagram.labels, 2):
            assert not one.meets(other), (one, other)


def test_time_goes_down_and_moments_are_apart(calm):
    _, log = calm
    diagram = lay_out(log, 2, NODES[:5])
    assert all(b - a >= LEAST for a, b in pairwise(diagram.heights))
    assert diagram.times == sorted(diagram.times)
    for _, y, _, y2, each in diagram.arrows:
        assert y2 > y
        assert each.source in diagram.nodes
        assert each.to in diagram.nodes
    assert all(top < low for _, top, low, _ in diagram.bars)


def test_fast_workers_wait_for_the_slow_one(calm):
    _, log = calm
    diagram = lay_out(log, 3, NODES[:3])
    waiting = {x: low - top for x, top, low in diagram.waits}
    assert waiting.get(diagram.x("worker/0"), 0) > waiting.get(diagram.x("worker/3"), 0)


def test_a_round_shows_its_messages(calm):
    _, log = calm
    texts = [label.text for label in lay_out(log, 2, NODES[:5]).labels]
    for name in ("PushPull 2, ", "Pulled 2, ", "Accepted 2, 256 B"):
        assert any(text.startswith(name) for text in texts)


def test_lost_messages_end_half_way(stormy):
    _, log = stormy
    lost = []
    for clock in rounds_of(log)[:6]:
        diagram = lay_out(log, clock, NODES[:5])
        for x, _, x2, _, each in diagram.arrows:
            if each.received is None:
                lost.append(each)
                assert x2 == (x + diagram.x(each.to)) / 2
    assert lost


def test_it_is_well_formed(calm, tmp_path):
    _, log = calm
    path = tmp_path / "round.svg"
    write_sequence(log, path, 2, NODES, "Round 2 <of 5> & more")
    root = ElementTree.fromstring(path.read_text())
    width, height = map(float, root.get("viewBox").split()[2:])
    for each in root.iter():
        for name, limit in (("x", width), ("x1", width), ("x2", width), ("y", height), ("y1", height), ("y2", height)):
            assert 0 <= float(each.get(name, 0)) <= limit
    texts = "".join(root.itertext())
    assert "Round 2 <of 5> & more" in texts
    assert all(node in texts for node in NODES)


def test_what_cannot_be_drawn_is_refused(calm, tmp_path):
    _, log = calm
    with pytest.raises(ValueError, match="2 to 6 nodes, found 1"):
        lay_out(log, 2, NODES[:1])
    with pytest.raises(ValueError, match=r"no round 999 between .* rounds there: 1 to \d+"):
        lay_out(log, 999, NODES[:3])
    with pytest.raises(ValueError, match=r"expected \.svg"):
        write_sequence(log, tmp_path / "round.png", 2, NODES)


def test_the_same_job_gives_the_same_bytes():
    first, second = (to_svg(lay_out(job()[1], 2, NODES[:4])) for _ in range(2))
    assert first == second


def test_slow_workers_are_chosen():
    workers = [f"worker/{k}" for k in range(3)]
    assert choose_nodes(workers, ["shard/0/0"], ["worker/2"]) == ["worker/2", "worker/0", "shard/0/0", "worker/1"]
    assert choose_nodes(["worker/0"], ["shard/0/0"]) == ["worker/0", "shard/0/0"]


# ------------------------------------------------------------------------------------------------ tables, plots


def test_long_tails_of_staleness_are_gathered():
    bins = staleness_bins(dict.fromkeys(range(100), 100) | {5_000: 1})
    assert len(bins) <= 20
    assert sum(n for _, n in bins) == 10_001
    assert bins[-1][0].endswith(" +")
    assert staleness_bins({}) == []


def test_numbers_read_well():
    assert (size(999), size(12_340), size(2.5e12)) == ("999 B", "12.3 kB", "2,500 GB")
    assert (seconds(0.5), seconds(3.14159), seconds(12_345.6)) == ("500 ms", "3.14 s", "12,345.6 s")


def test_tables_plots_and_report(calm, tmp_path):
    run, _ = calm
    tables = {table.heading: table for table in simulation_tables(run)}
    assert next(iter(tables)) == "6 workers, 2 shards, BSP"
    assert dict(tables["6 workers, 2 shards, BSP"].rows)["trace hash"] == run.digest
    assert len(tables["Workers"].rows) == 6
    pytest.importorskip("matplotlib")
    for name in ("run.png", "run.svg"):
        plot_simulation(run, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 5_000
    with pytest.raises(ValueError, match=r"expected \.png or \.svg"):
        plot_simulation(run, tmp_path / "run.pdf")
    write_report(tmp_path / "run.html", "A job", simulation_parts(run))
    page = (tmp_path / "run.html").read_text()
    for heading in ("Throughput", "Staleness of pushes", "Bytes sent", "Messages"):
        assert f"<h2>{heading}</h2>" in page


def test_many_workers_are_cut():
    run = simulate(workers=40, shards=1, rows=80_000, phase_rows=1_000)
    rows = next(table.rows for table in simulation_tables(run) if table.heading == "Workers")
    assert len(rows) == 11
    assert rows[5][0] == "... 30 between"
