"""Where workers and shards run: which of Ray's nodes, with how many threads; and whether those nodes see the data."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hogwild.cluster.settings import number_of


class Place(NamedTuple):
    """One of Ray's nodes."""

    id: str
    address: str
    cores: int


def alive() -> list[Place]:
    """Nodes of the cluster that have cores for tasks, most cores first; a head node without any takes no work."""
    found = [
        Place(node["NodeID"], node["NodeManagerAddress"], int(node["Resources"].get("CPU", 0)))
        for node in ray.nodes()
        if node["Alive"]
    ]
    return sorted((place for place in found if place.cores), key=lambda place: (-place.cores, place.id))


class Places:
    """Chooses a node for every worker and shard, also for those that take the place of lost ones.

    Parameters
    ----------
    workers : int, optional
        Default: one a node, with all its cores. More than there are nodes: they share the cores.
    threads : int, optional
        Of a worker; default: its share of the cores of its node.

    Attributes
    ----------
    slots : dict of str to int
        Workers that a node is meant for, by the node's id.
    """

    def __init__(self, workers: int | None = None, threads: int | None = None) -> None:
        self.elastic, self._threads = workers is None, threads
        self.slots: dict[str, int] = {}
        self._cores: dict[str, int] = {}
        self._at: dict[str, str] = {}  # where each worker and shard is
        self._reserved: dict[str, int] = {}  # cores that Ray keeps for a worker
        places = self._look()
        if not places:
            raise RuntimeError("found a Ray cluster without any cores for tasks, expected at least one")
        self.workers = len(places) if workers is None else workers
        for number in range(self.workers):
            self._widen(places[number % len(places)])

    def _look(self) -> list[Place]:
        places = alive()
        self._cores |= {place.id: place.cores for place in places}
        return places

    def _widen(self, place: Place) -> None:
        self.slots[place.id] = self.slots.get(place.id, 0) + 1

    @property
    def threads(self) -> int:
        """Of all workers together, as planned."""
        share = {id: self._threads or max(1, self._cores[id] // count) for id, count in self.slots.items()}
        return sum(share[id] * count for id, count in self.slots.items())

    def add(self) -> None:
        """Make room for one more worker, where it has the most cores to itself."""
        self.workers += 1
        self._widen(max(self._look(), key=lambda place: place.cores / (self.slots.get(place.id, 0) + 1)))

    def grow(self) -> int:
        """Take in nodes that have joined the cluster; returns how many more workers there can be now."""
        known, places = set(self.slots), self._look()
        standing = {place.id for place in places}
        missing = self.workers - sum(count for id, count in self.slots.items() if id in standing)
        new = [place for place in places if place.id not in known]
        if not self.elastic:
            new = new[: max(0, missing)]
        for place in new:
            self._widen(place)
        return len(new)

    def choose(self, node: str) -> tuple[str, int, int] | None:
        """Return id of a node, threads, and cores to reserve there; None for a worker if there is no room at present.

        A worker that comes to a node whose cores are taken shares them: it would wait for ever to have some reserved.
        """
        places = self._look()
        others = Counter(
            at for other, at in self._at.items() if other != node and other.startswith(node.partition("/")[0])
        )
        if node.startswith("worker/"):
            free = [place for place in places if others[place.id] < self.slots.get(place.id, 0)]
            same = [place for place in free if place.id == self._at.get(node)]
            place = next(iter(same or free), None)
        else:
            twins = {at for other, at in self._at.items() if other != node and _is_shard(other, number_of(node))}
            place = min(places, key=lambda place: (place.id in twins, others[place.id]), default=None)
        if place is None:
            self._at.pop(node, None)
            return None
        self._at[node] = place.id
        if node.startswith("shard/"):
            return place.id, 1, 0
        threads = self._threads or max(1, place.cores // max(1, self.slots[place.id]))
        self._reserved.pop(node, None)
        taken = sum(cores for other, cores in self._reserved.items() if self._at.get(other) == place.id)
        if taken + threads <= place.cores:
            self._reserved[node] = threads
        return place.id, threads, self._reserved.get(node, 0)

    def where(self, node: str) -> str | None:
        """Id of the node where a worker or shard is."""
        return self._at.get(node)


def _is_shard(node: str, number: int) -> bool:
    return node.startswith("shard/") and number_of(node) == number


def on(node_id: str) -> NodeAffinitySchedulingStrategy:
    """Run there and nowhere else."""
    return NodeAffinitySchedulingStrategy(node_id, soft=False)


def here() -> NodeAffinitySchedulingStrategy:
    """Run on the driver's own node."""
    return on(ray.get_runtime_context().get_node_id())


@ray.remote(num_cpus=0, max_retries=0)
def _sizes(paths: list[str]) -> list[int]:
    return sizes(paths)


def sizes(paths: Iterable[str]) -> list[int]:
    """Bytes of each file, 0 of a folder, -1 where there is nothing."""
    found = []
    for path in paths:
        try:
            found.append(0 if os.path.isdir(path) else os.stat(path).st_size)
        except OSError:
            found.append(-1)
    return found


def check_paths(paths: list[str], places: list[Place] | None = None, seconds: float = 60.0) -> None:
    """Check that every node sees the same files as the driver.

    Raises
    ------
    FileNotFoundError
        Naming node and path.
    ValueError
        If a file has another size there.
    """
    expected = sizes(paths)
    for path, size in zip(paths, expected, strict=True):
        if size < 0:
            raise FileNotFoundError(2, "no such file or folder", path)
    places = alive() if places is None else places
    asked: dict[Any, Place] = {
        _sizes.options(scheduling_strategy=on(place.id)).remote(paths): place for place in places
    }
    done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=seconds) if asked else ([], [])
    for answer, place in asked.items():
        if answer not in done:
            raise TimeoutError(f"node {place.address} did not say within {seconds:g} s whether it sees the data")
        for path, size, there in zip(paths, expected, ray.get(answer), strict=True):
            if there < 0:
                raise FileNotFoundError(
                    f"node {place.address} ({place.id[:8]}) does not see {path}: expected a folder that all nodes "
                    "share, or a URL"
                )
            if there != size:
                raise ValueError(
                    f"node {place.address} ({place.id[:8]}) sees {there:,} bytes at {path}, the driver {size:,}: "
                    "expected the same file"
                )
