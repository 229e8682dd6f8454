"""Graphs as rows of edges: reading them, numbering their nodes, watching a run, rounding points to labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from hogwild.engine.engines import Engine, Simulated
from hogwild.engine.loops import TAKEN
from hogwild.engine.order import BLOCK, Order
from hogwild.engine.pool import thread_pool
from hogwild.engine.runners import Plan, default_plan
from hogwild.engine.task import Task
from hogwild.engine.training import Progress
from hogwild.schedules import schedule_id
from hogwild.steps.cut import FlowCut, assign, balance, objective, project_rows, recentre, weight_cut, write_points
from hogwild.steps.rows import PairRows

ROUNDINGS = 64  # random thresholds and orders of labels that three labels and more are rounded with
REGION = TAKEN // BLOCK  # blocks of a region
CHECKED = 10  # epochs before the first look at the gap, and between two; later an eighth of the epochs so far
MOST_GROWTH = 100.0  # of flows' step size: beyond, single precision of the sums shows in the points


class Graph(NamedTuple):
    """Edges, each once: ``u < v``, ascending, of positive weight.

    Attributes
    ----------
    u, v : ndarray of int64, shape (n_edges,)
    weights : ndarray of float64, shape (n_edges,)
    n_nodes : int
    """

    u: np.ndarray
    v: np.ndarray
    weights: np.ndarray
    n_nodes: int


class Problem(NamedTuple):
    """A cut as the engine takes it: free nodes first, then one node for each label in the place of its terminals.

    Attributes
    ----------
    rows : PairRows
        Edges with a free node; weights in units of their mean.
    number : ndarray of int64, shape (n_nodes,)
        Row of each node of the graph.
    n_free, n_labels : int
    unit : float
        Mean weight.
    constant : float
        Weight of the edges between terminals of different labels.
    """

    rows: PairRows
    number: np.ndarray
    n_free: int
    n_labels: int
    unit: float
    constant: float


def read_graph(graph: Any, n_nodes: int = 0) -> Graph:
    """Read a SciPy matrix or edge arrays; parallel edges of a list add up, self-loops (never cut) are left out.

    Raises
    ------
    ValueError
        For anything that is no undirected graph with finite weights of at least 0.
    """
    if sp.issparse(graph):
        if graph.ndim != 2 or graph.shape[0] != graph.shape[1]:
            raise ValueError(f"found a graph of shape {graph.shape}, expected a square matrix")
        matrix = sp.csr_matrix(graph, copy=True)
        matrix.sum_duplicates()
        n_nodes = matrix.shape[0]
        upper, lower = sp.triu(matrix, 1, "csr"), sp.tril(matrix, -1, "csr").T.tocsr()
        both = upper.nnz and lower.nnz
        if both and (upper != lower).nnz:
            raise ValueError("found a graph that is not symmetric, expected a symmetric matrix or one triangle of it")
        edges = (upper if upper.nnz else lower).tocoo()
        u, v, weights = edges.row, edges.col, edges.data
    elif isinstance(graph, tuple | list) and len(graph) in (2, 3):
        u, v = (_whole(name, array) for name, array in zip("uv", graph, strict=False))
        weights = np.asarray(graph[2]) if len(graph) == 3 else np.ones(len(u))
        if weights.shape != u.shape or v.shape != u.shape:
            raise ValueError(f"found edge arrays of shapes {u.shape}, {v.shape}, {weights.shape}, expected the same")
        if len(u):
            if min(u.min(), v.min()) < 0:
                raise ValueError(f"found node {min(u.min(), v.min())}, expected nodes numbered from 0")
            n_nodes = max(n_nodes, int(max(u.max(), v.max())) + 1)
    else:
        raise ValueError(
            f"found a graph of type {type(graph).__name__}, expected a SciPy sparse matrix or (u, v, weight)"
        )
    if not n_nodes:
        raise ValueError("found a graph without nodes, expected at least one")
    if n_nodes >= 2**32:
        raise ValueError(f"found a graph of {n_nodes:,} nodes, expected fewer than 2**32")
    if weights.dtype.kind not in "biuf":
        raise ValueError(f"found weights of type {weights.dtype}, expected numbers")
    weights = weights.astype(np.float64)
    if not np.isfinite(weights).all():
        raise ValueError(f"found the weight {weights[~np.isfinite(weights)][0]}, expected finite weights")
    if len(weights) and weights.min() < 0:
        raise ValueError(f"found the weight {weights.min():g}, expected weights of at least 0")
    u, v = u.astype(np.int64), v.astype(np.int64)
    kept = (u != v) & (weights > 0)
    low, high = np.minimum(u[kept], v[kept]), np.maximum(u[kept], v[kept])
    ordered = sp.coo_matrix((weights[kept], (low, high)), shape=(n_nodes, n_nodes)).tocsr().tocoo()
    return Graph(ordered.row.astype(np.int64), ordered.col.astype(np.int64), ordered.data, n_nodes)


def _whole(name: str, array: Any) -> np.ndarray:
    array = np.asarray(array)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and len(array)):
        raise ValueError(
            f"found {name} of type {array.dtype} and shape {array.shape}, expected one dimension of node numbers"
        )
    return array.astype(np.int64)


def count_nodes(terminals: Any) -> int:
    """Nodes that an array of labels speaks of, 0 for a mapping."""
    return 0 if isinstance(terminals, Mapping) else len(np.atleast_1d(np.asarray(terminals)))


def read_terminals(terminals: Any, n_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels, and for each node the number of its label or -1.

    Raises
    ------
    ValueError
        For fewer than two labels, nodes out of range, or a node with two labels.
    """
    numbers = np.full(n_nodes, -1, np.int64)
    if isinstance(terminals, Mapping):
        classes = np.array(list(terminals))
        order = np.argsort(classes, kind="stable")
        seeds = [terminals[label] for label in terminals]
        for number, place in enumerate(order):
            nodes = _whole(f"terminals of {classes[place]}", np.atleast_1d(np.asarray(seeds[place])))
            if not len(nodes):
                raise ValueError(f"found no terminal of label {classes[place]}, expected at least one")
            if nodes.min() < 0 or nodes.max() >= n_nodes:
                wrong = nodes[(nodes < 0) | (nodes >= n_nodes)][0]
                raise ValueError(f"found terminal {wrong} of label {classes[place]}, expected nodes 0 to {n_nodes - 1}")
            taken = nodes[(numbers[nodes] >= 0) & (numbers[nodes] != number)]
            if len(taken):
                raise ValueError(f"found node {taken[0]} among the terminals of two labels, expected one label")
            numbers[nodes] = number
        classes = classes[order]
    else:
        given = np.asarray(terminals)
        if given.ndim != 1 or given.dtype.kind not in "iu":
            raise ValueError(
                f"found terminals of type {given.dtype} and shape {given.shape}, expected a mapping of labels to "
                "nodes, or a whole number for each node (-1: free)"
            )
        if len(given) != n_nodes:
            raise ValueError(f"found {len(given)} labels, expected one for each of {n_nodes} nodes (-1: free)")
        if given.min() < -1:
            raise ValueError(f"found the label {given.min()}, expected labels of at least 0, or -1 for free nodes")
        classes, inverse = np.unique(given[given >= 0], return_inverse=True)
        numbers[given >= 0] = inverse
    if len(classes) < 2:
        raise ValueError(f"found terminals of {len(classes)} labels, expected at least two")
    return classes, numbers


