"""Minimum cuts of graphs between two terminals or several, by steps along random edges."""

from __future__ import annotations

import math
import zlib
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClusterMixin
from sklearn.utils._param_validation import Interval, StrOptions

from hogwild.compiled import aligned_zeros
from hogwild.engine.engines import Replicas, Simulated
from hogwild.engine.order import FULL_BELOW
from hogwild.engine.source import InMemory
from hogwild.engine.task import Merge, Task
from hogwild.estimators.cut_task import (
    Graph,
    Problem,
    Watch,
    count_nodes,
    cut_plan,
    make_problem,
    read_graph,
    read_terminals,
    regions,
    round_points,
    unreached_nodes,
)
from hogwild.estimators.factors import FactorModel, FactorState, resolve_factor_engine
from hogwild.estimators.threads import threads_for
from hogwild.schedules import Schedule, schedule_id
from hogwild.steps.base import MERGES
from hogwild.steps.cut import CutSettings, FlowCut, SubgradientCut, balance

DEFAULTS = {"flows": (1.0, 1.01), "subgradient": (0.1, 0.9)}  # eta0 and beta


class GraphCut(ClusterMixin, FactorModel):
    r"""Multiway cut of a graph: every node gets the label of a terminal, the edges between labels weigh least.

    The relaxation of Calinescu, Karloff and Rabani, as the HOGWILD! paper runs it: each node u is a point x_u of the
    probability simplex, each terminal the corner of its label, and

    .. math:: \min \sum_{uv} w_{uv} |x_u - x_v|_1

    which is **twice** the weight of the cut where all points are corners. A step takes one edge; its two nodes stay on
    the simplex. Then points are rounded to labels. With two labels the minimum is twice the minimum cut, and rounding
    loses nothing; with K, the best rounding is at most 3/2 - 1/K times the minimum multiway cut (which is NP-hard).

    Parameters
    ----------
    max_iter : int, default=1000
        Epochs at most; an epoch visits each edge once.
    tol : float or None, default=0.002
        Stop once ``objective_ - lower_bound_`` is at most `tol` times the objective, looked at after 10 epochs and
        then ever more seldom. None never stops. Only for ``solver="flows"``.
    solver : {"flows", "subgradient"}, default="flows"
        ``"flows"`` keeps a flow for each edge (of `n_labels` numbers) and comes to the minimum without vanishing steps,
        with a lower bound. ``"subgradient"`` is the paper's step, ``x_u -= eta w_uv sign(x_u - x_v)`` and the
        projection: it needs no memory beside the points, and does well where every node is few edges from a terminal.
    learning_rate : {"epoch_decay", "constant", "invscaling"}, default="epoch_decay"
        ``eta *= beta`` after each epoch, the paper's; or ``eta0``; or ``eta0 / t^power_t`` with t edges seen.
    eta0 : float or None, default=None
        First step size, in units of 1 / mean weight. None: 1 for flows, .1 for subgradients.
    beta : float or None, default=None
        Factor of ``"epoch_decay"``. None: .9 for subgradients, whose steps have to vanish; 1.01 for flows, whose steps
        need not: growing (to 100 times `eta0`), they end a picture's last epochs two to three times sooner.
    power_t : float, default=0.5
    n_jobs : int or None, default=None
        Threads at most; None is 1, -1 all cores.
    engine : str or Engine, default="auto"
        Threads share all nodes, classic HOGWILD!: two of them seldom meet at one of many nodes. ``"replicas"`` with
        ``deterministic=True`` repeats its bits.
    shuffle : bool or {"blocks", "full"}, default=True
        Order of the edges, which lie by their lower node.
    random_state : int, RandomState or None, default=None
        Orders, and the roundings of three labels and more.
    warm_start : bool, default=False
        Go on from the points of the last fit, and its flows, if graph and terminals have the same sizes.
    verbose, progress, callback, checkpoint
        As in `SGDClassifier`.

    Attributes
    ----------
    points_ : ndarray of float32, shape (n_nodes, n_labels)
        Points of all nodes; columns in the order of `classes_`.
    labels_ : ndarray of shape (n_nodes,)
        Labels after rounding.
    classes_ : ndarray of shape (n_labels,)
    objective_ : float
        Sum of ``w_uv |x_u - x_v|_1`` at `points_`: twice the relaxed cut.
    cut_value_ : float
        Weight of the edges between nodes of different `labels_`.
    lower_bound_ : float
        No points have an objective below it, no labels a cut below half of it. Subgradients know only the edges between
        terminals.
    unreached_ : ndarray of int64
        Nodes that no path joins to a terminal. They cost nothing wherever they are, and have the first label.
    objective_curve_ : ndarray of shape (n_iter_,)
        Sum over an epoch's edges, each before its own step.
    n_iter_, n_threads_, engine_
        Epochs run, threads and engine that ran them.

    Raises
    ------
    ValueError
        For negative or infinite weights, a matrix that is not square or not symmetric, fewer than two labels, terminals
        that are out of range or have two labels.

    References
    ----------
    Niu, Recht, Re, Wright: HOGWILD!: A Lock-Free Approach to Parallelizing Stochastic Gradient Descent, 2011.
    Calinescu, Karloff, Rabani: An improved approximation algorithm for multiway cut, 1998.

    Examples
    --------
    >>> from hogwild import GraphCut
    >>> path = ([0, 1, 2, 3], [1, 2, 3, 4], [5.0, 1.0, 4.0, 3.0])
    >>> cut = GraphCut(random_state=0).fit(path, {"left": [0], "right": [4]})
    >>> cut.labels_.tolist(), cut.cut_value_, round(cut.objective_, 2)
    (['left', 'left', 'right', 'right', 'right'], 1.0, 2.0)
    """

    _parameter_constraints: ClassVar[dict] = {
        **{name: kinds for name, kinds in FactorModel._parameter_constraints.items() if name != "n_iter_no_change"},
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "solver": [StrOptions(set(DEFAULTS))],
        "learning_rate": [StrOptions({"constant", "epoch_decay", "invscaling"})],
        "eta0": [Interval(Real, 0, None, closed="neither"), None],
        "beta": [Interval(Real, 0, None, closed="neither"), None],
        "power_t": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }
    n_iter_no_change = 1  # the gap ends a run, not the loss

    def __init__(
        self,
        max_iter=1000,
        tol=2e-3,
        *,
        solver="flows",
        learning_rate="epoch_decay",
        eta0=None,
        beta=None,
        power_t=0.5,
        n_jobs=None,
        engine="auto",
        shuffle=True,
        random_state=None,
        warm_start=False,
        verbose=0,
        progress=False,
        callback=None,
        checkpoint=None,
    ):
        self.max_iter = max_iter
        self.tol = tol
        self.solver = solver
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.beta = beta
        self.power_t = power_t
        self.n_jobs = n_jobs
        self.engine = engine
        self.shuffle = shuffle
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.progress = progress
        self.callback = callback
        self.checkpoint = checkpoint

    def fit(self, graph, terminals):
        """Cut a graph.

        Parameters
        ----------
        graph : SciPy sparse matrix of shape (n_nodes, n_nodes), or tuple of arrays (u, v) or (u, v, weight)
            Edges are undirected. A matrix is symmetric, or holds one triangle only; of both triangles each edge counts
            once. Edges that a list repeats add up. Weight 0 is no edge, self-loops are never cut; both are ignored.
        terminals : dict of label to node or nodes, or array of shape (n_nodes,)
            Nodes whose labels are given, several for a label or one. Array: a label of at least 0, or -1 for free
            nodes.

        Returns
        -------
        self
        """
        self._validate_params()
        read = read_graph(graph, count_nodes(terminals))
        self.classes_, seeds = read_terminals(terminals, read.n_nodes)
        problem = make_problem(read, seeds, len(self.classes_))
        self.unreached_ = unreached_nodes(read, seeds)
        self._fit_problem(read, problem)
        return self

    def fit_predict(self, graph, terminals):
        """Cut a graph and return `labels_`.

        Parameters
        ----------
        graph, terminals
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_nodes,)
        """
        return self.fit(graph, terminals).labels_

    def _fit_problem(self, graph: Graph, problem: Problem) -> None:
        """Run the epochs, round the points; Ctrl-C leaves a model of the epochs that were run."""
        rng = self._generator()
        n_threads = threads_for(self.n_jobs, len(problem.rows.first))
        engine = resolve_factor_engine(self.engine, n_threads)
        state = self._state = self._start(problem)
        if not (self.warm_start and hasattr(self, "loss_curve_")):
            self.loss_curve_ = []
        copies = engine.n_replicas if isinstance(engine, Simulated) else n_threads
        replicated = isinstance(engine, Replicas | Simulated) and cut_plan(None, engine) is None
        settings = CutSettings(
            problem.n_free,
            relaxation=1.0 / copies if replicated else 1.0,  # as many nodes move at once
        )
        kind = FlowCut if self.solver == "flows" else SubgradientCut
        model = kind(**state.arrays, settings=settings)
        task = Task(
            problem.rows,
            model,
            {name: Merge(*merge) for name, merge in MERGES[kind].items()},
            lazy=(),
            schedule=self._schedule(),
            n_features=len(model.nodes),
            n_columns=problem.n_labels,  # the numbers that a thread works on
            curvature_of=lambda rows, sample, features: {},
            settled=(),
        )
        if self.solver == "flows":
            balance(problem.rows, model)  # flows of another graph, or clipped, have other sums
        watch = Watch(task, problem, self.tol, n_threads)
        before = len(self.loss_curve_)
        self.n_iter_ = 0
        try:
            if len(problem.rows.first):
                self._run(
                    task,
                    InMemory(problem.rows),
                    rng=rng,
                    n_epochs=self.max_iter,
                    n_threads=n_threads,
                    plan=cut_plan,
                    shuffle=regions if self.shuffle is True and len(problem.rows.first) >= FULL_BELOW else None,
                    problem=self._fingerprint(problem),
                    epoch_decay=self._factor(),
                    watch=watch,
                )
        finally:
            points = watch.finish()
            losses = np.asarray(self.loss_curve_[before:], np.float64)
            constant = 2 * problem.constant
            total = float(problem.rows.weights.sum(dtype=np.float64)) * problem.unit
            self.objective_curve_ = losses * total + constant
            self.lower_bound_ = watch.bound * problem.unit + constant
            self._publish(graph, problem, points, round_points(problem, points, rng))

    def _publish(self, graph: Graph, problem: Problem, points: np.ndarray, numbers: np.ndarray) -> None:
        """Set what there is of every node, and its figures at the weights as they were given."""
        self.points_ = points[problem.number]
        numbers = numbers[problem.number]
        numbers[self.unreached_] = 0
        self.labels_ = self.classes_[numbers]
        self.cut_value_ = float(graph.weights[numbers[graph.u] != numbers[graph.v]].sum())
        apart = [np.abs(column[graph.u] - column[graph.v]) for column in self.points_.T.astype(np.float64)]
        self.objective_ = float((sum(apart) * graph.weights).sum())

    def _schedule(self) -> Schedule:
        eta0 = DEFAULTS[self.solver][0] if self.eta0 is None else self.eta0
        return Schedule(schedule_id(self.learning_rate), eta0, self.power_t, 0.0, 0.0, 0.0, 0.0, False, math.inf)

    def _factor(self) -> float:
        """Factor of the step size between epochs."""
        if self.learning_rate != "epoch_decay":
            return 1.0
        return DEFAULTS[self.solver][1] if self.beta is None else self.beta

    def _fingerprint(self, problem: Problem) -> dict[str, Any]:
        """What the runs of a checkpoint have to share."""
        crc = 0
        for array in problem.rows:
            crc = zlib.crc32(array, crc)
        return {
            "solver": self.solver,
            "schedule": [self.learning_rate, self._schedule().eta0, self._factor()],
            "shape": [len(problem.number), problem.n_free, problem.n_labels, len(problem.rows.first)],
            "edges": crc,
        }

    def _start(self, problem: Problem) -> FactorState:
        """Make the arrays of a run: all free nodes in the middle, or where the last fit has left them."""
        n, k = problem.n_free, problem.n_labels
        last: FactorState | None = getattr(self, "_state", None) if self.warm_start else None
        width = 2 * k if self.solver == "flows" else k
        nodes = aligned_zeros((n + k, width), np.float32)
        nodes[:n, :k] = 1.0 / k
        nodes[n:, :k] = np.eye(k)
        arrays = {"nodes": nodes}
        if self.solver == "flows":
            arrays["flows"] = aligned_zeros((len(problem.rows.first), k), np.float32)
        if last is not None and {name: array.shape for name, array in last.arrays.items()} == {
            name: array.shape for name, array in arrays.items()
        }:
            for name, array in arrays.items():
                array[...] = last.arrays[name]
            if "flows" in arrays:  # weights may have changed
                weights = problem.rows.weights[:, None]
                np.clip(arrays["flows"], -weights, weights, out=arrays["flows"])
        return FactorState(arrays)
