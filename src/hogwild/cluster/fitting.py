"""Training of an estimator on a cluster."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from hogwild.cluster.consistency import Consistency, resolve_consistency
from hogwild.cluster.ranges import cut_ranges, key_traffic
from hogwild.cluster.settings import JobSettings
from hogwild.data.locations import is_url
from hogwild.engine.training import Progress

EVERY = 300.0  # seconds between checkpoints
LARGE, SELDOM = 1 << 20, 4  # features beyond which the tail is exchanged less often, and after how many phases then
SHARD_BYTES = 4 << 20  # of a model below which one more shard costs more messages than it saves work
MOST_BYTES = 1 << 31  # of one shard


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C ended a job on a cluster; `fitted` is the model so far."""

    def __init__(self, message: str, fitted: BaseEstimator) -> None:
        super().__init__(message)
        self.fitted = fitted


def fit(
    estimator: BaseEstimator | Callable[[Any], BaseEstimator],
    sources: Any,
    *,
    workers: int | None = None,
    shards: int | None = None,
    consistency: str | Consistency = "ssp",
    staleness: int | None = None,
    replicas: int = 1,
    address: str | None = None,
    checkpoint: str | os.PathLike | None = None,
    every: float = EVERY,
    resume: bool = False,
    phase_rows: int | None = None,
    merge: str = "self-tuned",
    threads: int | None = None,
    leases: bool = True,
    half: bool = False,
    tail_every: int | None = None,
    settings: dict[str, Any] | None = None,
    callback: Callable[[Progress], object] | None = None,
    progress: bool = False,
    **options: Any,
) -> BaseEstimator:
    """Fit an estimator on the nodes of a Ray cluster, or on several processes of this machine.

    Every worker steps through rows that are leased to it, on all cores of its node, and exchanges what has changed with
    the parameter shards after each phase. Workers and shards may be lost and join while the job runs.

    Parameters
    ----------
    estimator : SGDClassifier, SGDRegressor, FMClassifier, FMRegressor, FFMClassifier, FFMRegressor, MatrixFactorization
        It is not changed. Dual solvers are refused: a chunk of rows that is leased again would double their variables.
        Or a function that returns one, given the `hogwild.cluster.workloads.Survey` of the rows.
    sources : path, list of paths, tuple of arrays, or ray.data.Dataset
        Files or ``.hog`` shards, by name or pattern, that all nodes see; ``(X, y)`` or ``(X, y, sample_weight)``;
        ``(users, items, values)`` for ratings; a data set of Ray Data, with its columns named by ``label="clicked"``.
    workers : int, optional
        Default: one on each node. More than there are nodes share the nodes' cores.
    shards : int, optional
        Default: by the size of the model.
    consistency : {"ssp", "bsp", "asp"} or Consistency, default "ssp"
        Whether workers wait for the slowest: never more than `staleness` phases ahead, after each phase, never.
    staleness : int, optional
        Of ``"ssp"``; default 4.
    replicas : {1, 2}, default 1
        With 2 every shard has a copy on another node, and no accepted push is lost with a shard.
    address : str, optional
        Of a started Ray cluster, ``"auto"`` for the one on this machine. Default: what this process is connected to,
        else ``RAY_ADDRESS``, else a cluster of this machine alone, which ends with the fit.
    checkpoint : path or URL, optional
        Where to write checkpoints: a folder that all nodes share. Without replicas a lost shard goes on from its last.
    every : float, default 300
        Seconds between checkpoints; one more is written at the end and after Ctrl-C.
    resume : bool, default False
        Go on from the newest complete checkpoint there, if there is one.
    phase_rows : int, optional
        Rows that a worker steps between two exchanges. Default: chosen by measuring.
    merge : {"self-tuned", "damped", "sum", "mean"}
        How deltas of several workers are added.
    threads : int, optional
        Of each worker. Default: its share of the cores of its node.
    leases : bool, default True
        Whether fast workers take rows from slow ones.
    half : bool, default False
        Whether parameters and deltas travel as float16.
    tail_every : int, optional
        Phases after which changes of rare features are pushed; those of frequent ones are in every phase. Default: 1,
        or 4 for tables of more than a million features of which each worker has a copy.
    settings : dict, optional
        Further `JobSettings`: timeouts.
    callback : callable, optional
        Called with `hogwild.Progress` while the job runs; returning something true ends it.
    progress : bool, default False
        Whether a live line is shown.
    **options
        Of the format of files (``format="csv"``, ``label="clicked"``).

    Returns
    -------
    estimator
        A fitted clone, with the attribute ``cluster_report_`` (`ClusterReport`).

    Raises
    ------
    TrainingInterrupted
        After Ctrl-C; its attribute ``fitted`` is the model so far.
    FileNotFoundError
        If a node does not see a file, before anything is trained.

    Examples
    --------
    >>> import hogwild
    >>> from hogwild.data import make_rcv1_like
    >>> X, y = make_rcv1_like(20_000, random_state=0)
    >>> sgd = hogwild.SGDClassifier(max_iter=2)
    >>> fitted = hogwild.cluster.fit(sgd, (X, y), workers=2)  # doctest: +SKIP
    >>> fitted.cluster_report_.evictions  # doctest: +SKIP
    []
    """
    from hogwild.cluster.workloads import Trained, check_estimator

    if hasattr(estimator, "get_params"):
        check_estimator(estimator)
    policy = resolve_consistency(consistency, staleness)
    _check_counts(workers=workers, shards=shards, phase_rows=phase_rows, threads=threads, tail_every=tail_every)
    if resume and checkpoint is None:
        raise ValueError("found resume=True without a checkpoint folder, expected the place to go on from")
    check_ray()
    from hogwild.cluster.ray.local import connected
    from hogwild.cluster.ray.places import Places, check_paths
    from hogwild.cluster.ray.training import Plan, train

    with connected(address) as own, _live_line(progress) as line:
        places = Places(workers, threads)
        if checkpoint is not None and not own and not is_url(os.fspath(checkpoint)):
            os.makedirs(checkpoint, exist_ok=True)
            check_paths([os.path.abspath(checkpoint)])
        checkpoints, found = open_checkpoints(checkpoint, resume)
        record = found[1] if found else {}
        problem, source, survey = read_sources(estimator, sources, merge, own, options)
        seed = int(check_random_state(problem.estimator.random_state).randint(np.iinfo(np.int32).max))
        seed = int(record.get("seed", seed))
        chunks = source.chunks(survey, places.workers, record.get("chunk_rows"))
        layout = problem.layout
        if record:
            cuts = np.array(record["cuts"])
        else:
            n_shards = shards or count_shards(layout.nbytes, places.workers)
            counts = np.bincount(survey.sample, minlength=layout.n_features)[: layout.n_features]
            traffic = key_traffic(counts, survey.sample_rows, phase_rows or 2_000, layout.n_keys)
            cuts = cut_ranges(traffic, min(n_shards, layout.n_keys))
        about = {
            "seed": seed,
            "chunk_rows": max(chunk.rows for chunk in chunks),
            "cuts": cuts.tolist(),
            "estimator": type(problem.estimator).__name__,
            "n_keys": layout.n_keys,
            "width": layout.width,
        }
        check_record(record, about, shards, checkpoint)
        plan = Plan(
            problem,
            source,
            chunks,
            cuts,
            JobSettings(
                shards=len(cuts) - 1,
                replicas=replicas,
                consistency=policy,
                phase_rows=phase_rows,
                leases=leases,
                workers=places.workers,
                checkpoint_every=every if checkpoints is not None else None,
                **(settings or {}),
            ),
            seed,
            {"half": half, **_tail(survey, layout, tail_every, phase_rows)},
        )
        outcome = train(
            plan,
            places,
            checkpoints=checkpoints,
            resumed=found,
            extra=about,
            callback=_both(callback, line),
        )
        n_threads = places.threads
    trained = Trained(outcome.rows, outcome.losses, len(outcome.losses), n_threads, outcome.seconds)
    if outcome.interrupted and not outcome.rows:
        raise KeyboardInterrupt("interrupted before the first step: there is no model")
    fitted = problem.finish(outcome.table, trained)
    fitted.cluster_report_ = outcome.report
    if outcome.interrupted:
        raise TrainingInterrupted(f"interrupted after {outcome.rows:,.0f} rows", fitted)
    return fitted


