"""How many threads a fit gets, and a warning where nested parallelism asks for more than there are."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import warnings
from collections.abc import Iterator

from hogwild.engine.pool import usable_cores

MIN_ROWS = 256  # rows below which another thread is not worth it

_lock = threading.Lock()
_running = 0
_warned = False


def resolve_n_jobs(n_jobs: int | None) -> int:
    """Return the largest number of threads that `n_jobs` allows: None is 1, -1 all usable cores, -2 all but one."""
    if n_jobs is None:
        return 1
    if n_jobs == 0:
        raise ValueError("n_jobs=0 has no meaning: use None or 1 for one thread, -1 for all usable cores")
    return n_jobs if n_jobs > 0 else max(1, usable_cores() + 1 + n_jobs)


def threads_for(n_jobs: int | None, n_rows: int) -> int:
    """Return the number of threads for `n_rows` rows: `n_jobs` is an upper bound, each thread has at least 256 rows."""
    return max(1, min(resolve_n_jobs(n_jobs), n_rows // MIN_ROWS))


def _share() -> int:
    """Cores for this process: joblib tells its worker processes through OMP_NUM_THREADS."""
    cores = usable_cores()
    if multiprocessing.parent_process() is not None and os.environ.get("OMP_NUM_THREADS", "").isdigit():
        return max(1, min(cores, int(os.environ["OMP_NUM_THREADS"])))
    return cores


@contextlib.contextmanager
def counted(n_threads: int) -> Iterator[None]:
    """Count the threads of a running fit; warn once where fits side by side use more than there are cores."""
    global _running, _warned
    with _lock:
        alone = _running == 0
        _running += n_threads
        crowded = _running > _share() and n_threads > 1 and not (alone and multiprocessing.parent_process() is None)
        warn, _warned = crowded and not _warned, _warned or crowded
    if warn:
        warnings.warn(
            f"fits in parallel ask for {_running} threads or more on {usable_cores()} usable cores: "
            "set n_jobs=None either in the estimator or around it",
            RuntimeWarning,
            stacklevel=4,
        )
    try:
        yield
    finally:
        with _lock:
            _running -= n_threads
