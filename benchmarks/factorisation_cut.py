"""Graph cuts beside the exact minimum cut: objective, rounded cut and seconds, on one thread and two.

Two terminals, whole weights; exact: SciPy's maximum flow (Dinic). Then the rate of steps on the whole picture, five
seeds, fits in turn.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_sample_image
from tables import in_turn, recorded, say, show

from hogwild import GraphCut

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
from segmentation import exact_cut, picture_graph, seeds

EPOCHS = 30  # of the fits that are timed


def random_graph(n: int, m: int) -> tuple[tuple, dict]:
    """Random edges, a fifth of the nodes terminals."""
    rng = np.random.default_rng(0)
    u, v = rng.integers(0, n, m), rng.integers(0, n, m)
    kept, order = u != v, rng.permutation(n)
    terminals = {"flower": order[: n // 10], "background": order[n // 10 : n // 5]}
    return (u[kept], v[kept], rng.integers(1, 20, int(kept.sum())).astype(float)), terminals


def grid_graph(side: int) -> tuple[tuple, dict]:
    """A square grid with random weights, one node in fifty a terminal."""
    rng = np.random.default_rng(0)
    number = np.arange(side * side).reshape(side, side)
    u = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    v = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    order, few = rng.permutation(side * side), side * side // 100
    terminals = {"flower": order[:few], "background": order[few : 2 * few]}
    return (u, v, rng.integers(1, 100, len(u)).astype(float)), terminals


def picture(step: int) -> tuple[tuple, dict]:
    """The flower of examples/segmentation.py."""
    image = load_sample_image("flower.jpg")[::step, ::step]
    return picture_graph(image), seeds(*image.shape[:2])


def beside_exact(graphs: dict[str, tuple[tuple, dict]]) -> None:
    """Objective and rounded cut as multiples of the minimum cut."""
    figures = []
    for name, (edges, terminals) in graphs.items():
        n_nodes = int(max(edges[0].max(), edges[1].max())) + 1
        began = time.perf_counter()
        least = exact_cut(edges, terminals, n_nodes)
        exact_seconds = time.perf_counter() - began
        shared = {"graph": name, "nodes": f"{n_nodes:,}", "edges": f"{len(edges[0]):,}"}
        figures.append(
            {**shared, "solver": "maximum flow", "objective": 1.0, "rounded": 1.0, "bound": 1.0, "epochs": None}
            | {"seconds": exact_seconds}
        )
        fits = {
            f"flows, {n_jobs} thread{'s' * (n_jobs > 1)}": GraphCut(n_jobs=n_jobs, random_state=0) for n_jobs in (1, 2)
        }
        fits["subgradients, 1 thread"] = GraphCut(solver="subgradient", max_iter=100, random_state=0)
        took, _ = in_turn({kind: lambda cut=cut: cut.fit(edges, terminals) for kind, cut in fits.items()}, 2)  # noqa: B023
        for kind, cut in fits.items():
            figures.append(
                {
                    **shared,
                    "solver": kind,
                    "objective": cut.objective_ / 2 / least,
                    "rounded": cut.cut_value_ / least,
                    "bound": cut.lower_bound_ / 2 / least,
                    "epochs": cut.n_iter_,
                    "seconds": min(took[kind]),
                }
            )
    show(
        "Minimum cuts between two terminals (objective / 2, rounded cut and bound as multiples of the exact cut)",
        figures,
    )


def threads(edges: tuple, terminals: dict, repeat: int) -> None:
    """Rate of steps and objective of one thread and two."""
    runs = [(n_jobs, seed) for seed in range(5) for n_jobs in (1, 2)]
    cuts = {run: GraphCut(EPOCHS, None, n_jobs=run[0], random_state=run[1]) for run in runs}
    steps: dict[int, list[float]] = {1: [], 2: []}

    def fit(run: tuple[int, int]) -> None:
        cuts[run].fit(edges, terminals)
        steps[run[0]].append(cuts[run].step_seconds_ / EPOCHS / len(edges[0]) * 1e9)

    in_turn({str(run): lambda run=run: fit(run) for run in runs}, repeat)
    least, figures = {n_jobs: min(values) for n_jobs, values in steps.items()}, []
    for n_jobs in (1, 2):
        objectives = [cuts[n_jobs, seed].objective_ / 2 for seed in range(5)]
        figures.append(
            {
                "threads": n_jobs,
                "ns an edge": least[n_jobs],
                "times one": least[1] / least[n_jobs],
                f"objective / 2 after {EPOCHS} epochs": float(np.mean(objectives)),
                "deviation of 5 seeds": float(np.std(objectives)),
            }
        )
    show(
        f"Steps along {len(edges[0]):,} edges of a picture",
        figures,
    )


@recorded
def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", action="store_true", help="small graphs, one repetition")
    options = parser.parse_args()
    few = options.few
    beside_exact(
        {
            "random": random_graph(*((2_000, 10_000) if few else (20_000, 100_000))),
            "grid": grid_graph(32 if few else 200),
            "picture": picture(8 if few else 2),
        }
    )
    threads(*picture(8 if few else 1), 1 if few else 2)
    say("Objective: sum of w |x_u - x_v|, twice the cut where all points are corners.")


if __name__ == "__main__":
    main()
