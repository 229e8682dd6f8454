"""What is told of the runs: the published table, measured tables, pictures, statements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from hogwild.experiments.findings import Measured, Picture, Published, Statement
from hogwild.experiments.hogwild_2011.delay import Delayed
from hogwild.experiments.hogwild_2011.problems import CUTS, MATRIX, SVM, Problem
from hogwild.experiments.hogwild_2011.running import EPOCHS, Run
from hogwild.report.parts import Groups, Lines

ENGINES = ("shared", "atomic", "locked", "round_robin", "replicas")
LABELS = {
    "sequential": "one thread",
    "shared": "HOGWILD! (shared)",
    "atomic": "HOGWILD! (atomic)",
    "locked": "AIG (locked)",
    "round_robin": "RR (round robin)",
    "replicas": "replicas",
}
FAMILIES = {SVM: "svm", MATRIX: "matrix-completion", CUTS: "graph-cuts"}
PAPER = "Niu, Recht, Re, Wright: HOGWILD!, NIPS 2011"
CLOSE, NEAR = 0.10, 0.01  # share, and absolute part, by which the error of all threads may lie above that of one
CLOSER = 1.5  # times the part of HOGWILD!'s speed-up that RR must gain with slow gradients to be much closer to it

Results = dict[tuple[str, str, int], Run]  # by problem, engine and threads

PUBLISHED = Published(
    "data sets and HOGWILD! on 10 cores",
    f"{PAPER}, table of data sets, training times and errors (errors in the paper's own measures)",
    ["", "data set", "size, GB", "rho", "Delta", "time, s", "train error", "test error"],
    [
        ["SVM", "RCV1", "0.9", "4.4e-1", "1.0", "9.5", "0.297", "0.339"],
        ["matrix completion", "Netflix", "1.5", "2.5e-3", "2.3e-3", "301.0", "0.754", "0.928"],
        ["", "KDD", "3.9", "3.0e-3", "1.8e-3", "877.5", "19.5", "22.6"],
        ["", "Jumbo", "30", "2.6e-7", "1.4e-7", "9453.5", "0.031", "0.013"],
        ["cuts", "DBLife", "3e-3", "8.6e-3", "4.3e-3", "230.0", "10.6", "N/A"],
        ["", "Abdomen", "18", "9.2e-4", "9.2e-4", "1181.4", "3.99", "N/A"],
    ],
)


def best_of(runs: Iterable[Run]) -> Run:
    """Return the fastest of runs of one thing."""
    return min(runs, key=lambda run: run.seconds)


def speedup(results: Results, problem: str, engine: str, threads: int) -> float:
    """How many times faster than one thread that takes no locks."""
    return results[problem, "sequential", 1].seconds / results[problem, engine, threads].seconds


def _mean_speedup(results: Results, problems: list[Problem], engine: str, threads: int) -> float:
    """Geometric mean over problems."""
    gains = [speedup(results, problem.name, engine, threads) for problem in problems]
    return math.exp(sum(map(math.log, gains)) / len(gains))


# ------------------------------------------------------------------------------------------------ tables


def constants_table(problems: list[Problem]) -> Measured:
    """Sizes and constants."""
    rows = [
        [
            p.name,
            p.original,
            p.here,
            p.constants.omega,
            p.constants.delta,
            p.constants.rho,
            "exact" if p.constants.exact else "at least",
        ]
        for p in problems
    ]
    return Measured(
        "constants",
        "Data and their constants",
        {"data": "", "in the paper": "", "here": "", "Omega": ",d", "Delta": ".2e", "rho": ".2e", "rho is": ""},
        rows,
        "Counted on the data of this run. Omega: most parameters that a row touches; Delta: largest share of rows that "
        "touch one parameter; rho: largest share of rows that touch any parameter of one row (by this definition never "
        "below Delta). Where rows are many features long it is the largest of 1,000 rows, half of them those that are "
        "likeliest to have it.",
    )


def times_table(problems: list[Problem], results: Results, counts: list[int], rounds: int) -> Measured:
    """Times, speed-ups and errors of all runs."""
    rows = []
    for problem in problems:
        for engine in ("sequential", *ENGINES):
            for threads in [1] if engine == "sequential" else counts[1:]:
                run = results[problem.name, engine, threads]
                judged = run.judged
                rows.append(
                    [
                        problem.name,
                        LABELS[engine],
                        threads,
                        run.seconds,
                        speedup(results, problem.name, engine, threads),
                        judged.train if judged else None,
                        judged.test if judged else None,
                    ]
                )
    return Measured(
        "times",
        f"{EPOCHS} epochs: time, speed-up over one thread, errors",
        {"data": "", "engine": "", "threads": "d", "time, s": ".3f", "speed-up": ".2f", "train": ".4f", "test": ".4f"},
        rows,
        f"The fastest of {rounds} runs. Train and test: of the SVM the objective and the share of wrong labels; of "
        "ratings the root mean square errors; of cuts the weight between labels as a share of all, and the share of "
        "nodes whose label is not the planted one. '-': locks and turns were stopped after half a second; their time "
        "follows from the rows done until then.",
    )


def delay_table(found: list[Delayed]) -> Measured:
    """Speed-ups by delay."""
    names = list(found[0].together)
    return Measured(
        "delay",
        "Slow gradients: time of a row and speed-up over one thread, by delay",
        {"delay, ns": ",d", "rows": ",d", "one thread, ns a row": ",.0f", **{LABELS[name]: ".2f" for name in names}},
        [
            [each.delay, each.rows, each.alone / each.rows * 1e9, *(each.speedup(name) for name in names)]
            for each in found
        ],
        "The SVM, the fastest of three runs; the delay is a loop of shifts, timed on this machine before, in the "
        "measuring of each gradient. Under AIG a thread waits with the locks in its hands.",
    )


# ------------------------------------------------------------------------------------------------ pictures


def speedup_pictures(problems: list[Problem], results: Results, counts: list[int]) -> list[Picture]:
    """Speed-up against threads, a picture for each family; and all problems side by side."""
    if len(counts) < 2:
        return []
    pictures = []
    for family, key in FAMILIES.items():
        members = [problem for problem in problems if problem.family == family]
        lines = {
            LABELS[engine]: (
                counts,
                [1.0, *(_mean_speedup(results, members, engine, threads) for threads in counts[1:])],
            )
            for engine in ENGINES
        }
        names = ", ".join(problem.name for problem in members)
        plot = Lines(
            f"Speed-up of {family} ({names})",
            "threads",
            "speed-up over one thread" if len(members) == 1 else "speed-up (geometric mean)",
            {"ideal": (counts, counts), **lines},
            from_zero=True,
            dashed=("ideal",),
        )
        pictures.append(Picture(f"speedup-{key}", plot))
    most = counts[-1]
    groups = {
        problem.name: {LABELS[engine]: speedup(results, problem.name, engine, most) for engine in ENGINES}
        for problem in problems
    }
    plot = Groups(f"Speed-up over one thread on {most} threads", "times as fast", groups)
    return [*pictures, Picture("speedup-all", plot)]


def objective_picture(problem: Problem, results: Results, counts: list[int]) -> Picture:
    """Loss by epoch of one problem on all engines."""
    most, lines = counts[-1], {}
    for engine in ("sequential", *ENGINES):
        run = results.get((problem.name, engine, 1 if engine == "sequential" else most))
        if run is not None and run.whole:
            lines[LABELS[engine]] = (list(range(1, len(run.curve) + 1)), run.curve)
    threads = f", {most} threads" if most > 1 else ""
    heading = f"{problem.name}: loss of each row before its step, by epoch{threads}"
    return Picture("objective", Lines(heading, "epoch", "mean loss of an epoch's rows", lines))


def delay_picture(found: list[Delayed], threads: int) -> Picture | None:
    """Speed-up against delay."""
    if not found[0].together:
        return None
    slow = [each for each in found if each.delay]
    delays = [each.delay for each in slow]
    lines = {LABELS[name]: (delays, [each.speedup(name) for each in slow]) for name in slow[0].together}
    plot = Lines(
        f"Slow gradients: speed-up on {threads} threads by delay",
        "delay of each gradient, ns",
        "speed-up over one thread",
        lines,
        from_zero=True,
        log_x=True,
    )
    return Picture("delay", plot)


# ------------------------------------------------------------------------------------------------ statements


def statements(problems: list[Problem], results: Results, found: list[Delayed], counts: list[int]) -> list[Statement]:
    """What the figures say of the paper's claims."""
    most = counts[-1]

    def tried(holds: Callable[[], bool]) -> bool | None:
        return bool(holds()) if most > 1 else None

    def close(problem: Problem) -> bool:
        alone, together = (
            results[problem.name, *which].judged.train for which in (("sequential", 1), ("shared", most))
        )
        return together <= (1 + CLOSE) * alone + NEAR

    def hogwild_ahead() -> bool:
        return all(
            speedup(results, problem.name, "shared", most) > speedup(results, problem.name, engine, most)
            for problem in problems
            for engine in ("locked", "round_robin")
            if problem.family != CUTS  # there times of locks and turns vary several times from run to run
        )

    def catches_up() -> bool:
        fast, slow = (each.speedup("round_robin") / each.speedup("shared") for each in (found[0], found[-1]))
        return slow > CLOSER * fast

    largest = max(problem.constants.rho for problem in problems if problem.family == MATRIX)
    svm = next(problem for problem in problems if problem.family == SVM)
    return [
        Statement(
            "HOGWILD! on all threads comes to the training error of one thread (a tenth and .01 more at most)",
            tried(lambda: all(close(problem) for problem in problems)),
            PAPER,
        ),
        Statement(
            "HOGWILD! beats locks (AIG) and turns (RR) on all threads: sparse SVM and matrix completion",
            tried(hogwild_ahead),
            PAPER,
        ),
        Statement(
            "Where rows touch many weights (SVM), locks cost more than threads gain: AIG is slower than one thread",
            tried(lambda: speedup(results, svm.name, "locked", most) < 1),
            PAPER,
        ),
        Statement(
            "Taking turns (RR) gains nothing where gradients are fast and rows touch many weights (SVM)",
            tried(lambda: speedup(results, svm.name, "round_robin", most) < 1),
            PAPER,
        ),
        Statement(
            "RR comes much closer to HOGWILD! where each gradient takes a tenth of a millisecond than where it is fast",
            tried(catches_up),
            PAPER,
        ),
        Statement(
            "Edges of the SVM overlap more than fifty times as much (rho) as those of matrix completion",
            svm.constants.rho > 50 * largest,
            PAPER,
        ),
        Statement(
            "No rho is below its Delta, as the definitions have it (the published figures of RCV1 are)",
            all(problem.constants.rho >= problem.constants.delta for problem in problems),
        ),
    ]
