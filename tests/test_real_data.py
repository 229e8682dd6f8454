"""What the engine promises, on real data (where they are present) and on RCV1-like data of some size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier as Peer

from hogwild import SGDClassifier
from hogwild.data import load_svmlight, make_rcv1_like
from hogwild.engine import Replicas, Simulated

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
FILES = {"a9a": ("a9a.svm.xz", 123), "ijcnn1": ("ijcnn1.trn.bz2", 22)}

pytestmark = pytest.mark.slow


def load(name):
    if name == "RCV1-like":
        return make_rcv1_like(100_000, random_state=0)
    file, width = FILES[name]
    if not (SHARED / file).exists():
        pytest.skip(f"{file} is not here")
    return load_svmlight(SHARED / file, n_features=width)


def log_objective(model, X, y):
    margin = np.where(y > 0, 1, -1) * (X @ model.coef_[0] + model.intercept_[0])
    return np.logaddexp(0, -margin).mean()


# step sizes tuned for one thread (benchmarks/core.py)
TUNED = [
    ("a9a", "constant", 0.01),
    ("a9a", "invscaling", 0.1),
    ("ijcnn1", "constant", 0.03),
    ("ijcnn1", "invscaling", 1.0),
    ("RCV1-like", "constant", 0.3),
    ("RCV1-like", "invscaling", 3.0),
]


@pytest.mark.parametrize(("name", "rate", "eta0"), TUNED)
def test_many_replicas_keep_the_objective_of_one_thread(name, rate, eta0):
    X, y = load(name)
    kwargs = {"loss": "log_loss", "alpha": 1e-5, "max_iter": 3, "tol": None, "learning_rate": rate, "power_t": 0.25}

    def mean(engine):
        fits = [SGDClassifier(eta0=eta0, engine=engine, random_state=s, **kwargs).fit(X, y) for s in range(4)]
        return np.mean([log_objective(fit, X, y) for fit in fits])

    one = mean("auto")
    assert mean(Simulated(16)) < 1.02 * one
    assert mean(Simulated(64)) < 1.05 * one


@pytest.mark.parametrize(
    ("engine", "tolerance"),
    [
        ("auto", 0.01),
        (Replicas(deterministic=True), 0.01),
        ("shared", 0.01),
        (Replicas(merge="self-tuned"), 0.03),  # it judges merges by 2,000 rows and prefers the safer of equals
    ],
)
def test_two_threads_keep_the_objective_of_one(engine, tolerance):
    X, y = load("RCV1-like")
    kwargs = {"alpha": 1e-5, "max_iter": 5, "tol": None, "intercept_decay": 0.01, "random_state": 0}

    def objective(model):
        margin = np.where(y > 0, 1, -1) * (X @ model.coef_[0] + model.intercept_[0])
        return np.maximum(0, 1 - margin).mean() + 5e-6 * (model.coef_[0] @ model.coef_[0])

    one = objective(SGDClassifier(**kwargs).fit(X, y))
    assert objective(SGDClassifier(n_jobs=2, engine=engine, **kwargs).fit(X, y)) < (1 + tolerance) * one
    assert one < 1.005 * objective(Peer(alpha=1e-5, max_iter=5, tol=None, random_state=0).fit(X, y))


def test_a_fit_on_two_threads_takes_little_memory():
    script = """
import os
from hogwild import SGDClassifier
from hogwild.data import make_rcv1_like
X, y = make_rcv1_like(200_000, random_state=0)
page = os.sysconf("SC_PAGE_SIZE")
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * page / 2**20
fit = {"alpha": 1e-5, "max_iter": 5, "tol": None, "n_jobs": 2}
SGDClassifier(**fit).fit(X[:5_000], y[:5_000])
before, seen = resident(), []
SGDClassifier(callback=lambda progress: seen.append(resident()) and False, **fit).fit(X, y)
print(max(seen) - before)
"""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 64


def test_the_rival_table_runs(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "core.py"), "--quick"]
    environment = {**os.environ, "COLUMNS": "120", "HOGWILD_BENCH_RESULTS": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "scikit-learn" in done.stdout
    record = json.loads((tmp_path / "core.json").read_text())
    assert record["command"] == "python benchmarks/core.py --quick"
    assert record["headlines"][0]["rival"] == "scikit-learn" and record["machine"]["cores"]
    assert all(len(row) == len(part["columns"]) for part in record["parts"] if "rows" in part for row in part["rows"])
