"""Documents: engines by number of threads, merge interval and head; objective by virtual replicas and merge rule."""

from __future__ import annotations

import numpy as np

from hogwild.engine import Atomic, Replicas, Shared, Simulated
from hogwild.experiments.findings import Finding, Measured, Picture, Remark, Setting, Statement
from hogwild.experiments.sharing.models import EPOCHS, fitted_objective, make_model, tune_step
from hogwild.experiments.sharing.timing import HOW, PATIENT, SECONDS, Rate, faster, fit_rates
from hogwild.experiments.text_rows import Documents
from hogwild.report.parts import Lines

INTERVALS = (16, 64, 256, 1_024, 4_096, 32_768)
OFTEN, SELDOM = 256, 32_768
HEADS = (0, 64, 1_024, 8_192, 32_768)
RULES = ("sum", "mean", "damped", "self-tuned")
REPLICAS = (2, 4, 8, 16, 32, 64)
CROWD = 16
ENGINES = {"replicas": Replicas(tune=False), "shared": Shared(), "atomic": Atomic()}


class Bench:
    """Documents, the step size that suits them on one thread, and what one thread does with them."""

    def __init__(self, setting: Setting, documents: Documents) -> None:
        self.X, self.y, self.seed, self.say = documents.X, documents.y, setting.seed, setting.say
        self.threads, self.wide = setting.threads, documents.X.shape[1]
        self.counts = [count for count in setting.counts if count > 1]
        self.say("searching a step size")
        self.eta0 = tune_step(self.X, self.y, setting.seed)
        self.one = self.objective("sequential", 1)

    def objective(self, engine, n_jobs: int = 1) -> float | None:
        """Objective after a few epochs; None where training diverged."""
        return fitted_objective(make_model(engine, self.eta0, n_jobs, seed=self.seed), self.X, self.y)

    def rates(self, engines: dict, patience: float = SECONDS) -> dict[str, Rate]:
        """Measure engines with numbers of threads, by name."""
        makers = {
            name: lambda engine=engine, n_jobs=n_jobs: make_model(engine, self.eta0, n_jobs, seed=self.seed)
            for name, (engine, n_jobs) in engines.items()
        }
        return fit_rates(makers, self.X, self.y, patience)


def measure_documents(setting: Setting, documents: Documents) -> tuple[list[Finding], list[Statement]]:
    """Measure engines, intervals, heads and simulated replicas on documents."""
    bench = Bench(setting, documents)
    parts: list[Finding] = [
        Remark(
            f"Documents ({documents.about}; {bench.X.nnz / bench.X.shape[0]:.0f} nonzeros a row). Hinge loss, no "
            f"intercept, step size {bench.eta0:g}: the best of powers of about three for one thread. "
            f"Times are {HOW}."
        )
    ]
    statements: list[Statement] = []
    for measure in (_engines, _intervals, _heads, _crowds):
        found, claims = measure(bench)
        parts += found
        statements += claims
    return parts, statements


def _engines(bench: Bench) -> tuple[list[Finding], list[Statement]]:
    bench.say("timing engines on documents")
    tried = {"1 thread": ("sequential", 1)}
    tried |= {f"{name}, {count} threads": (engine, count) for count in bench.counts for name, engine in ENGINES.items()}
    rates = bench.rates(tried, PATIENT)
    rows = [
        [
            name.split(",")[0] if count > 1 else "sequential",
            count,
            rates[name].ns,
            rates["1 thread"].ns / rates[name].ns,
            bench.objective(engine, count),
        ]
        for name, (engine, count) in tried.items()
    ]
    table = Measured(
        "engines",
        "Documents: throughput and objective by engine",
        {"engine": "", "threads": "d", "ns a nonzero": ".2f", "times one thread": ".2f", "objective": ".4f"},
        rows,
        f"Objective after {EPOCHS} epochs.",
    )
    if not bench.counts:
        than_shared = than_atomic = close = None
    else:
        most = bench.counts[-1]
        took = {name: rates[f"{name}, {most} threads"] for name in ENGINES}
        than_shared, than_atomic = (faster(took["replicas"], took[name]) for name in ("shared", "atomic"))
        close = all(row[4] is not None and row[4] < 1.1 * bench.one for row in rows)
    return [table], [
        Statement("On documents, replicas step faster than threads that share the weights", than_shared),
        Statement(
            "On documents, replicas step faster than threads that add indivisibly to shared weights", than_atomic
        ),
        Statement(
            "With few threads no way of sharing costs accuracy: all objectives stay within a tenth of one thread's",
            close,
            "Niu, Recht, Re, Wright 2011 (for shared memory)",
        ),
    ]


