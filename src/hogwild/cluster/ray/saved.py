"""Snapshots of shards and of the coordinator on their way to and from `Checkpoints`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hogwild.cluster.checkpoints import Checkpoints
from hogwild.cluster.protocol import Persist
from hogwild.cluster.settings import number_of


@dataclass(frozen=True)
class ShardSnapshots:
    """Snapshots of shards, filed under the shard: after a loss another of its nodes writes them.

    Parameters
    ----------
    checkpoints : Checkpoints
    number : int, optional
        The one that is read; default: the newest that is whole.
    """

    checkpoints: Checkpoints
    number: int | None = None

    def write(self, node: str, number: int, about: dict, arrays: dict) -> None:
        """Write one."""
        self.checkpoints.write(_name(number_of(node)), number, about, arrays)

    def __call__(self, node: str) -> tuple[dict, dict] | None:
        """Read what a node begins with; None for workers, and where nothing has been written."""
        if not node.startswith("shard/"):
            return None
        name = _name(number_of(node))
        if self.number is not None:
            return self.checkpoints.read(name, self.number)
        found = self.checkpoints.newest(name)
        return None if found is None else found[1:]


class JobRecords:
    """The coordinator's part of checkpoints, and what says that one is complete.

    Parameters
    ----------
    checkpoints : Checkpoints
    n_shards : int
    extra : dict
        What a job that goes on has to share with this one.
    """

    def __init__(self, checkpoints: Checkpoints, n_shards: int, extra: dict[str, Any]) -> None:
        self._checkpoints, self._extra = checkpoints, extra
        self._names = [_name(k) for k in range(n_shards)]
        self._begun: dict[int, dict] = {}

    def persist(self, effect: Persist) -> None:
        """Keep the coordinator's part; it is written once the shards' stand."""
        self._begun[effect.number] = effect.about

    def commit(self, number: int) -> None:
        """Record that a checkpoint is complete."""
        about = self._begun.pop(number)
        self._begun = {later: each for later, each in self._begun.items() if later > number}
        self._checkpoints.commit(number, {"coordinator": about, **self._extra}, self._names)


def _name(shard: int) -> str:
    return f"shard-{shard}"