def make_problem(graph: Graph, terminals: np.ndarray, n_labels: int) -> Problem:
    """Number the nodes; edges between terminals cost what they cost."""
    free = terminals < 0
    n_free = int(free.sum())
    number = np.where(free, np.cumsum(free) - 1, n_free + terminals)
    u, v = number[graph.u], number[graph.v]
    open_ = (u < n_free) | (v < n_free)
    constant = float(graph.weights[~open_ & (u != v)].sum())
    weights = graph.weights[open_]
    unit = float(weights.mean()) if len(weights) else 1.0
    rows = PairRows(
        u[open_].astype(np.uint32),
        v[open_].astype(np.uint32),
        np.ones(len(weights), np.float32),
        (weights / unit).astype(np.float32),
    )
    return Problem(rows, number, n_free, n_labels, unit, constant)


def regions(rng: np.random.Generator, n_rows: int, kept: np.ndarray) -> Order:
    """Draw an order of regions: as many edges side by side as a thread takes at a time, in shuffled blocks.

    Two threads then seldom change the same cache lines: 25 to 20 ns of a core an edge (a picture of
    273,000 pixels), 20 to 17 on one thread.
    """
    n_blocks = n_rows // BLOCK
    n_regions = -(-n_blocks // REGION)
    within = rng.random((n_regions, REGION), np.float32).argsort(axis=1)
    blocks = rng.permutation(n_regions)[:, None] * REGION + within
    blocks = blocks[blocks < n_blocks].astype(np.uint32)
    return Order(kept, np.uint64(n_rows), blocks, np.uint64(BLOCK), rng.integers(1, 2**63, dtype=np.uint64))


def unreached_nodes(graph: Graph, terminals: np.ndarray) -> np.ndarray:
    """Nodes that no path joins to a terminal."""
    edges = sp.coo_matrix((np.ones(len(graph.u), np.int8), (graph.u, graph.v)), shape=(graph.n_nodes,) * 2)
    _, part = connected_components(edges, directed=False)
    return np.flatnonzero(~np.isin(part, part[terminals >= 0]))


def in_parts(kernel: Any, n_free: int, n_threads: int, before: tuple, after: tuple = ()) -> None:
    """Run ``kernel(*before, low, high, *after)`` on parts of the free nodes."""
    bounds = [n_free * k // n_threads for k in range(n_threads + 1)]
    thread_pool().run(kernel, [(*before, bounds[k], bounds[k + 1], *after) for k in range(n_threads)])


def round_points(problem: Problem, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the label number of each row of `points`.

    Two labels: the best of all thresholds, which cuts no more than half the objective of the points. More: the best of
    the largest coordinate and of random thresholds in random orders of the labels (Calinescu, Karloff, Rabani).
    """
    rows = problem.rows
    best = points.argmax(axis=1)
    if not len(rows.first):
        return best
    if problem.n_labels == 2:
        threshold = _best_threshold(points[rows.first, 1], points[rows.second, 1], rows.weights)
        return (points[:, 1] > threshold).astype(np.int64)
    least, labels = weight_cut(rows, best), np.empty(len(points), np.int64)
    for _ in range(ROUNDINGS):
        order = rng.permutation(problem.n_labels).astype(np.uint64)
        assign(points, order, points.dtype.type(1.0 - rng.random()), labels)  # in (0, 1]: terminals keep their labels
        weight = weight_cut(rows, labels)
        if weight < least:
            best, least = labels.copy(), weight
    return best


def _best_threshold(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> float:
    """Threshold s in [0, 1) that cuts the least weight of edges with one end above s."""
    ends = np.concatenate([np.minimum(one, other), np.maximum(one, other)])
    changes = np.concatenate([weights, -weights]).astype(np.float64)
    order = np.argsort(ends, kind="stable")
    ends, cut = ends[order], np.cumsum(changes[order])
    if ends[0] > 0:
        return 0.0  # nothing is joined to the first terminal
    last = np.flatnonzero(np.append(ends[1:] > ends[:-1], True) & (ends >= 0) & (ends < 1))
    return float(ends[last][np.argmin(cut[last])])


def cut_plan(task: Task | None, engine: Engine) -> Plan | None:
    """Share all nodes, if nothing else is asked for; None where everything is replicated."""
    if isinstance(engine, Simulated) or engine.deterministic:
        return Plan(engine.interval, engine.head) if engine.interval and engine.head is not None else None
    interval = engine.interval
    if interval is None and task is not None:
        interval = default_plan(task, 2, None, engine.head).interval if engine.head else 1 << 20
    return Plan(interval or 0, engine.head or 0)


class Watch:
    """Recentres the nodes after each epoch, and ends the run when the gap is small."""

    def __init__(self, task: Task, problem: Problem, tol: float | None, n_threads: int) -> None:
        self._task, self._problem, self._tol, self._n_threads = task, problem, tol, n_threads
        self._flows = isinstance(task.model, FlowCut)
        self._most = MOST_GROWTH * task.schedule.eta0
        self._due, self.bound = CHECKED, 0.0
        self._points = np.zeros((len(task.model.nodes), problem.n_labels), np.float32)
        self._points[problem.n_free :] = np.eye(problem.n_labels)

    def __call__(self, progress: Progress) -> bool:
        """Look at the end of an epoch; returns whether it was the last."""
        if not progress.epoch_ended or not self._flows:
            return False
        while self._due < progress.epoch:  # the same epochs for a run that is resumed
            self._due += max(CHECKED, self._due // 8)
        looks = progress.epoch == self._due
        if looks:
            self._balance()
        self._move(recentre)
        self._task.schedule = self._task.schedule._replace(eta0=min(self._task.schedule.eta0, self._most))
        if not looks or self._tol is None:
            return False
        reached = objective(self._problem.rows, self._points)
        return reached - self.bound <= self._tol * reached

    def finish(self) -> np.ndarray:
        """Return the points of all rows."""
        if self._flows:
            self._balance()
            self._move(write_points)
        else:
            in_parts(project_rows, self._problem.n_free, self._n_threads, (self._task.model.nodes,))
            self._points[...] = self._task.model.nodes
        return self._points

    def _balance(self) -> None:
        """Sum the flows anew; the largest bound stands."""
        self.bound = max(self.bound, balance(self._problem.rows, self._task.model))

    def _move(self, kernel: Any) -> None:
        schedule, t = self._task.schedule, self._task.t
        eta = schedule.eta0 if schedule.kind != schedule_id("invscaling") else schedule.eta0 / t**schedule.power_t
        in_parts(kernel, self._problem.n_free, self._n_threads, (self._task.model.nodes, eta), (self._points,))
