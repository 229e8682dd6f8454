"""Which servers a call goes to, and what becomes of their answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from hogwild.online.methods import Joining, Method, methods_of
from hogwild.online.proxy.links import Links, UnreachedError
from hogwild.online.proxy.members import Group, Members
from hogwild.online.service.client import RpcError
from hogwild.online.service.service import UnknownMethodError
from hogwild.online.wire import TEXT, WrongTypeError


class Router:
    """Sends calls where the table of methods says.

    A question is asked again elsewhere when a server is gone. A call that changes something is sent to another server
    only where the first was not even reached: it may have been carried out otherwise, and the client is told so.

    Parameters
    ----------
    kind : str
        Type of servers.
    members : Members
    links : Links
    """

    def __init__(self, kind: str, members: Members, links: Links) -> None:
        self.methods = methods_of(kind)
        self._members, self._links = members, links

    async def call(self, name: str, params: Sequence[Any]) -> Any:
        """Answer a call, whose first parameter is the group's name.

        Raises
        ------
        UnknownMethodError, WrongTypeError
            There is no such call, or the group's name or the key is missing.
        NoServerError
            The group has no active server.
        RpcError
            A server refused it.
        OSError
            No server was reached, or one was lost.
        """
        method = self.methods.get(name)
        if method is None:
            raise UnknownMethodError(name)
        if not params:
            raise WrongTypeError("expected the group's name, and arguments; found nothing")
        group = await self._members.group(TEXT.read(params[0]))
        return await _ROUTES[method.routing](self, group, name, method, params)

    async def _random(self, group: Group, name: str, method: Method, params: Sequence[Any]) -> Any:
        """Ask one, those last that were not reached just now."""
        nodes = sorted(random.sample(group.nodes, len(group.nodes)), key=self._links.avoided)
        return await self._first(nodes, name, method, params)

    async def _broadcast(self, group: Group, name: str, method: Method, params: Sequence[Any]) -> Any:
        """Ask all; who does not answer is left out of the status only."""
        answers = await self._all(group.nodes, name, params)
        if name == "get_status" and any(not isinstance(one, BaseException) for one in answers):
            answers = [one for one in answers if not isinstance(one, OSError)]
        for one in answers:
            if isinstance(one, BaseException):
                raise one
        return _JOINED[method.joining](answers)

    async def _hash(self, group: Group, name: str, method: Method, params: Sequence[Any]) -> Any:
        """Ask the first server that the key falls to; change it on as many as there are copies."""
        if len(params) < 2:
            raise WrongTypeError("argument 1: expected string, found nothing")
        nodes = group.ring.servers(TEXT.read(params[1]))
        if not method.changes:
            return await self._first(nodes, name, method, params)
        unreached: BaseException | None = None
        while nodes:
            answers = await self._all(nodes[: method.copies], name, params)
            nodes = nodes[method.copies :]
            unreached = next((one for one in answers if isinstance(one, UnreachedError)), unreached)
            answers = [one for one in answers if not isinstance(one, UnreachedError)]
            done = [one for one in answers if not isinstance(one, BaseException)]
            for one in answers:
                if isinstance(one, RpcError) or (isinstance(one, BaseException) and not done):
                    raise one
            if done:  # what one server knows, mixing tells the others
                return _JOINED[method.joining](done)
        raise unreached

    async def _first(self, nodes: Sequence[str], name: str, method: Method, params: Sequence[Any]) -> Any:
        """Ask one after the other until one answers; a question the first one once more, if it has been lost."""
        for node in nodes if method.changes else [*nodes, nodes[0]]:
            try:
                return await self._links.call(node, name, params)
            except UnreachedError as error:
                failure = error
            except TimeoutError:
                raise
            except OSError as error:
                if method.changes:
                    raise
                failure = error
        raise failure

    async def _all(self, nodes: Sequence[str], name: str, params: Sequence[Any]) -> list[Any]:
        """Ask them at the same time; errors are returned."""
        return await asyncio.gather(*(self._links.call(node, name, params) for node in nodes), return_exceptions=True)


_ROUTES = {"random": Router._random, "broadcast": Router._broadcast, "hash": Router._hash}
_JOINED: dict[Joining, Callable[[list[Any]], Any]] = {
    "pass": lambda answers: answers[0],
    "all": all,
    "any": any,
    "merge": lambda answers: {key: value for answer in answers for key, value in answer.items()},
}
