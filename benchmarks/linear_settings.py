"""Many settings in one pass beside separate fits: in memory, from a cache and from text; whole fits on one thread."""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sklearn.model_selection import GridSearchCV
from tables import headline, in_turn, recorded, show

import hogwild.data
from hogwild import SGDClassifier, SGDClassifierCV
from hogwild.data import dump_svmlight, make_rcv1_like, write_hog

ALPHAS = [1e-8, 1e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 1e-3]


def compare(name: str, apart: Callable[[], object], together: Callable[[], object], repeat: int) -> dict[str, object]:
    """Seconds apart and together, and how many times faster."""
    times, _ = in_turn({"apart": apart, "together": together}, repeat)
    seconds = {name: min(taken) for name, taken in times.items()}
    return {"": name, "apart, s": seconds["apart"], "together, s": seconds["together"]} | {
        "times faster": seconds["apart"] / seconds["together"]
    }


@recorded
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    X, y = make_rcv1_like(given.rows)
    figures: list[dict] = []

    def measure(*comparison: Any) -> None:
        figures.append(compare(*comparison))

    def single(data, labels, alpha: float, **options) -> object:
        return SGDClassifier(alpha=alpha, max_iter=given.epochs, tol=None, random_state=0, **options).fit(data, labels)

    def columns(data, labels, cv: int, **options) -> object:
        return SGDClassifierCV(ALPHAS, max_iter=given.epochs, random_state=0, cv=cv, **options).fit(data, labels)

    for rate, options in {
        "optimal": {},
        "constant": {"learning_rate": "constant", "eta0": 0.1},
        "adagrad": {"learning_rate": "adagrad", "eta0": 0.3},
    }.items():
        measure(
            f"8 fits, {rate}, in memory",
            lambda options=options: [single(X, y, alpha, **options) for alpha in ALPHAS],
            lambda options=options: columns(X, y, 0, **options),
            given.repeat,
        )
    grid = GridSearchCV(SGDClassifier(max_iter=given.epochs, tol=None, random_state=0), {"alpha": ALPHAS}, cv=5)
    measure(
        "5 folds and refit, optimal, in memory: GridSearchCV",
        lambda: grid.fit(X, y),
        lambda: columns(X, y, 5),
        1,
    )
    with tempfile.TemporaryDirectory() as folder:
        text, cache = Path(folder, "rows.svm"), Path(folder, "rows.hog")
        dump_svmlight(X, y, text)
        write_hog(hogwild.data.open(text), cache)
        for name, path in (("cache file", cache), ("text", text)):
            rows = hogwild.data.open(path)
            measure(
                f"8 fits, optimal, {name}",
                lambda rows=rows: [single(rows, None, alpha) for alpha in ALPHAS],
                lambda rows=rows: columns(rows, None, 0),
                1,
            )
    folds = figures[3]
    task = f"8 settings x 5 folds, {given.rows:,} rows"
    headline(task, "separate fits (GridSearchCV)", folds["apart, s"], {"1 thread": folds["together, s"]}, "s")
    show(f"8 alphas, hinge, {given.rows:,} rows, {given.epochs} epochs, one thread: whole fits", figures)


if __name__ == "__main__":
    main()
