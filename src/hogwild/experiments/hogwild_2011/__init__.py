"""HOGWILD! (Niu, Recht, Re, Wright 2011): speed-up against threads of sparse SVM, matrix completion and graph cuts."""

from __future__ import annotations

from hogwild.experiments.findings import Experiment, Finding, Findings, Remark, Setting
from hogwild.experiments.hogwild_2011 import telling
from hogwild.experiments.hogwild_2011.delay import try_delays
from hogwild.experiments.hogwild_2011.problems import SVM, Problem, make_problems
from hogwild.experiments.hogwild_2011.running import EPOCHS, Run, longest, train
from hogwild.experiments.text_rows import DATA

ROUNDS = 2

ABOUT = (
    "Six problems with the shapes of the paper's data: sparse SVM (RCV1), matrix completion (Netflix, KDD, Jumbo) and "
    f"graph cuts (DBLife, Abdomen). {EPOCHS} epochs with a step size that falls by a tenth after each, on one thread "
    "and on more: without locks (HOGWILD!), under locks (AIG), in turns (RR), and with a replica for each thread."
)

SIZES = (
    "The originals take up to 30 GB; at scale 1 the SVM has its full size, the others what a laptop runs in minutes. "
    "Ratings are fewer, of fewer users and items in the same proportion; Jumbo keeps its 200 entries a row; the volume "
    "is coarser. Skew (Delta) is the original's wherever there are enough users, items and entities for it."
)
ENGINES = (
    "The SVM is SGDClassifier. Factors and points are stepped on by plain steps of this experiment, because "
    "MatrixFactorization and GraphCut run on shared memory and replicas only: every engine here has the same code, and "
    "speed-up is over that code on one thread without locks. RR threads measure at the same time and change the "
    "parameters in turn. Replicas of large models copy only what rows touch most, and share the rest."
)
DELAY = (
    "What if gradients were slow? A loop delays each gradient of the SVM while it is measured; the change of the "
    "parameters is as quick as before."
)


def run(setting: Setting) -> Findings:
    """Run the experiment."""
    problems, counts = make_problems(setting), setting.counts
    results = _run_all(setting, problems, counts)
    svm = next(problem for problem in problems if problem.family == SVM)
    delays = try_delays(setting, svm.data)
    parts: list[Finding] = [
        telling.PUBLISHED,
        Remark(SIZES),
        telling.constants_table(problems),
        Remark(ENGINES),
        telling.times_table(problems, results, counts, ROUNDS),
        *telling.speedup_pictures(problems, results, counts),
        telling.objective_picture(svm, results, counts),
        Remark(DELAY),
        telling.delay_table(delays),
    ]
    picture = telling.delay_picture(delays, counts[-1])
    if picture is not None:
        parts.append(picture)
    return Findings(parts, telling.statements(problems, results, delays, counts))


def _run_all(setting: Setting, problems: list[Problem], counts: list[int]) -> telling.Results:
    """Run every problem on every engine and number of threads, in rounds; keep the fastest run of each."""
    runs: dict[tuple[str, str, int], list[Run]] = {}
    for problem in problems:
        wanted = [("sequential", 1), *((engine, threads) for engine in telling.ENGINES for threads in counts[1:])]
        for engine, threads in wanted:  # a first slice: what has to be compiled, or read from disk, is then ready
            setting.say(f"{problem.name}: getting ready for {telling.LABELS[engine]}")
            train(problem, engine, threads, setting.seed, 0.0)
        for turn in range(ROUNDS):
            for engine, threads in wanted:
                done = runs.setdefault((problem.name, engine, threads), [])
                if not all(run.whole for run in done):
                    continue  # long enough to tell
                setting.say(f"{problem.name}: {telling.LABELS[engine]}, threads: {threads}, run {turn + 1}")
                done.append(train(problem, engine, threads, setting.seed, longest(engine, threads)))
    return {which: telling.best_of(done) for which, done in runs.items()}


EXPERIMENT = Experiment(
    "hogwild-2011", "HOGWILD! (Niu, Recht, Re, Wright 2011): speed-up against threads", ABOUT, DATA, run
)
