"""Learners and logs that tests put behind a service."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any

from hogwild.online.service.client import RpcClient
from hogwild.online.service.rpc import RpcServer
from hogwild.online.service.service import Service
from hogwild.online.state import Parts


class Counting:
    """Counts labels; remembers what it was given, in the order in which it was given that."""

    def __init__(self) -> None:
        self.parts = Parts({})
        self.labels: dict[str, int] = {}
        self.runs: list[tuple[str, Any]] = []

    def run(self, method: str, arguments: list[Any]) -> Any:
        self.runs.append((method, arguments))
        if method == "train":
            (examples,) = arguments
            if any(label == "bad" for label, _ in examples):
                raise ValueError("a bad label")
            for label, _ in examples:
                self.labels[label] = self.labels.get(label, 0) + 1
            return len(examples)
        if method == "classify":
            (data,) = arguments
            if any("bad" in datum.strings.keys for datum in data):
                raise ValueError("a bad datum")
            return [[(label, float(count)) for label, count in self.labels.items()] for _ in data]
        if method == "get_labels":
            return dict(self.labels)
        if method == "set_label":
            return self.labels.setdefault(arguments[0], 0) == 0
        raise ValueError(f"no {method} here")

    def status(self) -> dict[str, str]:
        return {"labels": str(len(self.labels))}


class Noting:
    """A log in memory, durable when `durable` says so."""

    def __init__(self) -> None:
        self.failure: OSError | None = None
        self.records: list[bytes] = []
        self.committed = 0
        self.commits = 0
        self.closed = False
        self.durable = asyncio.Event()
        self.durable.set()

    def replay(self, load):
        yield from list(self.records)

    def append(self, record: bytes) -> None:
        self.records.append(record)

    async def commit(self) -> None:
        self.commits += 1
        there = len(self.records)
        await self.durable.wait()
        if self.failure is not None:
            raise self.failure
        self.committed = there

    def cut(self) -> int:
        return len(self.records)

    async def snapshot(self, cut, save) -> None:
        return

    async def close(self) -> None:
        self.closed = True


def counting_service(**more: Any) -> tuple[Service, Counting]:
    """Return a classifier whose learner is there at once."""
    service, learner = Service("classifier", "{}", **more), Counting()
    service.driver = learner
    service.loaded.set()
    return service, learner


@asynccontextmanager
async def served(service, **more):
    """Serve, and give a client."""
    rpc = RpcServer(service, **more)
    service.address = ("127.0.0.1", await rpc.start())
    try:
        async with RpcClient("127.0.0.1", rpc.port) as client:
            yield rpc, client
    finally:
        await rpc.close()


async def until(condition, seconds: float = 20.0) -> None:
    """Return when a condition holds, or fail."""
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it never came"
        await asyncio.sleep(0.001)


def datum(**strings: str) -> tuple[Any, ...]:
    """Return a datum as it travels."""
    return (tuple(strings.items()), (), ())
