"""What travels between workers and shards: key sets, deltas, requests, values."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ALL = 0  # id of the key set that is a shard's whole range, which every shard knows


class KeySet(NamedTuple):
    """Keys of one shard, ascending; `keys` None: known by its id (key caching)."""

    id: int
    keys: np.ndarray | None = None


class Delta(NamedTuple):
    """A push: the sum of changes that a phase made to some keys of one shard.

    Attributes
    ----------
    keys : KeySet
    positions : ndarray of uint32, or None
        Which of the key set's keys, ascending; None: all of them.
    values : ndarray, shape (n, width)
        float16, or of the table's precision.
    rows : int
        Rows of the phase.
    eta : float
        Step size in the middle of the phase.
    constant : float
        In front of the curvature: the best of the worker's seven.
    curvature : ndarray of float32, shape (n, width), or None
        Effective curvature along each number as this worker sees it (a row-sum bound, already divided by the roots of
        AdaGrad's sums where there are any); the shard keeps the last it was told. Sent now and then.
    log_decay : float
        Logarithm of what an L2 penalty shrinks weights by over the phase's rows; the deltas are against the base
        shrunk by that much.
    shrink : float
        What an L1 penalty truncates over the phase's rows; deltas do not contain it.
    """

    keys: KeySet
    positions: np.ndarray | None
    values: np.ndarray
    rows: int
    eta: float
    constant: float
    curvature: np.ndarray | None = None
    log_decay: float = 0.0
    shrink: float = 0.0

    def ids(self) -> tuple[int, ...]:
        """Id of its key set, where it has to be known."""
        return () if self.keys.id == ALL else (self.keys.id,)

    def brief(self) -> Delta:
        """Return it with its key set by id alone."""
        return self._replace(keys=KeySet(self.keys.id))


class Request(NamedTuple):
    """A pull.

    Attributes
    ----------
    keys : KeySet
    since : int
        Version of this shard that the worker has of these keys; -1: none.
    half : bool
        Whether values may come as float16.
    """

    keys: KeySet
    since: int = -1
    half: bool = False

    def ids(self) -> tuple[int, ...]:
        """Id of its key set, where it has to be known."""
        return () if self.keys.id == ALL else (self.keys.id,)

    def brief(self) -> Request:
        """Return it with its key set by id alone."""
        return self._replace(keys=KeySet(self.keys.id))


class Values(NamedTuple):
    """The answer.

    Attributes
    ----------
    positions : ndarray of uint32, or None
        Which of the key set's keys have changed since the version asked for; None: all of them are here.
    values : ndarray, shape (n, width)
    version : int
        Of the shard: pushes applied.
    log_scale, owed : float
        Sums of `log_decay` and `shrink` over all pushes (each `shrink` shrunk by the decays of the pushes after it):
        what keys that are not here have changed by since follows from the sums that came with the version asked for
        (`sending.carry_over`).
    """

    positions: np.ndarray | None
    values: np.ndarray
    version: int
    log_scale: float
    owed: float
