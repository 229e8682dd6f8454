"""The benchmarks of the linear models and of the models of factors run, small: what they print, not how fast."""

from __future__ import annotations

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
        ("linear_own_step", "--rows 2000 --epochs 2 --runs 2", ["1 thread: own step", "2 threads: own step"]),
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
