"""Cut a flower out of its picture: pixels are nodes, neighbours of like colour are hard to part.

    python examples/segmentation.py            # writes segmentation.png
    python examples/segmentation.py --step 1   # the whole picture of 273,000 pixels

A few strokes are marked by hand as flower and as background; the minimum cut between them is the outline. Needs
Matplotlib (``pip install hogwild[report]``).
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import maximum_flow
from sklearn.datasets import load_sample_image

from hogwild import GraphCut

# rows and columns of strokes as parts of height and width: (top, bottom, left, right)
STROKES = {
    "flower": [(0.50, 0.54, 0.32, 0.64), (0.28, 0.80, 0.465, 0.49), (0.72, 0.75, 0.37, 0.60)],
    "background": [(0.0, 0.03, 0.0, 1.0), (0.97, 1.0, 0.0, 1.0), (0.0, 1.0, 0.0, 0.02), (0.0, 1.0, 0.98, 1.0)],
}


def picture_graph(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join neighbouring pixels; weights are whole numbers, 1 to 1,000, for the exact comparison."""
    height, width = picture.shape[:2]
    number = np.arange(height * width).reshape(height, width)
    u = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    v = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    colours = picture.reshape(-1, 3).astype(np.float64)
    distance = np.square(colours[u] - colours[v]).sum(axis=1)
    return u, v, np.maximum(1.0, np.round(1_000 * np.exp(-distance / (2 * distance.mean()))))


def seeds(height: int, width: int) -> dict[str, np.ndarray]:
    """Pixels under the strokes."""
    number = np.arange(height * width).reshape(height, width)
    found = {}
    for label, boxes in STROKES.items():
        parts = [
            number[int(top * height) : int(bottom * height), int(left * width) : int(right * width)].ravel()
            for top, bottom, left, right in boxes
        ]
        found[label] = np.unique(np.concatenate(parts))
    return found


def exact_cut(edges: tuple, terminals: dict[str, np.ndarray], n_nodes: int) -> int:
    """Minimum cut by SciPy's maximum flow."""
    number = np.arange(n_nodes)
    source, sink = n_nodes, n_nodes + 1
    number[terminals["flower"]], number[terminals["background"]] = source, sink
    u, v, weights = number[edges[0]], number[edges[1]], edges[2].astype(np.int32)
    one_way = sp.csr_matrix((weights, (u, v)), shape=(n_nodes + 2, n_nodes + 2))
    return maximum_flow(sp.csr_matrix(one_way + one_way.T), source, sink).flow_value


def draw(picture: np.ndarray, terminals: dict[str, np.ndarray], inside: np.ndarray, path: str) -> None:
    """Draw the picture, the strokes on it, and what was cut out, side by side."""
    from matplotlib.figure import Figure

    grey = picture.mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8)
    marked = (0.5 * grey + 100).astype(np.uint8)
    flat = marked.reshape(-1, 3)
    flat[terminals["flower"]], flat[terminals["background"]] = (214, 39, 40), (31, 119, 180)
    height, width = inside.shape
    figure = Figure(figsize=(13.5, 13.5 / 3 * height / width + 0.4), layout="constrained")
    titles = ("the picture", "marked by hand: flower (red), background (blue)", "the minimum cut")
    shown = (picture, marked, np.where(inside[:, :, None], picture, 255))
    for place, (title, image) in enumerate(zip(titles, shown, strict=True)):
        axes = figure.add_subplot(1, 3, place + 1)
        axes.imshow(image)
        axes.set_title(title, fontsize=11)
        axes.set_axis_off()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Cut, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", type=int, default=2, help="take every STEP-th pixel of the picture")
    parser.add_argument("--n-jobs", type=int, default=2, help="threads")
    parser.add_argument("--output", default="segmentation.png", help="where to draw")
    options = parser.parse_args()
    picture = load_sample_image("flower.jpg")[:: options.step, :: options.step]
    height, width = picture.shape[:2]
    edges, terminals = picture_graph(picture), seeds(height, width)
    cut = GraphCut(n_jobs=options.n_jobs, random_state=0)
    began = time.perf_counter()
    labels = cut.fit_predict(edges, terminals)
    seconds = time.perf_counter() - began
    print(f"{height} x {width} pixels, {len(edges[0]):,} edges; {cut.n_iter_} epochs in {seconds:.2f} s")
    print(f"objective / 2  {cut.objective_ / 2:,.1f}   (no cut is below {cut.lower_bound_ / 2:,.1f})")
    print(f"rounded cut    {cut.cut_value_:,.0f}")
    print(f"exact cut      {exact_cut(edges, terminals, height * width):,}")
    draw(picture, terminals, (labels == "flower").reshape(height, width), options.output)
    print(f"drawn in {options.output}")


if __name__ == "__main__":
    main()