def _intervals(bench: Bench) -> tuple[list[Finding], list[Statement]]:
    rates: dict[str, Rate] = {}
    if bench.counts:
        bench.say("timing merge intervals")
        rates = bench.rates({str(m): (Replicas(m, head=bench.wide, tune=False), bench.threads) for m in INTERVALS})
    bench.say("simulating merge intervals")
    lines = {
        f"{n} replicas": [bench.objective(Simulated(n, m, head=bench.wide)) for m in INTERVALS] for n in (2, CROWD)
    }
    rows = [
        [m, rates[str(m)].ns if rates else None, *(found[k] for found in lines.values())]
        for k, m in enumerate(INTERVALS)
    ]
    parts: list[Finding] = [
        Measured(
            "intervals",
            "Documents: rows between merges",
            {
                "rows between merges": ",d",
                f"ns a nonzero, {bench.threads} threads": ".2f",
                **{f"objective, {name}": ".4f" for name in lines},
            },
            rows,
            f"Objective after {EPOCHS} epochs of simulated replicas, which repeat exactly, merged with damping; "
            f"{bench.one:.4f} on one thread. All weights are replicated.",
        ),
        Picture(
            "interval-objective",
            Lines(
                "Merging too seldom costs accuracy",
                "rows that each replica steps between merges",
                f"objective after {EPOCHS} epochs",
                {
                    **{name: (list(INTERVALS), _finite(found)) for name, found in lines.items()},
                    "one thread": ([INTERVALS[0], INTERVALS[-1]], [bench.one] * 2),
                },
                log_x=True,
                dashed=("one thread",),
            ),
        ),
    ]
    if rates:
        parts.insert(
            1,
            Picture(
                "interval-throughput",
                Lines(
                    f"Merging too often costs time: {bench.threads} threads",
                    "rows that each replica steps between merges",
                    "ns a nonzero",
                    {"ns a nonzero": (list(INTERVALS), [rates[str(m)].ns for m in INTERVALS])},
                    from_zero=True,
                    log_x=True,
                ),
            ),
        )
    crowd = dict(zip(INTERVALS, lines[f"{CROWD} replicas"], strict=True))
    worse = crowd[SELDOM] is None or crowd[SELDOM] > 1.02 * crowd[OFTEN]
    return parts, [
        Statement(
            f"Merging {CROWD} replicas every {SELDOM:,} rows instead of every {OFTEN} worsens the objective", worse
        )
    ]


def _heads(bench: Bench) -> tuple[list[Finding], list[Statement]]:
    if not bench.counts:
        return [], []
    bench.say("timing heads")
    wide = bench.wide
    heads = [head for head in HEADS if head < wide] + [wide]
    rates = bench.rates({str(head): (Replicas(1_024, head=head, tune=False), bench.threads) for head in heads})
    touched = np.sort(np.bincount(bench.X.indices, minlength=wide))[::-1].cumsum() / bench.X.nnz
    rows = [
        [
            head,
            100 * float(touched[head - 1]) if head else 0.0,
            rates[str(head)].ns,
            bench.objective(Simulated(CROWD, 1_024, head=head)),
        ]
        for head in heads
    ]
    table = Measured(
        "heads",
        "Documents: how many of the hottest features are replicated, the others shared",
        {
            "replicated": ",d",
            "of the nonzeros, %": ".1f",
            f"ns a nonzero, {bench.threads} threads": ".2f",
            f"objective, {CROWD} replicas": ".4f",
        },
        rows,
        "Merged every 1,024 rows; 0 is plain shared memory, the last row replicates all. Telling hot from cold costs "
        "time, which pays where the model is too large to copy. "
        f"Objective: simulated, after {EPOCHS} epochs.",
    )
    return [table], []


def _crowds(bench: Bench) -> tuple[list[Finding], list[Statement]]:
    found: dict[str, list[float | None]] = {}
    for rule in RULES:
        bench.say(f"simulating up to {REPLICAS[-1]} threads, merged by {rule}")
        found[rule] = [bench.objective(Simulated(n, 64, head=bench.wide, merge=rule)) for n in REPLICAS]
    parts: list[Finding] = [
        Measured(
            "crowds",
            "Documents: objective of many simulated threads by merge rule",
            {"threads": "d", **dict.fromkeys(RULES, ".4f")},
            [[n, *(found[rule][k] for rule in RULES)] for k, n in enumerate(REPLICAS)],
            f"Everything replicated, merged every 64 rows, after {EPOCHS} epochs; {bench.one:.4f} on one thread. "
            "Exact and repeatable on one thread.",
        ),
        Picture(
            "crowds",
            Lines(
                "Objective of many threads (simulated)",
                "threads, each merging every 64 rows",
                f"objective after {EPOCHS} epochs",
                {
                    **{rule: (list(REPLICAS), _finite(values)) for rule, values in found.items()},
                    "one thread": ([REPLICAS[0], REPLICAS[-1]], [bench.one] * 2),
                },
                log_y=True,
                dashed=("one thread",),
            ),
        ),
    ]
    last = {rule: np.inf if values[-1] is None else values[-1] for rule, values in found.items()}
    return parts, [
        Statement(
            f"Merged every 64 rows, {REPLICAS[-1]} replicas end far worse by sums of deltas than by damped sums",
            last["sum"] > 1.2 * last["damped"],
        ),
        Statement(
            f"Merged every 64 rows with damping, {REPLICAS[-1]} replicas stay within a tenth of one thread's objective",
            last["damped"] < 1.1 * bench.one,
        ),
    ]


def _finite(values: list[float | None]) -> list[float]:
    return [np.nan if value is None else value for value in values]
