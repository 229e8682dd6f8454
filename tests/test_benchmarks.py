"""The benchmarks run, small: what they print, not how fast; their page is made of what they recorded."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "shown"),
    [
        (
            "linear_dual",
            "--rows 3000 --repeat 1 --few --data rcv1",
            ["hinge: sweep", "log_loss: sweep", "hogwild, 2 threads"],
        ),
        ("linear_settings", "--rows 2000 --repeat 1 --epochs 2", ["adagrad, in memory", "GridSearchCV", "text"]),
        ("linear_own_step", "--rows 2000 --epochs 2 --runs 2", ["1 thread", "2 threads", "own step, ms"]),
        ("linear_engines", "--quick", ["round_robin", "processes, plain Python", "mean staleness"]),
        (
            "factorisation_ffm",
            "--rows 3000 --features 2000 --epochs 2 --repeat 1 --seeds 2",
            ["seconds an epoch", "hogwild, 2", "standard deviation"],
        ),
        (
            "factorisation_fm",
            "--rows 3000 --features 2000 --epochs 2 --repeat 1 --seeds 2",
            ["plain @njit", "2 threads", "logistic regression"],
        ),
        ("factorisation_matrix", "--quick", ["plain @njit", "hogwild bpr, 2 threads", "item-kNN"]),
        ("factorisation_cut", "--few", ["maximum flow", "flows, 2 threads", "times one"]),
        ("online", "--small --methods AROW", ["examples/s", "service", "answers after"]),
        ("online_mix", "--small", ["unmixed", "all (Jubatus)"]),
        ("cluster_simulation", "--workers 50 --events 3000 --runs 2", ["no checks", "every event checked"]),
        ("cluster_rules", "--small", ["self-tuned", "damped", "sum"]),
        ("cluster_stragglers", "--small", ["BSP", "SSP(4)", "ASP"]),
    ],
)
def test_it_prints_its_tables(name, options, shown):
    command = [sys.executable, str(FOLDER / f"{name}.py"), *options.split()]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0, done.stderr[-3_000:]
    for text in shown:
        assert text in done.stdout


@pytest.fixture(scope="module")
def page():
    spec = importlib.util.spec_from_file_location("benchmarks_page", FOLDER / "page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_and_readme_are_those_of_the_records(page, tmp_path, monkeypatch):
    places = {"PAGE": page.PAGE, "README": page.README, "PICTURE": page.PICTURE}
    for name, path in places.items():
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        monkeypatch.setattr(page, name, copy)
    page.main()
    for name in ("PAGE", "README"):
        path = places[name]
        assert (tmp_path / path.name).read_text(encoding="utf-8") == path.read_text(encoding="utf-8")
    assert (tmp_path / "speedup.svg").stat().st_size > 10_000


def test_every_record_has_its_place_on_the_page(page):
    programs = {section.program for chapter in page.CHAPTERS for section in chapter.sections}
    recorded = {path.stem for path in page.RESULTS.glob("*.json")}
    assert recorded <= programs and all((FOLDER / f"{program}.py").exists() for program in programs)


def test_faster_is_a_shorter_time_and_a_higher_rate(page):
    timed = {"task": "t", "rival": "r", "theirs": 3.0, "ours": {"1 thread": 1.5}, "unit": "s"}
    rated = {"task": "u", "rival": "r", "theirs": 100.0, "ours": {"1 thread": 1_000.0}, "unit": "rows/s"}
    _, _, *rows = page.rivals([timed, rated]).splitlines()
    assert rows[0] == "| t | r | 3.00 s | 1 thread: 1.50 s | 2.0 x |"
    assert rows[1] == "| u | r | 100 rows/s | 1 thread: 1,000 rows/s | 10.0 x |"


def test_a_program_records_what_it_showed(tmp_path):
    command = [sys.executable, str(FOLDER / "linear_own_step.py"), "--rows", "600", "--epochs", "1", "--runs", "1"]
    environment = {**os.environ, "HOGWILD_BENCH_RESULTS": str(tmp_path)}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    record = json.loads((tmp_path / "linear_own_step.json").read_text())
    assert record["command"] == "python benchmarks/linear_own_step.py --rows 600 --epochs 1 --runs 1"
    assert [row[0] for row in record["parts"][0]["rows"]] == ["1 thread", "2 threads"]
    assert record["machine"]["cores"]
