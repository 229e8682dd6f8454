"""Field-aware factorisation machines on clicks: log loss and time by iteration, libffm beside ours."""

from __future__ import annotations

from hogwild.experiments.ffm_criteo.clicks import DATA, Clicks, load_clicks
from hogwild.experiments.ffm_criteo.runs import ITERATIONS, REPEATS, SHORT, Fit, run_all
from hogwild.experiments.findings import Experiment, Findings, Measured, Picture, Remark, Setting, Statement
from hogwild.report.parts import Groups, Lines

ENOUGH = 100_000  # rows below which made-up clicks are too few for models of pairs, and epochs too short to time
CORES = 0.85  # share of its threads' processor time below which other work makes times mean nothing
SAME = 0.002  # log losses less apart are called equal


def run(setting: Setting) -> Findings:
    """Run the experiment."""
    clicks = load_clicks(setting)
    fits = run_all(clicks, setting)
    parts = [
        Remark(
            f"{clicks.about}. FFM: `FFMClassifier` with libffm's parameters (4 factors, step size .2, lambda 2e-5, "
            "normalised rows). FM, the same without fields: `FMClassifier` with 4 factors and step size .1. Linear: "
            "logistic regression by `SGDClassifier` with AdaGrad and step size .02. Both have the best step size of "
            "those tried on such rows."
        ),
        *_about_libffm(fits),
        _programs(clicks, fits),
        _iterations(fits),
        *_pictures(fits),
    ]
    return Findings(parts, statements(clicks, fits))


def statements(clicks: Clicks, fits: list[Fit]) -> list[Statement]:
    """Return what the figures say.

    Parameters
    ----------
    clicks : Clicks
    fits : list of Fit
    """
    ffm, several, libffm = _one(fits, "FFM"), _several(fits, "FFM"), _one(fits, "libffm")
    plain = min(_one(fits, name).best for name in ("FM", "linear"))
    enough = clicks.train.n_rows >= ENOUGH
    timed = enough and ffm.share >= CORES
    return [
        Statement(
            "Fields help: at its best iteration FFM has a lower validation log loss than FM and the linear model",
            ffm.best < plain if enough else None,
            "Juan, Zhuang, Chin, Lin 2016",
        ),
        Statement(
            "FFM overfits: its validation log loss rises again while that of training goes on falling",
            ffm.losses[-1] > ffm.best and ffm.training[-1] < ffm.training[ffm.best_iteration - 1],
            "libffm's documentation",
        ),
        Statement(
            f"Several racing threads reach the validation log loss of one thread (within {SAME:g})",
            None if several is None else abs(several.best - ffm.best) < SAME,
        ),
        Statement(
            "Several threads go through an iteration faster than one",
            None if several is None or not timed or several.share < CORES else several.seconds < ffm.seconds,
        ),
        Statement(
            f"Ours and libffm reach the same validation log loss (within {SAME:g})",
            None if libffm is None else abs(libffm.best - ffm.best) < SAME,
        ),
        Statement(
            "On one thread ours goes through an iteration faster than libffm",
            None if libffm is None or not timed else ffm.seconds < libffm.seconds,
        ),
    ]


def _one(fits: list[Fit], name: str) -> Fit | None:
    return next((fit for fit in fits if fit.name == name and fit.threads == 1), None)


def _several(fits: list[Fit], name: str) -> Fit | None:
    return next((fit for fit in fits if fit.name == name and fit.threads > 1), None)


def _about_libffm(fits: list[Fit]) -> list[Remark]:
    if _one(fits, "libffm") is not None:
        return []
    return [
        Remark(
            "libffm is not here: there is no program ffm-train on PATH, or only the one that `hogwild aliases` writes. "
            "To have it run beside ours, build it from its sources (github.com/ycjuan/libffm, `make`), put its "
            "ffm-train on PATH, and start again."
        )
    ]


def _programs(clicks: Clicks, fits: list[Fit]) -> Measured:
    ffm = _one(fits, "FFM")
    rows = [
        [fit.name, fit.threads, fit.seconds, ffm.seconds / fit.seconds, _share(fit), fit.best, fit.best_iteration]
        for fit in fits
    ]
    if _one(fits, "libffm") is None:
        rows.append(["libffm", 1, *[None] * 5])
    if clicks.best is not None:
        rows.append(["true probabilities", *[None] * 4, clicks.best, None])
    columns = {
        "model": "",
        "threads": "d",
        "seconds an iteration": ".3f",
        "speed (FFM on 1 = 1)": ".2f",
        "cores": ".2f",
        "best validation log loss": ".5f",
        "at iteration": "d",
    }
    note = (
        f"Seconds: of the steps alone, without reading and validation; the fastest of {REPEATS} runs of {SHORT} "
        "iterations, in turns. Cores: share of the processor time that the threads could have had; where it is below "
        f"{CORES:g}, other work took it, and nothing is said of times."
    )
    if clicks.best is not None:
        note += " True probabilities: what the rows were drawn from; nothing can be better."
    return Measured("programs", "Time and log loss", columns, rows, note)


def _share(fit: Fit) -> float | None:
    return fit.share if fit.name in ("FFM", "FM") else None


def _iterations(fits: list[Fit]) -> Measured:
    columns = {"iteration": "d", **{fit.label: ".5f" for fit in fits}}
    rows = [[number + 1, *(fit.losses[number] for fit in fits)] for number in range(ITERATIONS)]
    if _one(fits, "libffm") is None:
        columns["libffm"] = ".5f"
        rows = [[*row, None] for row in rows]
    return Measured("iterations", "Validation log loss after each iteration", columns, rows)


def _pictures(fits: list[Fit]) -> list[Picture]:
    numbers = list(range(1, ITERATIONS + 1))
    ffm = _one(fits, "FFM")
    label = "validation log loss"
    by_iteration = {fit.label: (numbers, fit.losses) for fit in fits}
    by_time = {fit.label: ([number * fit.seconds for number in numbers], fit.losses) for fit in fits}
    overfit = {"training, each row before its step": (numbers, ffm.training), "validation": (numbers, ffm.losses)}
    speed = {fit.label: {"": fit.seconds} for fit in fits if fit.name in ("FFM", "libffm")}
    return [
        Picture("by-iteration", Lines("Validation log loss by iteration", "iteration", label, by_iteration)),
        Picture("by-time", Lines("Validation log loss against time", "seconds of steps", label, by_time, log_x=True)),
        Picture("overfitting", Lines("FFM on one thread: when to stop", "iteration", "log loss", overfit)),
        Picture("seconds", Groups("Time of an iteration", "seconds", speed)),
    ]


EXPERIMENT = Experiment(
    "ffm-criteo",
    "Field-aware factorisation machines beside libffm",
    "Clicks on advertisements, 39 fields a row as in Criteo's logs: log loss and time by iteration of field-aware "
    "factorisation machines, on one thread and on all, beside libffm where it is installed, and beside models that "
    "know no fields.",
    DATA,
    run,
)
