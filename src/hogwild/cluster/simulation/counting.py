"""A store and a workload that hold no model: sums of known integers, so that every push can be accounted for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hogwild.cluster.protocol import Phase, PhaseResult, Prepare, Prepared


def worth(serial: int) -> tuple[int, int, int]:
    """Return what the push of that number adds to a shard: three sums by which lost and doubled pushes show."""
    return 1, serial, serial * serial % 1_000_003


class CountingPush(NamedTuple):
    """A push: its number, unique in the run, what it adds, and a key set by id, spelled or not."""

    serial: int
    values: tuple[int, ...]
    keys: int
    spelled: bool = True
    nbytes: int = 64

    def ids(self) -> tuple[int, ...]:
        """Id of its key set; 0 stands for all keys, which every shard knows."""
        return (self.keys,) if self.keys else ()

    def brief(self) -> CountingPush:
        """Return it without spelling its key set."""
        return self._replace(spelled=False)


class CountingPull(NamedTuple):
    """A pull of everything."""

    keys: int
    spelled: bool = True
    nbytes: int = 16

    def ids(self) -> tuple[int, ...]:
        """Id of its key set; 0 stands for all keys, which every shard knows."""
        return (self.keys,) if self.keys else ()

    def brief(self) -> CountingPull:
        """Return it without spelling its key set."""
        return self._replace(spelled=False)


class CountingValues(NamedTuple):
    """The answer: the sums at that moment."""

    sums: tuple[int, ...]
    nbytes: int = 64


class CountingStore:
    """A shard's sums, and the numbers of the pushes in them.

    Attributes
    ----------
    sums : list of int
    log : set of int
        Pushes that are in the sums.
    fresh : list of int
        Applied since the checker last looked.
    doubled : list of int
        Applied although they were in the sums.
    replaced : bool
        Everything has been restored since the checker last looked.
    """

    def __init__(self) -> None:
        self.sums = [0, 0, 0]
        self.log: set[int] = set()
        self.fresh: list[int] = []
        self.doubled: list[int] = []
        self.replaced = False
        self._known: set[int] = set()

    def missing(self, push: CountingPush | None, pull: CountingPull | None) -> tuple[int, ...]:
        """Ids of key sets that are not spelled and not known."""
        known, unknown = self._known, ()
        for payload in (push, pull):
            if payload is not None and payload.keys and payload.keys not in known:
                if payload.spelled:
                    known.add(payload.keys)
                elif payload.keys not in unknown:
                    unknown = (*unknown, payload.keys)
        return unknown

    def spelled(self, push: CountingPush) -> CountingPush:
        """Return it spelled."""
        return push._replace(spelled=True)

    def apply(self, push: CountingPush, active: int) -> None:
        """Add a push to the sums."""
        sums = self.sums
        one, two, three = push.values
        sums[0] += one
        sums[1] += two
        sums[2] += three
        (self.doubled if push.serial in self.log else self.fresh).append(push.serial)
        self.log.add(push.serial)

    def read(self, pull: CountingPull) -> CountingValues:
        """Return the sums."""
        return CountingValues(tuple(self.sums))

    def snapshot(self) -> dict[str, Any]:
        """Return sums and log."""
        return {"sums": np.array(self.sums, np.int64), "log": np.fromiter(self.log, np.int64, len(self.log))}

    def restore(self, state: dict[str, Any]) -> None:
        """Take them back."""
        self.sums, self.log = state["sums"].tolist(), set(state["log"].tolist())
        self.fresh, self.replaced = [], True
        self._known = set()


class CountingWorkload:
    """Sampled durations instead of kernels; every phase pushes `worth` of a new number to each shard.

    Parameters
    ----------
    shards : int
    serials : iterator of int
        Shared by all workers of a run.
    sets : int
        Key sets that are named by id once they are known; 0: none, all keys are exchanged.
    row_bytes : int
        Bytes that a row adds to a push.
    """

    def __init__(self, shards: int, serials: Any, sets: int = 3, row_bytes: int = 0) -> None:
        self._shards, self._serials, self._sets, self._row_bytes = shards, serials, sets, row_bytes

    def run(self, job: Prepare | Phase) -> Prepared | PhaseResult:
        """Pretend; the losses of rows fall as the row clock grows."""
        if type(job) is Prepare:
            return Prepared(self._pulls(job.parts))
        rows = sum([part.stop - part.start for part in job.parts])
        keys, size = self._keys(job.parts), 64 + rows * self._row_bytes
        pushes = []
        for _ in range(self._shards):
            serial = next(self._serials)
            pushes.append(CountingPush(serial, worth(serial), keys, True, size))
        pulls = self._pulls(job.following) if job.following else ()
        return PhaseResult(tuple(pushes), pulls, rows, float(rows), rows / (1 + job.rows * 1e-5), float("nan"))

    def _pulls(self, parts: tuple) -> tuple[CountingPull, ...]:
        return (CountingPull(self._keys(parts)),) * self._shards

    def _keys(self, parts: tuple) -> int:
        return 1 + parts[0].lease.chunk.number % self._sets if self._sets else 0
