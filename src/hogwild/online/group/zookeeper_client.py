"""ZooKeeper for an event loop: kazoo works in threads of its own; all that it says arrives on the loop's thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

try:
    from kazoo.client import KazooClient, KazooState, TransactionRequest
    from kazoo.exceptions import (
        ConnectionClosedError,
        ConnectionLoss,
        KazooException,
        NoNodeError,
        OperationTimeoutError,
        RolledBackError,
        RuntimeInconsistency,
        SessionExpiredError,
    )
    from kazoo.protocol.states import ZnodeStat
    from kazoo.retry import KazooRetry
except ImportError as error:
    raise ImportError("ZooKeeper needs kazoo: pip install 'hogwild[zookeeper]'") from error

# A service that is just starting may take a connection and never answer on it. Kazoo waits for that answer as long as
# the session may last, divided by the number of hosts: without this a session would end over a single try.
_TRIES = 4
SECONDS = 10.0  # for a connection that a command waits for
GONE = (ConnectionLoss, ConnectionClosedError, SessionExpiredError, OperationTimeoutError)  # to be asked again
_kazoo_log = logging.getLogger(f"{__name__}.kazoo")
_kazoo_log.setLevel(logging.ERROR)  # each try to connect would be a line otherwise


def make_client(hosts: str, timeout: float) -> KazooClient:
    """Return a client that tries to connect for ever.

    Parameters
    ----------
    hosts : str
        ``"host:2181,..."``.
    timeout : float
        Seconds without connection after which the service ends the session.
    """
    retry = KazooRetry(max_tries=-1, delay=0.1, backoff=2, max_delay=5.0)
    client = KazooClient(hosts, timeout=timeout, connection_retry=retry, logger=_kazoo_log)
    client.hosts = _TRIES * client.hosts
    return client


@contextlib.contextmanager
def connected(hosts: str) -> Iterator[KazooClient]:
    """Give a connected client, for commands that wait for each answer.

    Raises
    ------
    OSError
        ZooKeeper is not reached, or refuses.
    """
    client = make_client(hosts, SECONDS)
    try:
        client.start(SECONDS)
    except client.handler.timeout_exception:
        raise OSError(f"ZooKeeper at {hosts}: not reached within {SECONDS:g} s") from None
    try:
        yield client
    except KazooException as error:
        raise OSError(f"ZooKeeper at {hosts}: {type(error).__name__} {error}".rstrip()) from error
    finally:
        client.stop()
        client.close()


def names_in(client: KazooClient, path: str) -> list[str]:
    """Return the names of a node's children, sorted; none where there is no such node."""
    try:
        return sorted(client.get_children(path))
    except NoNodeError:
        return []


class ZooKeeperClient:
    """Connection and session.

    Parameters
    ----------
    hosts : str
    timeout : float
    lost : callable, optional
        Told that the session has ended (its ephemeral nodes and watches are gone; the next one begins by itself).
    noticed : callable, optional
        Told the path of a node that a watch was set on and that has changed; and None when a connection is there again,
        after which watches must be set anew.

    Attributes
    ----------
    session : int
        Number of the session that was there last.
    """

    def __init__(
        self,
        hosts: str,
        timeout: float,
        lost: Callable[[], None] = lambda: None,
        noticed: Callable[[str | None], None] = lambda path: None,
    ) -> None:
        self._timeout = timeout
        self._kazoo = make_client(hosts, timeout)
        self._lost, self._noticed = lost, noticed
        self._connected = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.session = 0
        self._kazoo.add_listener(lambda state: self._on_loop(self._changed, state, self._kazoo.client_id))

    @property
    def connected(self) -> bool:
        """Whether the service is reached."""
        return self._connected.is_set()

    def open(self) -> None:
        """Begin to connect."""
        self._kazoo.start_async()

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait for a connection, and return whether there is one."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connected.wait(), seconds)
        return self.connected

    async def close(self) -> None:
        """End the session and the connection."""
        self._lost, self._noticed = lambda: None, lambda path: None
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        with contextlib.suppress(KazooException, OSError):
            self._kazoo.stop()
        with contextlib.suppress(KazooException, OSError):
            self._kazoo.close()

    async def children(self, path: str, watch: bool = False) -> list[str] | None:
        """Return the names of a node's children, sorted; None where there is no such node."""
        try:
            return sorted(await self._answer(self._kazoo.get_children_async(path, self._watch if watch else None)))
        except NoNodeError:
            return None

    async def read(self, path: str, watch: bool = False) -> tuple[bytes, ZnodeStat] | None:
        """Return what a node holds; None where there is no such node."""
        try:
            return await self._answer(self._kazoo.get_async(path, self._watch if watch else None))
        except NoNodeError:
            return None

    async def ensure(self, path: str) -> None:
        """Make a node that stays, and those above it, where there is none."""
        await self._answer(self._kazoo.ensure_path_async(path))

    def transaction(self) -> TransactionRequest:
        """Return changes to be filled in, for `commit`."""
        return self._kazoo.transaction()

    async def commit(self, changes: TransactionRequest) -> None:
        """Make all changes, or none.

        Raises
        ------
        KazooException
            One could not be made: why.
        """
        answers = await self._answer(changes.commit_async())
        failures = [one for one in answers if isinstance(one, Exception)]
        if failures:
            skipped = (RolledBackError, RuntimeInconsistency)
            raise next((one for one in failures if not isinstance(one, skipped)), failures[0])

    async def _answer(self, asked: Any) -> Any:
        future: asyncio.Future[Any] = self._loop.create_future()
        asked.rawlink(lambda answer: self._on_loop(_settle, future, answer))
        return await future

    def _watch(self, event: Any) -> None:
        if event.path is not None:  # else the connection has changed, which is told by the listener
            self._on_loop(self._tell, event.path)

    def _tell(self, path: str | None) -> None:
        self._noticed(path)

    def _changed(self, state: str, session: tuple[int, bytes] | None) -> None:
        if state == KazooState.CONNECTED and session is not None:
            synced = self._kazoo.sync_async("/")
            synced.rawlink(lambda answer: self._on_loop(self._synced, session[0], answer))
            return
        self._connected.clear()
        self._loop.call_later(self._timeout, self._forget)
        if state == KazooState.LOST:
            self._lost()

    def _synced(self, session: int, answer: Any) -> None:
        if answer.successful():
            self.session = session
            self._connected.set()
            self._noticed(None)

    def _forget(self) -> None:
        """Have a service that has lost its data speak with us.

        It refuses who has seen later changes than it knows of. Without that rule a connection may go back in time,
        were it not for the sync of all new ones.
        """
        if not self.connected:
            self._kazoo.last_zxid = 0

    def _on_loop(self, function: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(function, *arguments)


def _settle(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():
        return
    if answer.successful():
        future.set_result(answer.value)
    else:
        future.set_exception(answer.exception)
