"""The plot of a search over settings: score by alpha, a line for each combination of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hogwild.report.parts import Lines


def score_lines(results: Mapping[str, Any], names: Sequence[str], score: str) -> Lines:
    """Return the plot of a table of results.

    Parameters
    ----------
    results : mapping
        `cv_results_` of a search: ``params``, ``mean_test_score``, ``std_test_score``.
    names : sequence of str
        Parameters that vary: the first along the axis, one line for each combination of the others.
    score : str
        Name of the score.

    Returns
    -------
    Lines
        Settings that diverged are left out.

    Examples
    --------
    >>> from hogwild.report.cv import score_lines
    >>> results = {"params": [{"alpha": 0.1}, {"alpha": 1.0}], "mean_test_score": [0.9, 0.8], "std_test_score": [0, 0]}
    >>> score_lines(results, ["alpha"], "accuracy").lines
    {'accuracy': ([0.1, 1.0], [0.9, 0.8])}
    """
    along, *others = names
    lines: dict[str, tuple[list[float], list[float]]] = {}
    spread: dict[str, list[float]] = {}
    for setting, mean, deviation in sorted(
        zip(results["params"], results["mean_test_score"], results["std_test_score"], strict=True),
        key=lambda row: row[0][along],
    ):
        if np.isfinite(mean):
            name = ", ".join(f"{other} {setting[other]:g}" for other in others) or score
            x, y = lines.setdefault(name, ([], []))
            x.append(float(setting[along]))
            y.append(float(mean))
            spread.setdefault(name, []).append(float(deviation))
    order = dict(
        sorted(
            lines.items(), key=lambda item: [float(part.split()[-1]) for part in item[0].split(", ")] if others else 0
        )
    )
    positive = all(value > 0 for x, _ in order.values() for value in x)
    return Lines(f"Score by {along}", along, f"mean {score} of held-out rows", order, log_x=positive, spread=spread)
