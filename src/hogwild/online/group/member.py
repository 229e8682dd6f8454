"""A server's part in a group: its machine on the event loop, with clocks, connections, log and figures.

`load` and `clear` change everybody's model by a round of their own: the new one gets that round's version, what any
server learnt before is gone, and the others fetch it. Where all servers load at once, as a proxy has it, the last one
stands: all have the same.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hogwild.cluster.mix.protocol import (
    COORDINATION,
    Deregister,
    Diff,
    GetDiff,
    GetModel,
    Group,
    Locked,
    MixEnded,
    MixNow,
    Model,
    Overtaken,
    PutDiff,
    Replace,
    RoundEnded,
    Standing,
    Updated,
)
from hogwild.cluster.mix.round import DEADLINE
from hogwild.cluster.mix.server import MixServer
from hogwild.cluster.mix.settings import MixSettings
from hogwild.cluster.protocol import Effect, Finished, Recv, Send, SetTimer, Started, Stop, Timer, Told
from hogwild.online.group.beginning import first_lineage, identity
from hogwild.online.group.coordination import Answer, Coordination
from hogwild.online.group.figures import MixFigures
from hogwild.online.group.links import METHOD, Inbox, Post
from hogwild.online.group.logged import MIX, LoggedLineage, Record, Replay
from hogwild.online.group.packing import pack
from hogwild.online.group.settings import LinkSettings
from hogwild.online.service.journal import pack_record
from hogwild.online.service.service import StoppingError

if TYPE_CHECKING:
    from hogwild.cluster.mix.gossip import GossipServer
    from hogwild.online.service.rpc import RpcServer
    from hogwild.online.service.service import Service

LINEAR = "linear_mixer"
_GOSSIPING = "hogwild.online.group.gossiping"
_QUEUE = 1024  # events that wait; messages of other servers are dropped above it
_FOREIGN = ("get_diff", "put_diff", "get_model")
_log = logging.getLogger(__name__)


class GroupError(RuntimeError):
    """The group did not do what was asked; the message is for the client."""


async def join_group(
    service: Service,
    rpc_server: RpcServer,
    coordination: Coordination,
    settings: MixSettings | None = None,
    links: LinkSettings | None = None,
    mixer: str = LINEAR,
) -> Member:
    """Make a server a member of its group.

    To be called before the learner is loaded, whose log tells what this server was; the member waits for it.

    Parameters
    ----------
    service : Service
    rpc_server : RpcServer
        Other servers reach this one there, by the name `Service.node`.
    coordination : Coordination
    settings : MixSettings, optional
    links : LinkSettings, optional
    mixer : str
        In rounds (``"linear_mixer"``), or one of `gossiping.MIXERS`.

    Raises
    ------
    CoordinationError
        The group cannot be joined.
    """
    links = links or LinkSettings()
    given = service, coordination, settings or MixSettings(), links, min(links.chunk, rpc_server.limits.message // 2)
    member = Member(*given) if mixer == LINEAR else import_module(_GOSSIPING).GossipMember(*given, mixer)
    await member.join()
    return member


class Member:
    """See `join_group`.

    Attributes
    ----------
    figures : MixFigures
    """

    _changing: tuple[type, ...] = (GetDiff, PutDiff, Model, Diff, Locked)  # a model may be cut or changed on these
    _mixer = LINEAR

    def __init__(
        self, service: Service, coordination: Coordination, settings: MixSettings, links: LinkSettings, chunk: int
    ) -> None:
        self.figures = MixFigures()
        self._service, self._coordination, self._settings = service, coordination, settings
        self._node, self._incarnation = service.node, secrets.randbits(48)
        group = identity(service, self._mixer)
        self._post = Post(self._node, group, links, self.figures, chunk)
        self._inbox = Inbox(group, links, self.figures)
        self._replay = Replay(self._note)
        self._machine: MixServer | GossipServer | None = None
        self._events: asyncio.Queue[tuple[Any, object]] = asyncio.Queue()
        self._timers: dict[str, tuple[object, asyncio.TimerHandle]] = {}
        self._tickets = 0
        self._waiting: dict[int, asyncio.Future[bool]] = {}
        self._round, self._locked = 0, 0.0  # the last one led, and since when
        self._task: asyncio.Task[None] | None = None
        self._gone = False

    async def join(self) -> None:
        """Begin."""
        service = self._service
        service.group = self
        service.replace = self.replace
        service.replays[MIX] = self._replay.take
        service.on_updates.append(self._learnt)
        service.on_snapshot.append(self._keep)
        service.status_sources.append(lambda: self.figures.status(self._machine.pending if self._machine else 0))
        service.extra[METHOD] = self._heard
        service.extra["do_mix"] = self._do_mix
        service.extra |= dict.fromkeys(_FOREIGN, self._refuse_original)
        self._task = asyncio.get_running_loop().create_task(self._run())
        await self._coordination.start(self._told)

    async def leave(self, seconds: float = 15.0) -> None:
        """Hand over what is not mixed yet, if the others take it within so many seconds, and leave the group."""
        if self._task is not None and not self._task.done():
            if self._machine is None:
                self._task.cancel()
            else:
                self._put(Stop())
            await asyncio.wait([self._task], timeout=seconds)
            self._task.cancel()
        self._end()
        await self._post.close()
        await self._coordination.close()

    async def mix(self) -> bool:
        """Return when everything that was learnt here up to now is mixed, or false where that did not come about."""
        return await self._wanted(MixNow)

    async def replace(self, change: Callable[[], None]) -> None:
        """Put another model in everybody's place: `change` makes it that of this server, when its turn has come.

        Raises
        ------
        GroupError
            It has not come.
        Exception
            What `change` raised; nothing has changed then.
        """
        failed: list[Exception] = []

        def run() -> bool:
            try:
                change()
            except Exception as error:
                failed.append(error)
            return not failed

        done = await self._wanted(lambda ticket: Replace(ticket, run))
        if failed:
            raise failed[0]
        if not done:
            raise GroupError("the group's lock could not be had: the model is the same as before")
        self.figures.replaced += 1

    # ------------------------------------------------------------------------------------------------- events

    async def _run(self) -> None:
        try:
            await self._service.exclusive(self._begin)
            self._put(Started())
            while not self._gone:
                event, token = await self._events.get()
                if not isinstance(event, Timer) or self._timers.get(event.name, (None,))[0] is token:
                    await self._take(event)
        except StoppingError:
            pass
        except Exception as error:
            self._break(error)

    def _begin(self) -> None:
        """Find out what there is to begin with; the learner has just been loaded."""
        lineage = first_lineage(self._service, self._replay, f"{self._node}#{self._incarnation}", self._note)
        model = self._service.driver.parts
        self._machine = MixServer(self._node, self._incarnation, self._settings, model, lineage=lineage)

    async def _take(self, event: Any) -> None:
        changes = event.message if isinstance(event, Recv) else None
        try:
            if isinstance(changes, self._changing) or event == Timer(DEADLINE):
                effects = await self._service.exclusive(lambda: self._step(event))
            else:
                effects = self._step(event)
        except StoppingError:
            raise
        except Exception as error:
            effects = self._failed(event, error)
        self._carry(effects)

    def _step(self, event: Any) -> list[Effect]:
        if isinstance(event, Recv) and isinstance(event.message, Locked):
            self._round, self._locked = event.message.round, asyncio.get_running_loop().time()
        effects = self._machine.handle(asyncio.get_running_loop().time(), event)
        self.figures.version, self.figures.active = self._machine.version, self._machine.active
        return effects

    def _failed(self, event: Any, error: Exception) -> list[Effect]:
        """Go on where that is sound: a fold that failed ends its round, a model that is torn ends the membership."""
        self.figures.faults += 1
        what = type(event.message if isinstance(event, Recv) else event).__name__
        _log.error("%s could not be handled: %s", what, error, exc_info=error)
        journal = self._service.journal
        if self._is_torn() or (journal is not None and journal.failure is not None):
            self._break(error)
            return []
        if self._machine.leads:
            return self._step(Recv(self._node, Overtaken(self._round + 1)))
        return []

    def _is_torn(self) -> bool:
        lineage = getattr(self._machine, "lineage", None)
        return lineage is not None and lineage.torn

    def _break(self, error: Exception) -> None:
        """Leave the group as one that has died: the others go on, and this server's model is its own."""
        self.figures.fault = f"{type(error).__name__}: {error}"
        if self._machine is not None:  # else the learner could not be loaded, of which the service tells
            _log.critical("this server has left its group and has to be started anew: %s", self.figures.fault)
            self._coordination.send(Deregister(self._node))
        self._end()

    def _end(self) -> None:
        self._gone, self.figures.active = True, False
        self._service.replace = None
        for _, handle in self._timers.values():
            handle.cancel()
        for future in self._waiting.values():
            if not future.done():
                future.set_result(False)

    # ------------------------------------------------------------------------------------------------- effects

    def _carry(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send) and effect.to == COORDINATION:
                self._coordination.send(effect.message)
            elif isinstance(effect, Send):
                if not (isinstance(effect.message, GetModel) and self._inbox.receiving):  # perhaps that is the model
                    self._post.send(effect.to, effect.message)
            elif isinstance(effect, SetTimer):
                self._set_timer(effect)
            elif isinstance(effect, Told):
                self._tell(effect.what)
            elif isinstance(effect, Finished):
                self._gone = True

    def _set_timer(self, effect: SetTimer) -> None:
        if effect.name in self._timers:
            self._timers.pop(effect.name)[1].cancel()
        if effect.delay is not None:
            token = object()
            later = asyncio.get_running_loop().call_later
            self._timers[effect.name] = token, later(effect.delay, self._put, Timer(effect.name), token)

    def _tell(self, what: Any) -> None:
        if isinstance(what, MixEnded):
            future = self._waiting.pop(what.ticket, None)
            if future is not None and not future.done():
                future.set_result(what.done)
        elif isinstance(what, RoundEnded):
            self.figures.round(what, asyncio.get_running_loop().time() - self._locked)
            if what.missed and what.base is not None:
                _log.warning("round %d was missed by %s", what.round, ", ".join(what.missed))
        elif isinstance(what, Standing):
            _log.info("%s with version %d", "active" if what.active else "obsolete", what.version)

    def _put(self, event: Any, token: object = None) -> None:
        self._events.put_nowait((event, token))

    # ------------------------------------------------------------------------------------------------- who calls

    def _told(self, message: Answer) -> None:
        if isinstance(message, Group):
            self.figures.members, self.figures.actives = message.members, message.actives
            self._post.keep(message.members)
        self._put(Recv(COORDINATION, message))

    async def _heard(self, arguments: Sequence[Any]) -> bool:
        received = self._inbox.take(arguments)
        if received is not None and self._machine is not None and not self._gone:
            if self._events.qsize() < _QUEUE:
                self._put(Recv(*received))
            else:
                self.figures.dropped += 1
        return True

    def _learnt(self, count: int) -> None:
        if self._machine is not None and not self._gone:
            self._carry(self._machine.handle(asyncio.get_running_loop().time(), Updated(count)))

    async def _do_mix(self, _: Sequence[Any]) -> bool:
        return await self.mix()

    async def _refuse_original(self, _: Sequence[Any]) -> Any:
        raise GroupError(
            "this server mixes with hogwild servers only: original Jubatus servers cannot be in its group "
            f"(they call get_diff, put_diff and get_model, hogwild's {METHOD})"
        )

    async def _wanted(self, event: Callable[[int], Any]) -> bool:
        if self._gone:
            raise GroupError(f"this server is in no group any more {self.figures.fault}".rstrip())
        self._tickets += 1
        ticket = self._tickets
        self._waiting[ticket] = asyncio.get_running_loop().create_future()
        self._put(event(ticket))
        return await self._waiting[ticket]

    # ------------------------------------------------------------------------------------------------- log

    def _note(self, record: Record) -> None:
        if isinstance(record, PutDiff):
            self.figures.mix()
        elif isinstance(record, Model):
            self.figures.fetch()
        if self._service.journal is not None:
            self._service.append(pack_record((MIX, pack(record))))

    def _keep(self) -> None:
        lineage = getattr(self._machine, "lineage", None)
        if isinstance(lineage, LoggedLineage):
            lineage.keep()
