"""Rows from dense to one feature in ten thousand: what sharing costs, and how often steps of two threads meet."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from hogwild.experiments.findings import Finding, Measured, Picture, Remark, Setting, Statement
from hogwild.experiments.sharing.documents import ENGINES
from hogwild.experiments.sharing.models import fitted_objective, make_model
from hogwild.experiments.sharing.timing import PATIENT, SECONDS, Rate, faster, fit_rates
from hogwild.report.parts import Lines

A_ROW = 64  # nonzeros
DENSITIES = (1.0, 0.1, 0.01, 0.001, 0.0001)
ETA = 0.3
FULL_ROWS, LEAST_ROWS = 200_000, 20_000


def make_rows(n_rows: int, density: float, seed: int) -> tuple[sp.csr_matrix, np.ndarray]:
    """Make rows of 64 nonzeros in places drawn evenly from ``64 / density`` features, with labels of a planted model.

    Within a row the features stand one in each of 64 ranges of equal width, so that none is drawn twice.
    """
    rng = np.random.default_rng(seed)
    width = round(1 / density)
    places = rng.integers(width, size=(n_rows, A_ROW)) + width * np.arange(A_ROW)
    values = rng.normal(size=n_rows * A_ROW).astype(np.float32) / np.sqrt(A_ROW).astype(np.float32)
    starts = np.arange(0, n_rows * A_ROW + 1, A_ROW)
    X = sp.csr_matrix((values, places.ravel().astype(np.int32), starts), (n_rows, A_ROW * width))
    score = X @ rng.normal(size=X.shape[1]).astype(np.float32)
    return X, np.where(score + 0.3 * rng.normal(size=n_rows) > 0, 1, -1)


def measure_densities(setting: Setting) -> tuple[list[Finding], list[Statement]]:
    """Measure engines on rows of each density."""
    claim = "On dense rows, replicas step faster than threads that share the weights"
    if setting.threads < 2:
        return [], [Statement(claim, None)]
    threads, n_rows = setting.threads, setting.rows(FULL_ROWS, LEAST_ROWS)
    tried: dict[str, tuple[Any, int]] = {"one thread": ("sequential", 1)}
    tried |= {name: (engine, threads) for name, engine in ENGINES.items()}
    rates: dict[float, dict[str, Rate]] = {}
    objectives: dict[float, dict[str, float | None]] = {}
    for density in DENSITIES:
        setting.say(f"timing engines on rows of density {density:.2%}")
        X, y = make_rows(n_rows, density, setting.seed)
        makers = {
            name: lambda engine=engine, count=count: make_model(engine, ETA, count, seed=setting.seed)
            for name, (engine, count) in tried.items()
        }
        rates[density] = fit_rates(makers, X, y, PATIENT if density == DENSITIES[0] else SECONDS)
        objectives[density] = {name: fitted_objective(make(), X, y) for name, make in makers.items()}
    parts: list[Finding] = [
        Remark(
            f"Rows of {A_ROW} nonzeros among more and more features, drawn evenly: from dense rows, on which all "
            "threads write to the same four cache lines, to rows that seldom have a feature in common."
        ),
        Measured(
            "densities",
            f"Throughput and objective by density, {threads} threads",
            {
                "density, %": "g",
                "features": ",d",
                **{f"{name}, ns": ".2f" for name in tried},
                **{f"{name}, objective": ".4f" for name in tried},
            },
            [
                [
                    100 * density,
                    round(A_ROW / density),
                    *(rate.ns for rate in rates[density].values()),
                    *objectives[density].values(),
                ]
                for density in DENSITIES
            ],
            f"{n_rows:,} rows, hinge loss; times as above. Objective on the training rows after 3 epochs.",
        ),
        Picture(
            "densities",
            Lines(
                f"Shared, atomic and replicated weights: {threads} threads",
                "density of the rows, %",
                "ns a nonzero",
                {
                    name: ([100 * density for density in DENSITIES], [rates[density][name].ns for density in DENSITIES])
                    for name in tried
                },
                log_x=True,
                from_zero=True,
                dashed=("one thread",),
            ),
        ),
    ]
    dense = rates[DENSITIES[0]]
    return parts, [Statement(claim, faster(dense["replicas"], dense["shared"]))]
