"""A service with a small learner, and clients of it on its own loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from types import SimpleNamespace

import httpx
import pytest

from hogwild.online.group.figures import MixFigures
from hogwild.online.http.app import make_app
from hogwild.online.service.service import Service


class Counting:
    """A classifier that scores each label by how often it came, and a regression that estimates the mean."""

    def __init__(self):
        self.labels = Counter()
        self.targets = []

    def run(self, method, arguments):
        if method == "train":
            if any(math_is_nan(datum) for _, datum in arguments[0]):
                raise ValueError("NaN is no number to learn")
            for label, _ in arguments[0]:
                self.labels[label] += 1
                self.targets.append(label)
            return len(arguments[0])
        if method == "classify":
            return [[(label, float(count)) for label, count in self.labels.items()] for _ in arguments[0]]
        if method == "estimate":
            mean = sum(self.targets) / len(self.targets) if self.targets else 0.0
            return [mean for _ in arguments[0]]
        if method == "get_labels":
            return dict(self.labels)
        if method == "set_label":
            raise RuntimeError("a defect")
        raise KeyError(f"no label {arguments[0]!r}")

    def status(self):
        return {"labels": str(len(self.labels)), "method": "counting"}


def math_is_nan(datum):
    return any(value != value for value in datum.numbers.values)


def serve(kind="classifier", learner=None, **kwargs):
    """Return a service whose learner is there."""
    service = Service(kind, '{"method": "counting"}', **kwargs)
    service.driver = learner or Counting()
    service.loaded.set()
    return service


def group(members=("a_1",), actives=None, **figures):
    """Return what a service has of its group."""
    known = {"version": 3, "active": True, "mixed": 1e9, "rounds": 2, "failed": 1, **figures}
    actives = dict.fromkeys(members, 3) if actives is None else actives
    return SimpleNamespace(figures=MixFigures(members=tuple(members), actives=actives, **known))


@pytest.fixture(name="serve")
def _serve():
    return serve


@pytest.fixture(name="group")
def _group():
    return group


@asynccontextmanager
async def calling(service, settings=None, history=None):
    transport = httpx.ASGITransport(make_app(service, settings, history), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        yield client


@pytest.fixture
def ask():
    """Ask a service in one request, on a loop of its own."""

    def once(service, method, path, settings=None, **kwargs):
        async def go():
            async with calling(service, settings) as client:
                return await client.request(method, path, **kwargs)

        return asyncio.run(go())

    return once


@pytest.fixture(name="calling")
def _calling():
    return calling
