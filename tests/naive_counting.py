"""A store and payloads that only count, for tests of the machines."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple


class Add(NamedTuple):
    """A push of one number, or a pull; `keys` names a key set, `spelled` says whether it is written out."""

    number: int = 0
    keys: int = 0
    spelled: bool = True

    def ids(self):
        return (self.keys,) if self.keys else ()

    def brief(self):
        return self._replace(spelled=False)


class CountingStore:
    def __init__(self):
        self.applied, self.known, self.factors = Counter(), set(), []

    def missing(self, push, pull):
        named = [payload for payload in (push, pull) if payload is not None and payload.keys]
        self.known.update(payload.keys for payload in named if payload.spelled)
        return tuple(payload.keys for payload in named if payload.keys not in self.known)

    def spelled(self, push):
        return push._replace(spelled=True)

    def apply(self, push, active):
        self.applied[push.number] += 1
        self.factors.append(active)

    def read(self, pull):
        return dict(self.applied)

    def snapshot(self):
        return {"applied": dict(self.applied)}

    def restore(self, state):
        self.applied = Counter(state["applied"])
