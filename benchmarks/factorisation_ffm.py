"""Field-aware factorisation machines beside libffm: seconds an epoch and validation log loss by iteration.

A made-up click log (`hogwild.data.make_click_log`: 500,000 rows of 39 fields for training, 50,000 for validation,
hashed to a million features), libffm's default parameters. libffm is the ``ffm-train`` on PATH that is not ours (build
it with ``-O3 -march=native``); without it the table shows ours alone. Each program's own time of its training epochs:
libffm prints it with one decimal, so that the mean over all epochs counts; the two take turns.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from tables import headline, recorded, say, show

from hogwild import FFMClassifier
from hogwild.data import FieldRows, dump_libffm, make_click_log


def libffm() -> str | None:
    """Path of libffm's own ``ffm-train``: not an alias of ours, which would race with itself."""
    found = shutil.which("ffm-train")
    return found if found and b"hogwild" not in Path(found).read_bytes()[:4_000] else None


def run_libffm(program: str, folder: Path, epochs: int, threads: int) -> dict:
    """Train with libffm; returns seconds an epoch and validation losses."""
    command = [program, "-s", str(threads), "-t", str(epochs), "-p", "valid.ffm", "train.ffm", "libffm.model"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    rows = [row for row in rows if len(row) == 4 and row[0].isdigit()]
    return {"seconds": float(rows[-1][3]) / len(rows), "losses": [float(row[2]) for row in rows]}


def run_ours(train: tuple, valid: tuple, epochs: int, threads: int, seed: int = 0) -> dict:
    """Train with hogwild; returns seconds an epoch (steps alone, as libffm counts) and validation losses."""
    model = FFMClassifier(max_iter=epochs, n_jobs=threads, random_state=seed)
    model.fit(*train, validation=valid)
    losses = [-score for score in model.validation_scores_]
    return {"seconds": model.step_seconds_ / model.n_iter_, "losses": losses, "engine": model.engine_}


@recorded
def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000, help="training rows; a tenth more validate")
    parser.add_argument("--features", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5, help="seeds of the comparison of one thread and two")
    options = parser.parse_args()
    batch = make_click_log(options.rows + options.rows // 10, 39, options.features, random_state=7)
    train, valid = batch.rows(0, options.rows), batch.rows(options.rows, batch.n_rows)
    rows, held = ((FieldRows.from_batch(part), part.labels) for part in (train, valid))
    for threads in (1, 2):
        run_ours(rows, held, 1, threads)  # compiles
    program = libffm()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if program:
            dump_libffm(train, folder / "train.ffm")
            dump_libffm(valid, folder / "valid.ffm")
            run_libffm(program, folder, 1, 1)  # makes its binary files
        runs: dict[tuple[str, int], list[dict]] = {}
        for _ in range(options.repeat):
            for threads in (1, 2):
                if program:
                    runs.setdefault(("libffm", threads), []).append(
                        run_libffm(program, folder, options.epochs, threads)
                    )
                runs.setdefault(("hogwild", threads), []).append(run_ours(rows, held, options.epochs, threads))
    if not program:
        say("libffm's ffm-train is not on PATH: ours alone.")
    seconds = {key: min(run["seconds"] for run in some) for key, some in runs.items()}
    show(
        f"FFM, {options.rows:,} rows x 39 fields, k = 4: seconds an epoch (best of {options.repeat} runs)",
        [
            {
                "program": who,
                "threads": threads,
                "seconds": seconds[who, threads],
                "times libffm": seconds["libffm", threads] / seconds[who, threads] if program else None,
                "times one thread": seconds[who, 1] / seconds[who, threads],
                "engine": str(some[0].get("engine", "")),
            }
            for (who, threads), some in runs.items()
        ],
    )
    if program:
        ours = {f"{n} thread{'s' * (n > 1)}": seconds["hogwild", n] for n in (1, 2)}
        task = f"field-aware machine, an epoch of {options.rows:,} rows x 39"
        headline(task, "libffm, 2 threads", seconds["libffm", 2], ours, "s")
    shown = [{"iteration": k + 1} for k in range(options.epochs)]
    for (who, threads), some in runs.items():
        for k, loss in enumerate(some[0]["losses"]):
            shown[k][f"{who}, {threads}"] = f"{loss:.5f}"
    show("Validation log loss by iteration", shown)
    ends = {n: [run_ours(rows, held, 4, n, seed)["losses"][-1] for seed in range(options.seeds)] for n in (1, 2)}
    show(
        f"Validation log loss after 4 iterations, {options.seeds} seeds",
        [
            {
                "threads": n,
                "mean": f"{np.mean(losses):.5f}",
                "standard deviation": f"{statistics.pstdev(losses):.5f}",
                "worst": f"{max(losses):.5f}",
            }
            for n, losses in ends.items()
        ],
    )


if __name__ == "__main__":
    main()
