"""Shards of a public parameter server as actors of Ray."""

from __future__ import annotations

import contextlib
import time
from typing import Any, NamedTuple

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError

from hogwild.cluster.ray.local import connected
from hogwild.cluster.served import ServedShard
from hogwild.cluster.served_tables import ShardLostError

_PATIENCE = 60.0  # seconds for which a shard may be out of reach
_PAUSE = 0.5


@ray.remote(num_cpus=0, max_restarts=0)
class ShardActor:
    """A `ServedShard`; calls of all clients follow each other."""

    def __init__(self, *arguments: Any) -> None:
        self._shard = ServedShard(*arguments)

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the shard."""
        return getattr(self._shard, method)(*arguments)


class Call(NamedTuple):
    """A call under way, with what it takes to repeat it."""

    answer: Any
    shard: int
    method: str
    arguments: tuple


class ActorTransport:
    """Calls to actors; picklable, as their handles are."""

    def __init__(self, actors: list[Any]) -> None:
        self._actors = actors

    @classmethod
    def start(cls, arguments: list[tuple]) -> ActorTransport:
        """Start an actor for each shard, spread over the nodes."""
        return cls([ShardActor.options(scheduling_strategy="SPREAD").remote(*one) for one in arguments])

    def submit(self, shard: int, method: str, *arguments: Any) -> Call:
        """Begin a call."""
        return Call(self._actors[shard].call.remote(method, *arguments), shard, method, arguments)

    def results(self, calls: list[Call]) -> list[Any]:
        """Wait for calls; one that may have been lost on its way is repeated: pushes are applied once."""
        return [self._result(call) for call in calls]

    def _result(self, call: Call) -> Any:
        ends = time.monotonic() + _PATIENCE
        while True:
            try:
                return ray.get(call.answer)
            except RayTaskError as error:
                cause = getattr(error, "cause", None)
                raise (cause if isinstance(cause, Exception) else error) from None
            except ActorUnavailableError as error:
                if time.monotonic() > ends:
                    raise self._lost(call, error) from None
                time.sleep(_PAUSE)
                call = self.submit(call.shard, call.method, *call.arguments)
            except RayActorError as error:
                raise self._lost(call, error) from None

    def _lost(self, call: Call, error: Exception) -> ShardLostError:
        why = " ".join(str(error).split())[:300]
        return ShardLostError(
            f"shard {call.shard} of the parameter server is lost: {why}. ParameterServer.restore(place) starts one "
            "from its newest checkpoint"
        )

    def close(self) -> None:
        """End the actors."""
        for actor in self._actors:
            with contextlib.suppress(RayError):
                ray.kill(actor)


__all__ = ["ActorTransport", "connected"]