def count_shards(nbytes: int, n_workers: int) -> int:
    """How many shards a model of that size should have: one a worker at most, unless it is too large for those.

    Examples
    --------
    >>> count_shards(400_000, 8), count_shards(16 << 20, 8), count_shards(1 << 30, 8), count_shards(1 << 36, 8)
    (1, 4, 8, 32)
    """
    return max(1, min(n_workers, -(-nbytes // SHARD_BYTES)), -(-nbytes // MOST_BYTES))


def _tail(survey: Any, layout: Any, tail_every: int | None, phase_rows: int | None) -> dict[str, Any]:
    """Which keys are pushed in every phase, and how often the others."""
    every = tail_every or (SELDOM if layout.n_features > LARGE else 1)
    if every == 1:
        return {}
    features, shares = survey.frequencies()
    seen = shares * (phase_rows or JobSettings().first_phase_rows) >= 1
    return {"hot": np.sort(np.asarray(features)[seen]).astype(np.uint32), "tail_every": every}


def check_ray() -> None:
    """Fail if Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise ImportError("training on a cluster needs Ray, which is not installed: pip install hogwild[ray]")


def read_sources(
    estimator: BaseEstimator, sources: Any, merge: str, own: bool, options: dict[str, Any]
) -> tuple[Any, Any, Any]:
    """Return problem, source and survey of whatever rows the user gave; `own`: there is no other machine."""
    from hogwild.cluster.ray.datasets import dataset_source, is_dataset
    from hogwild.cluster.ray.places import check_paths
    from hogwild.cluster.ray.training import survey_pieces
    from hogwild.cluster.workloads import make_problem, merge_surveys, open_source, read_matrix, read_ratings
    from hogwild.estimators.matrix_factorization import MatrixFactorization

    if is_dataset(sources):
        source = dataset_source(sources, **options)
    elif _is_path(sources) or (isinstance(sources, list | tuple) and sources and all(map(_is_path, sources))):
        names = [sources] if _is_path(sources) else list(sources)
        source = open_source(*names, **options)
        if not own:
            check_paths([path for path in source.pieces() if "://" not in str(path)])
    elif isinstance(sources, tuple) and len(sources) in (1, 2, 3, 4):
        if options:
            raise TypeError(f"found {', '.join(options)} for rows in memory, which belong to files")
        if isinstance(estimator, MatrixFactorization):
            problem, source = read_ratings(estimator, *sources, merge=merge)
            return problem, source, merge_surveys(map(source.survey, source.pieces()))
        source = read_matrix(estimator, *sources)
    else:
        raise TypeError(
            f"found {type(sources).__name__} as sources, expected paths, (X, y), (X, y, sample_weight) or a data "
            "set of Ray Data"
        )
    survey = merge_surveys(survey_pieces(source))
    if not hasattr(estimator, "get_params"):
        estimator = estimator(survey)
    return make_problem(estimator, survey, source, merge=merge), source, survey


def open_checkpoints(place: Any, resume: bool) -> tuple[Any, tuple[int, dict] | None]:
    """Return the checkpoints at a place, and number and record of the one to go on from.

    Raises
    ------
    ValueError
        If there are some of another run, which would be mixed with this one's.
    """
    if place is None:
        return None, None
    from hogwild.cluster.checkpoints import Checkpoints

    checkpoints = Checkpoints(os.fspath(place))
    if not resume:
        if checkpoints.nodes():
            raise ValueError(
                f"found checkpoints of another run in {place}: go on from them (resume), or name another folder"
            )
        return checkpoints, None
    found = checkpoints.newest_committed()
    checkpoints.rewind(found[0] if found else -1)
    return checkpoints, found


def check_record(record: dict, about: dict, shards: int | None, place: Any) -> None:
    """Refuse to go on from a checkpoint of another problem."""
    for name in ("estimator", "n_keys", "width") if record else ():
        if record[name] != about[name]:
            raise ValueError(
                f"the checkpoint in {place} is of another run: {name} was {record[name]!r}, is {about[name]!r}; "
                "expected the same, or an empty folder"
            )
    if record and shards is not None and shards != len(record["cuts"]) - 1:
        raise ValueError(f"the checkpoint in {place} has {len(record['cuts']) - 1} shards, found shards={shards}")


def _check_counts(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and (isinstance(count, bool) or count < 1):
            raise ValueError(f"{name} must be at least 1, found {count!r}")


def _is_path(found: Any) -> bool:
    return isinstance(found, str | os.PathLike)


def _live_line(wanted: bool) -> Any:
    if not wanted:
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status("starting")


def _both(callback: Callable[[Progress], object] | None, line: Any) -> Callable[[Progress], object] | None:
    """Tell the callback and the live line."""
    if line is None:
        return callback
    from hogwild.estimators.progress import describe

    def told(progress: Progress) -> object:
        line.update(describe(progress))
        return callback(progress) if callback is not None else False

    return told
