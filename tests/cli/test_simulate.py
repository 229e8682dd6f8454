"""`hogwild simulate`."""

from __future__ import annotations

import re

import pytest
from cli.lines import error, run

from hogwild.cluster.simulation.faults import Planned

SMALL = ("--rows", 60_000, "--phase-rows", 2_000)


def pairs(text):
    """Names and values of the summary."""
    lines = [re.split(r"  +", line.strip(), maxsplit=1) for line in text.splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2}


def test_it_says_what_came_of_it():
    found = pairs(run("simulate", "--workers", 6, "--consistency", "bsp", *SMALL).text)
    assert found["cluster"] == "6 workers, 2 shards, BSP"
    assert found["ended"] == "all rows stepped"
    assert int(found["rows"].replace(",", "")) >= 60_000  # some may be stepped twice
    assert found["phase length"] == "2,000 rows"
    assert re.fullmatch(r"[0-9a-f]{32}", found["trace hash"])
    assert re.fullmatch(r"[\d,]+ events, [\d,]+ events/s", found["simulator"])
    for name in ("compute, exchange, waiting", "throughput", "bytes sent", "evictions", "staleness"):
        assert name in found


def test_the_same_seed_has_the_same_hash():
    words = ("simulate", "--workers", 4, "--straggler", "random:p=.05,seconds=.1", "--drop", 0.01, *SMALL)
    hashes = [pairs(run(*words, "--seed", seed).text)["trace hash"] for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_faults_are_checked_and_counted():
    words = ("--crash", "worker/1@5ms", "--partition", "worker/0@8ms+5ms", "--join", "2@9ms", "--duplicate", 0.1)
    found = pairs(run("simulate", "--check", "--replicas", 2, "--rate", "1e5", *words, *SMALL).text)
    assert "1 x crash" in found["faults"]
    assert "2 x join" in found["faults"]
    assert "1 x partition" in found["faults"]
    assert "1 x lost" in found["evictions"]


def test_it_draws(tmp_path):
    pytest.importorskip("matplotlib")
    diagram, plot, report = tmp_path / "round.svg", tmp_path / "run.png", tmp_path / "run.html"
    words = ("--diagram", diagram, "--diagram-round", 2, "--plot", plot, "--report", report)
    run("simulate", "--workers", 3, "--straggler", "constant:2=5", "--consistency", "bsp", *words, *SMALL)
    assert "Round 2: 3 workers, 2 shards, BSP" in diagram.read_text()
    assert "worker/2" in diagram.read_text()
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "trace hash" in report.read_text()


def test_real_kernels_learn_real_rows(files, tmp_path):
    pytest.importorskip("matplotlib")
    words = ("--workers", 2, "--phase-rows", 100, "--epochs", 3, "--rate", "1e5")
    plot = tmp_path / "run.svg"
    text = run("simulate", files / "two.svm.gz", *words, "--plot", plot).text
    found = pairs(text)
    assert int(found["rows"].replace(",", "")) >= 3_000
    assert float(found["model at the end"]) < 0.6
    assert "loss of the shards' model" in text
    assert plot.exists()
    numbers = run("simulate", files / "numbers.svm.gz", *words, "--schedule", "search").text
    assert "model at the end" in numbers


def test_a_cache_file_will_do(files, tmp_path):
    cache = tmp_path / "two.hog"
    run("cache", files / "two.svm.gz", cache, "--quiet")
    assert "model at the end" in run("simulate", cache, "--workers", 2, "--phase-rows", 100).text


def test_a_plan_says_what_it_would_run(files, tmp_path):
    report = tmp_path / "plan.html"
    grid = ("--workers", "1,2", "--consistency", "bsp,asp", "--phase-rows", "100,200", "--epochs", 2)
    text = run("simulate", "--plan", files / "two.svm.gz", *grid, "--report", report).text
    found = pairs(text)
    assert found["best"].startswith("hogwild cluster train DATA... --model MODEL --workers ")
    assert "measured here" in found["worker"]
    assert text.count("BSP") >= 4
    assert "1 (alone)" in text
    pytest.importorskip("matplotlib")
    assert "hogwild cluster train" in report.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--workers", "1,2"), "several values go with --plan"),
        (("--plan",), "a plan needs DATA"),
        (("--delay", "5 parsecs"), "expected a time such as 0.5ms"),
        (("--bandwidth", "fast"), "expected a rate such as 1Gbit"),
        (("--straggler", "constant:0"), "expected constant:WORKER=TIMES"),
        (("--straggler", "constant:9=2"), "worker 9 is to be slow"),
        (("--crash", "worker/3"), "expected WHAT@TIME"),
        (("--crash", "coordinator@1s"), "expected workers or shards"),
        (("--partition", "wrker/3@1s"), "expected worker/3, shard/0/0 or coordinator"),
        (("--consistency", "dsp"), "bsp, ssp or asp"),
        (("--workers", "auto"), "expected whole numbers"),
    ],
)
def test_wrong_words_are_named(words, said):
    assert said in error("simulate", *words, status=2)


def test_what_does_not_go_together_is_refused(files, tmp_path):
    assert "without DATA" in error("simulate", "--loss-goal", 0.5)
    assert "with DATA" in error("simulate", files / "two.svm.gz", "--check")
    assert "expected .svg" in error("simulate", "--diagram", tmp_path / "round.png")
    assert "found no folder" in error("simulate", "--plot", tmp_path / "nowhere" / "run.png")
    assert "no round 900" in error(
        "simulate", *SMALL, "--diagram", tmp_path / "a.svg", "--diagram-round", 900, "--quiet"
    )


def test_words_of_faults():
    from hogwild.cli.simulation_words import planned

    found = planned(["worker/3@5s", "shard/0/1@1m+2s"], ["worker/0,worker/1@5s+2s"], ["2@10s"])
    assert found[1] == Planned(60.0, "crash", ("shard/0/1",), 2.0)
    assert found[2] == Planned(5.0, "partition", ("worker/0", "worker/1"), 2.0)
    assert found[3:] == (Planned(10.0, "join"),) * 2
