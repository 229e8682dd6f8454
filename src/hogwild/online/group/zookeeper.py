"""ZooKeeper as the coordination service of a MIX group: what `MixCoordination` does, in nodes, sessions and versions.

A member is an ephemeral node, and so is an active server, and the lock's holder. The number of the last round and the
floor are a node that stays: who takes the lock raises the number in the same transaction, by compare-and-set, so a
number is given once, and a former holder whose session has ended cannot move either.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from kazoo.exceptions import BadVersionError, NodeExistsError, NoNodeError
from kazoo.protocol.states import ZnodeStat

from hogwild.cluster.mix import protocol as say
from hogwild.online.group.coordination import Answer, CoordinationError, Request
from hogwild.online.group.packing import PROTOCOL
from hogwild.online.group.zookeeper_admission import Admission
from hogwild.online.group.zookeeper_client import GONE, ZooKeeperClient
from hogwild.online.group.zookeeper_configuration import read_configuration
from hogwild.online.group.zookeeper_entries import (
    Active,
    Holder,
    Member,
    Progress,
    read_entry,
    this_machine,
    written,
)
from hogwild.online.group.zookeeper_paths import GroupPaths, places

__all__ = ["ZooKeeperCoordination", "read_configuration"]

CONFLICTS = (BadVersionError, NodeExistsError, NoNodeError)  # somebody was faster: look again
_LASTS = 0.1  # seconds until a call is tried again whose connection has gone

_log = logging.getLogger(__name__)


class ZooKeeperCoordination:
    """One server's link to its group in ZooKeeper (see `Coordination`).

    All requests and looks at the group are carried out one after the other by one task; each can be begun anew, so one
    that a lost connection leaves open is. A connection that is back within the session's timeout (or later, if the
    service itself was away) changes nothing for the server; a session that has ended is told, once.

    Parameters
    ----------
    hosts : str
        ``"host:2181,..."``.
    kind, name : str
        The group's type of server, and its name.
    node : str
        This server, as in ``"127.0.0.1_9199"``.
    timeout : float
        Seconds after which the service takes a silent server's session for ended.
    patience : float
        Seconds that `start` waits for the service, and for the end of a session under this server's name on another
        machine.

    Attributes
    ----------
    trouble : str or None
        What keeps this server out of its group, or another program's server in it.
    """

    def __init__(
        self, hosts: str, kind: str, name: str, node: str, *, timeout: float = 10.0, patience: float = 15.0
    ) -> None:
        self._hosts, self._node = hosts, node
        self._timeout, self._patience = timeout, patience
        self._paths = paths = GroupPaths.of(kind, name)
        self._member, self._active = f"{paths.members}/{node}", f"{paths.actives}/{node}"
        self._ring = [f"{paths.ring}/{place}" for place in places(node)]
        self._machine = this_machine()
        self._admission = Admission(hosts, f"{kind} {name!r}", paths, node, self._machine)
        self._tell: Callable[[Answer], None] = lambda answer: None
        self._client: ZooKeeperClient
        self._worker: asyncio.Task[None] | None = None
        self._queue: deque[Request] = deque()
        self._wake, self._idle = asyncio.Event(), asyncio.Event()
        self._registered = False
        self._struck = 0  # what the machine has been told
        self._stale: set[str] = set()  # folders and nodes that are to be looked at again
        self._entries: dict[str, Member | None] = {}
        self._actives: dict[str, int] = {}
        self._floor = 0
        self._told: say.Group | None = None
        self.trouble: str | None = None

    @property
    def connected(self) -> bool:
        """Whether ZooKeeper is reached."""
        return self._client.connected

    # ------------------------------------------------------------------------------------------- the adapter

    async def start(self, tell: Callable[[Answer], None]) -> None:
        """See `Coordination`."""
        self._tell = tell
        self._client = ZooKeeperClient(self._hosts, self._timeout, self._session_ended, self._noticed)
        self._client.open()
        try:
            refusal = await self._refusal_for_good()
        except BaseException:
            await self._client.close()
            raise
        if refusal is not None:
            await self._client.close()
            raise CoordinationError(refusal)
        self._worker = asyncio.create_task(self._work())

    def send(self, message: Request) -> None:
        """See `Coordination`."""
        waiting = self._queue if isinstance(message, (say.Register, say.TryLock)) else [*self._queue][-1:]
        if any(type(one) is type(message) and one == message for one in waiting):  # asked again while nobody answered
            return
        self._queue.append(message)
        self._go()

    async def close(self) -> None:
        """See `Coordination`."""
        if self._worker is None:
            return
        if self._client.connected:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), self._timeout)
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        self._worker = None
        await self._client.close()

    # ------------------------------------------------------------------------------------------- one after the other

    def _go(self) -> None:
        self._idle.clear()
        self._wake.set()

    async def _work(self) -> None:
        while True:
            if not self._queue and not (self._stale and self._registered):
                self._idle.set()
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._client.wait()
            try:
                if self._stale and self._registered:
                    await self._look()
                if self._queue:
                    message = self._queue[0]
                    if self._registered or isinstance(message, say.Register):
                        await _CARRIED[type(message)](self, message)
                    self._queue.popleft()
            except GONE:
                await asyncio.sleep(_LASTS)
            except Exception as error:  # whatever it is, it may pass; without this task the server would be alone
                self._note(f"ZooKeeper at {self._hosts}: {type(error).__name__} {error}".rstrip())
                await asyncio.sleep(_LASTS)

    def _noticed(self, path: str | None) -> None:
        if path is None:
            self._stale |= {*self._watched()}
        else:
            self._stale.add(path)
        self._go()

    def _watched(self) -> tuple[str, str, str, str]:
        return self._member, self._paths.members, self._paths.actives, self._paths.progress

    def _session_ended(self) -> None:
        """Drop what was sent in the session, and whatever is under way."""
        if self._worker is None:
            return
        self._worker.cancel()
        self._queue.clear()
        self._worker = asyncio.create_task(self._work())
        self._end()

    def _end(self) -> None:
        if self._registered:
            self._registered, self._told = False, None
            self._tell(say.SessionLost())

    def _note(self, trouble: str | None) -> None:
        """Log what is wrong, once."""
        if trouble != self.trouble and trouble is not None:
            _log.warning("%s", trouble)
        self.trouble = trouble

    # ------------------------------------------------------------------------------------------- looking

    async def _look(self) -> None:
        """Read what has changed; tell it."""
        stale, self._stale = self._stale, set()
        try:
            await self._read(stale)
        except BaseException:
            self._stale |= stale
            raise
        if not self._registered:
            return
        group = self._view()
        if group != self._told:
            self._told = group
            self._tell(group)

    async def _read(self, stale: set[str]) -> None:
        paths = self._paths
        if self._member in stale:
            own = await self._own(watch=True)
            if own is None:
                return self._end()
            self._strike(own[0].struck)
        if paths.members in stale:
            names = await self._client.children(paths.members, watch=True) or []
            self._entries = {name: self._entries[name] for name in names if name in self._entries}
            new = [name for name in names if name not in self._entries]
            found = await asyncio.gather(*(self._client.read(f"{paths.members}/{name}") for name in new))
            self._entries |= {
                name: read_entry(Member, one[0]) for name, one in zip(new, found, strict=True) if one is not None
            }
            self._note(self._admission.against(self._entries))
        if paths.actives in stale:
            names = await self._client.children(paths.actives, watch=True) or []
            found = await asyncio.gather(*(self._client.read(f"{paths.actives}/{name}") for name in names))
            actives = {
                name: read_entry(Active, one[0]) for name, one in zip(names, found, strict=True) if one is not None
            }
            self._actives = {name: one.version for name, one in actives.items() if one is not None}
        if paths.progress in stale:
            self._floor = (await self._progress(watch=True))[0].floor
        return None

    def _view(self) -> say.Group:
        members = tuple(sorted(name for name, entry in self._entries.items() if entry is not None))
        actives = {name: version for name, version in sorted(self._actives.items()) if name in members}
        return say.Group(members, actives, self._floor)

    def _strike(self, number: int) -> None:
        if number > self._struck:
            self._struck = number
            self._tell(say.Expelled(number))

    async def _own(self, watch: bool = False) -> tuple[Member, ZnodeStat] | None:
        """Return this server's entry; None if this session has none (any more)."""
        found = await self._client.read(self._member, watch)
        entry = read_entry(Member, found[0]) if found is not None else None
        if found is None or entry is None or found[1].ephemeralOwner != self._client.session:
            return None
        return entry, found[1]

    async def _progress(self, watch: bool = False) -> tuple[Progress, int]:
        """Return the last round and the floor, and the version of the node that says so."""
        found = await self._client.read(self._paths.progress, watch)
        while found is None:
            await self._client.ensure(self._paths.progress)
            found = await self._client.read(self._paths.progress, watch)
        progress = read_entry(Progress, found[0]) if found[0] else Progress()
        if progress is None:
            raise CoordinationError(
                f"{self._paths.progress}: expected round and floor as JSON, found {found[0][:80]!r}"
            )
        return progress, found[1].version

    # ------------------------------------------------------------------------------------------- sessions

    async def _register(self, message: say.Register) -> None:
        if not await self._enter(message.incarnation):
            return
        self._registered, self._told = True, None
        self._stale |= {*self._watched()}
        await self._look()

    async def _enter(self, incarnation: int) -> bool:
        """Write this server's entry, and remove what a former life of it has left; say whether it is there."""
        paths, client = self._paths, self._client
        while True:
            own = await self._own()
            if own is not None and own[0].incarnation == incarnation:
                return True
            refusal = await self._admission.refusal(client)
            self._note(refusal)
            if refusal is not None:
                return False
            for path in (paths.members, paths.actives, paths.ring, paths.lock, paths.progress):
                await client.ensure(path)
            _, version = await self._progress()
            changes = client.transaction()
            changes.check(paths.progress, version)  # so that a holder found here is not another's by now
            for path in (self._member, self._active, *self._ring):
                if await client.read(path) is not None:
                    changes.delete(path)
            holder = await client.read(paths.holder)
            if holder is not None and (read_entry(Holder, holder[0]) or Holder("", 0)).node == self._node:
                changes.delete(paths.holder)
            entry = Member("hogwild", PROTOCOL, self._machine, incarnation)
            changes.create(self._member, written(entry), ephemeral=True)
            self._struck = 0
            try:
                await client.commit(changes)
            except CONFLICTS:
                continue
            return True

    async def _deregister(self, _: say.Deregister) -> None:
        self._registered = False
        holder = await self._held()
        if holder is not None and holder.node:
            await self._delete(self._paths.holder)
        for path in (self._active, *self._ring, self._member):
            await self._delete(path)

    async def _refusal_for_good(self) -> str | None:
        """Return why this server cannot be a member; nothing as long as ZooKeeper is not reached."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience
        while await self._client.wait(max(0.0, until - loop.time())):
            try:
                refusal = await self._admission.refusal(self._client)
                if refusal is None or not refusal.passing or loop.time() > until:
                    return refusal
            except GONE:
                pass
            await asyncio.sleep(_LASTS)
        return None

    # ------------------------------------------------------------------------------------------- active servers

    async def _announce(self, message: say.Announce) -> None:
        while True:
            own, active = await asyncio.gather(self._own(), self._client.read(self._active))
            if own is None:
                return self._end()
            if message.version < own[0].struck:
                self._struck = own[0].struck
                return self._tell(say.Expelled(self._struck))
            data, changes = written(Active(message.version)), self._client.transaction()
            changes.check(self._member, own[1].version)  # not struck meanwhile
            if active is None:
                changes.create(self._active, data, ephemeral=True)
            elif active[0] != data:
                changes.set_data(self._active, data)
            else:
                return None
            try:
                await self._client.commit(changes)
            except CONFLICTS:
                continue
            if active is None:
                await self._enter_ring()
            return None

    async def _enter_ring(self) -> None:
        """Write what proxies of the original look at."""
        for path in self._ring:
            changes = self._client.transaction()
            changes.create(path, self._node.encode(), ephemeral=True)
            with contextlib.suppress(*CONFLICTS):
                await self._client.commit(changes)

    async def _withdraw(self, _: say.Withdraw) -> None:
        for path in (self._active, *self._ring):
            await self._delete(path)

    async def _expel(self, message: say.Expel) -> None:
        node, number = message
        member, active = f"{self._paths.members}/{node}", f"{self._paths.actives}/{node}"
        while True:
            found, announced = await asyncio.gather(self._client.read(member), self._client.read(active))
            entry = read_entry(Member, found[0]) if found is not None else None
            if found is None or entry is None:
                return None
            there = read_entry(Active, announced[0]) if announced is not None else None
            if there is not None and there.version >= number:
                return None
            entry.struck = max(entry.struck, number)
            changes = self._client.transaction()
            changes.set_data(member, written(entry), found[1].version)
            if announced is not None:
                changes.delete(active, announced[1].version)
            try:
                return await self._client.commit(changes)
            except CONFLICTS:
                continue

    async def _delete(self, path: str) -> None:
        changes = self._client.transaction()
        changes.delete(path)
        with contextlib.suppress(NoNodeError):
            await self._client.commit(changes)

    # ------------------------------------------------------------------------------------------- the lock

    async def _held(self) -> Holder | None:
        """Return who has the lock: with no name where it is not this session."""
        found = await self._client.read(self._paths.holder)
        if found is None:
            return None
        ours = read_entry(Holder, found[0]) if found[1].ephemeralOwner == self._client.session else None
        return ours or Holder("", 0)

    async def _try_lock(self, message: say.TryLock) -> None:
        while True:
            (progress, version), holder = await asyncio.gather(self._progress(), self._held())
            if holder is None:
                progress.round = max(progress.round, message.above) + 1
                holder = Holder(self._node, progress.round)
                changes = self._client.transaction()
                changes.check(self._member, -1)
                changes.create(self._paths.holder, written(holder), ephemeral=True)
                changes.set_data(self._paths.progress, written(progress), version)
                try:
                    await self._client.commit(changes)
                except (BadVersionError, NodeExistsError):
                    continue
                except NoNodeError:
                    return self._end()
            if not holder.node:
                return self._tell(say.Busy())
            # read after the lock was taken, on the same connection: nothing that was before it is missing
            self._stale |= {*self._watched()}
            await self._look()
            if self._registered:
                self._tell(say.Locked(holder.round, *self._view()))
            return None

    async def _unlock(self, message: say.Unlock) -> None:
        while True:
            (progress, version), holder = await asyncio.gather(self._progress(), self._held())
            if holder != Holder(self._node, message.round):
                return None
            changes = self._client.transaction()
            if message.floor > progress.floor:
                progress.floor = message.floor
                changes.set_data(self._paths.progress, written(progress), version)
            else:
                changes.check(self._paths.progress, version)
            changes.delete(self._paths.holder)
            try:
                return await self._client.commit(changes)
            except CONFLICTS:
                continue


_CARRIED: dict[type, Callable[[ZooKeeperCoordination, Any], Any]] = {
    say.Register: ZooKeeperCoordination._register,
    say.Deregister: ZooKeeperCoordination._deregister,
    say.Announce: ZooKeeperCoordination._announce,
    say.Withdraw: ZooKeeperCoordination._withdraw,
    say.TryLock: ZooKeeperCoordination._try_lock,
    say.Unlock: ZooKeeperCoordination._unlock,
    say.Expel: ZooKeeperCoordination._expel,
}
