"""The six problems of the paper's table at one scale: data, start, step size, and how a model is judged."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from hogwild.compiled import aligned_zeros
from hogwild.experiments.findings import Setting
from hogwild.experiments.hogwild_2011.constants import Constants, constants_of_pairs, constants_of_rows
from hogwild.experiments.hogwild_2011.models import Factors, Points, Settings
from hogwild.experiments.hogwild_2011.shapes import RANK, Graph, Ratings, make_mentions, make_ratings, make_volume
from hogwild.experiments.text_rows import Documents, load_documents
from hogwild.steps.cut import weight_cut
from hogwild.steps.rows import PairRows

SVM, MATRIX, CUTS = "sparse SVM", "matrix completion", "graph cuts"
ALPHA = 0.06  # penalty of ratings that are noisy


class Judged(NamedTuple):
    """Errors of a model: what training lowers, and what one wants to be low."""

    train: float
    test: float


class Problem(NamedTuple):
    """One of the paper's problems.

    Attributes
    ----------
    name, family : str
    original, here : str
        Size of the data in the paper, and of these.
    n_rows : int
        Edges of the hypergraph.
    constants : Constants
    data : Documents, PairRows
        What training runs over.
    start : callable or None
        Returns a new model (models.py); None where `SGDClassifier` runs it.
    n_nodes, n_columns : int
        Rows and columns of the model's parameters.
    eta0 : float
    judge : callable
        ``judge(parameters) -> Judged``.
    """

    name: str
    family: str
    original: str
    here: str
    n_rows: int
    constants: Constants
    data: Any
    start: Callable[[], NamedTuple] | None
    n_nodes: int
    n_columns: int
    eta0: float
    judge: Callable[[np.ndarray], Judged]


def make_problems(setting: Setting) -> list[Problem]:
    """Make all six, each from random numbers of its own."""
    makers = (_rcv1, _netflix, _kdd, _jumbo, _dblife, _abdomen)
    seeds = np.random.SeedSequence(setting.seed).spawn(len(makers))
    return [make(setting, np.random.default_rng(seed)) for make, seed in zip(makers, seeds, strict=True)]


# ------------------------------------------------------------------------------------------------ sparse SVM


def _rcv1(setting: Setting, rng: np.random.Generator) -> Problem:
    documents = load_documents(setting)
    X, alpha = documents.X, svm_alpha(documents)
    setting.say("counting what rows share")

    def judge(coef: np.ndarray) -> Judged:
        hinge = np.maximum(0, 1 - documents.y * (X @ coef)).mean()
        wrong = np.mean(documents.y_test * (documents.X_test @ coef) <= 0)
        return Judged(float(hinge + alpha / 2 * coef @ coef), float(wrong))

    return Problem(
        "RCV1",
        SVM,
        "781,265 rows x 47,236 features",
        f"{X.shape[0]:,} rows x {X.shape[1]:,} features",
        X.shape[0],
        constants_of_rows(sp.csr_matrix(X), rng),
        documents,
        None,
        X.shape[1],
        1,
        0.3,
        judge,
    )


def svm_alpha(documents: Documents) -> float:
    """Penalty of the SVM: the weaker the more rows there are."""
    return 1.0 / documents.X.shape[0]


# ------------------------------------------------------------------------------------------------ matrix completion


def _netflix(setting: Setting, rng: np.random.Generator) -> Problem:
    whole = 480_189, 17_770, 100_198_805
    return _completion(setting, rng, "Netflix", whole, 10_000_000, tops=(1.8e-4, 2.3e-3), noise=0.5)


def _kdd(setting: Setting, rng: np.random.Generator) -> Problem:
    whole = 624_961, 296_111, 252_800_275
    return _completion(setting, rng, "KDD", whole, 12_500_000, tops=(1.2e-3, 1.8e-3), noise=0.3)


def _completion(
    setting: Setting,
    rng: np.random.Generator,
    name: str,
    whole: tuple[int, int, int],
    full: int,
    *,
    tops: tuple[float, float],
    noise: float,
) -> Problem:
    """Fewer ratings of fewer users and items, as dense a matrix as the original; `full` ratings at scale 1."""
    n = setting.rows(full, 20_000)
    side = math.sqrt(n / whole[2])
    n_users, n_items = (max(50, round(size * side)) for size in whole[:2])
    setting.say(f"making {n:,} ratings ({name})")
    ratings = make_ratings(rng, n_users, n_items, n, tops=tops, noise=noise)
    return _of_ratings(name, f"{whole[0]:,} x {whole[1]:,}, {whole[2]:,} entries", ratings, rng, ALPHA)


def _jumbo(setting: Setting, rng: np.random.Generator) -> Problem:
    """200 entries a row as in the original, none more likely than others, no noise."""
    n = setting.rows(20_000_000, 40_000)
    side = n // 200
    setting.say(f"making {n:,} entries (Jumbo)")
    ratings = make_ratings(rng, side, side, n, tops=(0.0, 0.0), noise=0.0)
    return _of_ratings("Jumbo", "10,000,000 x 10,000,000, 2,000,000,000 entries", ratings, rng, 0.0)


def _of_ratings(name: str, original: str, ratings: Ratings, rng: np.random.Generator, alpha: float) -> Problem:
    rows, n_nodes = ratings.train, ratings.n_users + ratings.n_items
    first = (rng.standard_normal((n_nodes, RANK)) / math.sqrt(RANK)).astype(np.float32)

    def start() -> Factors:
        factors = aligned_zeros(first.shape, np.float32)
        factors[...] = first
        return Factors(factors, Settings(alpha=alpha, large=factors.nbytes > 1 << 21))

    def error(factors: np.ndarray, part: PairRows) -> float:
        total = 0.0
        for low in range(0, len(part.targets), 1 << 20):
            u, v, y = (column[low : low + (1 << 20)] for column in part[:3])
            total += float(np.square(np.einsum("ij,ij->i", factors[u], factors[v]) - y).sum(dtype=np.float64))
        return math.sqrt(total / len(part.targets))

    return Problem(
        name,
        MATRIX,
        original,
        f"{ratings.n_users:,} x {ratings.n_items:,}, {len(rows.targets):,} entries",
        len(rows.targets),
        constants_of_pairs(rows.first, rows.second, n_nodes),
        rows,
        start,
        n_nodes,
        RANK,
        0.1,
        lambda factors: Judged(error(factors, rows), error(factors, ratings.test)),
    )


# ------------------------------------------------------------------------------------------------ graph cuts


def _dblife(setting: Setting, rng: np.random.Generator) -> Problem:
    """Fewer mentions of fewer entities: a 200th of the numbers that the points are made of, at scale 1."""
    side = math.sqrt(setting.scale / 200)
    n_mentions, n_entities = max(1_000, round(180_110 * side)), max(40, round(18_167 * side))
    setting.say(f"making {n_mentions:,} mentions (DBLife)")
    graph = make_mentions(rng, n_mentions, n_entities, 4.3e-3)
    return _of_graph(
        "DBLife",
        "180,110 mentions of 18,167 entities",
        f"{n_mentions:,} mentions of {n_entities:,} entities",
        graph,
        0.03,
    )


def _abdomen(setting: Setting, rng: np.random.Generator) -> Problem:
    """A coarser volume: a 20th of the voxels at scale 1."""
    side = (setting.scale / 20) ** (1 / 3)
    shape = tuple(max(12, round(size * side)) for size in (512, 512, 551))
    sizes = " x ".join(map(str, shape))
    setting.say(f"making a volume of {sizes} voxels (Abdomen)")
    graph = make_volume(rng, shape, 9.2e-4)
    return _of_graph("Abdomen", "512 x 512 x 551 voxels", f"{sizes} voxels", graph, 0.1)


def _of_graph(name: str, original: str, here: str, graph: Graph, eta0: float) -> Problem:
    n_free, n_labels, edges = len(graph.planted), graph.n_labels, graph.edges
    n_nodes = n_free + n_labels

    def start() -> Points:
        points = aligned_zeros((n_nodes, n_labels), np.float32)
        points[np.arange(n_nodes), np.append(graph.first, np.arange(n_labels))] = 1
        return Points(points, Settings(n_free=n_free, large=points.nbytes > 1 << 21))

    def judge(points: np.ndarray) -> Judged:
        labels = points.argmax(axis=1)
        cut = weight_cut(edges, labels) / float(edges.weights.sum(dtype=np.float64))
        return Judged(cut, float(np.mean(labels[:n_free] != graph.planted)))

    return Problem(
        name,
        CUTS,
        original,
        f"{here}, {len(edges.first):,} edges",
        len(edges.first),
        constants_of_pairs(edges.first, edges.second, n_nodes),
        edges,
        start,
        n_nodes,
        n_labels,
        eta0,
        judge,
    )
