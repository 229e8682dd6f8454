"""MessagePack-RPC: the protocol of Jubatus, from the server's end."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import Any

from hogwild.online.service.framing import Frames, MalformedError, list_call, value_of
from hogwild.online.service.packing import (
    NO_METHOD,
    NOTIFICATION,
    REQUEST,
    RESPONSE,
    WRONG_ARGUMENTS,
    error_text,
    packer,
)
from hogwild.online.service.service import Service, UnknownMethodError
from hogwild.online.service.settings import Limits
from hogwild.online.wire import WrongTypeError

_OVERHEAD = 512  # bytes that a call takes beside its message, about
_WRITE = 1 << 18  # bytes of answers that are written before their turn is over
_log = logging.getLogger(__name__)


class RpcServer:
    """Serves a service's calls over TCP.

    The calls of its type come with the group's name first, which does not matter here; those of `Service.extra` that
    are not in the table of methods come without.

    Parameters
    ----------
    service : Service
    host : str
    port : int
        0: any that is free.
    limits : Limits
    """

    def __init__(self, service: Service, host: str = "127.0.0.1", port: int = 0, limits: Limits | None = None) -> None:
        self.service, self._host, self.port = service, host, port
        self.limits = limits or Limits()
        self.connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._backlog = 0
        self._held: set[_Connection] = set()
        self._due: list[_Connection] = []  # have answers to write
        service.on_served.append(self._write)
        self.pack = packer().pack
        self.pack_bins = packer(bins=True).pack

    async def start(self) -> int:
        """Listen; return the port.

        Raises
        ------
        OSError
            The port is taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), self._host, self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        self._sweep()
        return self.port

    def stop(self) -> None:
        """Listen no more; connections stay."""
        if self._server is not None:
            self._server.close()

    async def close(self, patience: float = 2.0) -> None:
        """Close all connections, as soon as their answers are out, or after a while without that."""
        self.stop()
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in list(self.connections):
            connection.close()
        until = time.monotonic() + patience
        while self.connections and time.monotonic() < until:
            await asyncio.sleep(0.002)
        for connection in list(self.connections):
            connection.transport.abort()

    def accepts(self, connection: _Connection) -> bool:
        """Take a new connection, or not, where there are too many."""
        if len(self.connections) >= self.limits.connections:
            return False
        self.connections.add(connection)
        self.service.figures.connections = len(self.connections)
        return True

    def lost(self, connection: _Connection) -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        self._held.discard(connection)
        self.service.figures.connections = len(self.connections)

    def took(self, size: int) -> None:
        """Count a call's message."""
        self._backlog += size + _OVERHEAD

    def answered(self, size: int) -> None:
        """Count it as done; whoever waited for that is heard again."""
        self._backlog -= size + _OVERHEAD
        if self._held and self._backlog <= self.limits.backlog // 2:
            held, self._held = self._held, set()
            for connection in held:
                asyncio.get_running_loop().call_soon(connection.go_on)

    def holds(self, connection: _Connection) -> bool:
        """Whether a connection is not to be heard until others' calls are answered."""
        if self._backlog < self.limits.backlog:
            return False
        self._held.add(connection)
        return True

    def owes(self, connection: _Connection) -> None:
        """Have a connection's answers written at the end of this turn, together."""
        if not self._due and not self.service.serving:
            asyncio.get_running_loop().call_soon(self._write)
        self._due.append(connection)

    def _write(self) -> None:
        due, self._due = self._due, []
        for connection in due:
            connection.write()

    def _sweep(self) -> None:
        """Close connections that have been idle, or in the midst of a message, for too long."""
        now, limits = time.monotonic(), self.limits
        for connection in list(self.connections):
            connection.check(now, limits)
        waits = [seconds for seconds in (limits.idle, limits.unfinished) if seconds]
        pause = min([1.0, *(seconds / 4 for seconds in waits)])
        self._sweeping = asyncio.get_running_loop().call_later(pause, self._sweep)


class _Connection(asyncio.Protocol):
    """One client's connection."""

    transport: asyncio.Transport

    def __init__(self, server: RpcServer) -> None:
        self._server, self._service = server, server.service
        self._frames = Frames(server.limits.message)
        self._heard = time.monotonic()
        self._began = 0.0  # when the message began that is not whole, 0 where there is none
        self._open = 0  # calls without an answer
        self._out: list[bytes] = []  # answers of this turn
        self._out_size = 0
        self._writable = True

    # ----------------------------------------------------------------------------------------- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        if not self._server.accepts(self):
            transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._server.lost(self)

    def data_received(self, data: bytes) -> None:
        self._heard = time.monotonic()
        self._frames.feed(data)
        self._service.gather()
        try:
            self.go_on()
        finally:
            self._service.serve_gathered(at_once=len(self._server.connections) == 1)

    def eof_received(self) -> bool:
        return self._open > 0  # a client that sends no more may still read

    def pause_writing(self) -> None:
        self._writable = False
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._writable = True
        self.go_on()

    # ---------------------------------------------------------------------------------------------- the calls

    def go_on(self) -> None:
        """Take the calls that are there, unless answers could not go out or too many wait."""
        limits = self._server.limits
        try:
            while self._writable and not self.transport.is_closing():
                if self._open >= limits.pipelined or self._server.holds(self):
                    self.transport.pause_reading()
                    return
                frame = self._frames.take_bytes()
                if frame is None:
                    self.transport.resume_reading()
                    self._began = self._began or self._heard if self._frames.unfinished else 0.0
                    return
                self._began = 0.0
                self._packed(frame) or self._message(value_of(frame), len(frame))
        except MalformedError as error:
            _log.warning("connection from %s closed: %s", self.transport.get_extra_info("peername"), error)
            self.transport.abort()

    def check(self, now: float, limits: Limits) -> None:
        """Close it where it has been idle, or in the midst of a message, for too long."""
        if self._began and limits.unfinished and now - self._began > limits.unfinished:
            _log.warning("connection from %s closed: half a message", self.transport.get_extra_info("peername"))
            self.transport.abort()
        elif limits.idle and not self._open and now - self._heard > limits.idle:
            self.transport.abort() if self.transport.get_write_buffer_size() else self.transport.close()

    def close(self) -> None:
        """Send what was answered, and close."""
        self.write()
        self.transport.close()

    def _packed(self, frame: bytes) -> bool:
        """Take a call whose argument the learner reads by itself; return whether it is one."""
        if not self._service.packs or (head := list_call(frame)) is None:
            return False
        ticket, method, at = head
        pack = self._service.packs.get(method)
        items = pack(frame, at) if pack is not None else None
        if items is None or items.ends[-1] != len(frame):
            return False
        self._open += 1
        self._server.took(len(frame))
        self._service.submit(method, (items,), partial(self._answer, ticket, len(frame), False))
        return True

    def _message(self, message: Any, size: int) -> None:
        if type(message) is tuple and len(message) == 4 and message[0] == REQUEST and type(message[1]) is int:
            _, ticket, method, params = message
        elif type(message) is tuple and len(message) == 3 and message[0] == NOTIFICATION:
            ticket, (_, method, params) = None, message
        else:
            raise MalformedError("expected a request or a notification")
        if type(method) is bytes:
            method = method.decode("utf-8", "surrogateescape")
        if type(method) is not str or type(params) is not tuple:
            raise MalformedError("expected the name of a method and its parameters")
        self._open += 1
        self._server.took(size)
        answer = partial(self._answer, ticket, size, False)
        if method not in self._service.methods:
            _check_depth(params, self._server.limits.depth)
            self._service.submit(method, params, partial(self._answer, ticket, size, True))
        elif params:
            self._service.submit(method, params[1:], answer)
        else:
            answer(None, WrongTypeError("expected the group's name, and arguments; found nothing"))

    def _answer(self, ticket: int | None, size: int, bins: bool, result: Any, error: BaseException | None) -> None:
        self._open -= 1
        self._server.answered(size)
        if self._open == self._server.limits.pipelined - 1:  # it may have been full
            asyncio.get_running_loop().call_soon(self.go_on)
        if ticket is None or self.transport.is_closing():
            return
        pack = self._server.pack_bins if bins else self._server.pack
        try:
            data = pack((RESPONSE, ticket, None, result)) if error is None else self._refusal(ticket, error)
        except (TypeError, ValueError, OverflowError) as unpackable:
            _log.error("an answer cannot be sent: %s", unpackable)
            data = self._refusal(ticket, unpackable)
        if not self._out:
            self._server.owes(self)
        self._out.append(data)
        self._out_size += len(data)
        if self._out_size > _WRITE:
            self.write()

    def _refusal(self, ticket: int, error: BaseException) -> bytes:
        if isinstance(error, UnknownMethodError):
            return self._server.pack((RESPONSE, ticket, NO_METHOD, str(error)))
        if isinstance(error, WrongTypeError):
            return self._server.pack((RESPONSE, ticket, WRONG_ARGUMENTS, str(error)))
        return self._server.pack((RESPONSE, ticket, error_text(error), None))

    def write(self) -> None:
        """Write all answers of a turn at once."""
        out, self._out, self._out_size = self._out, [], 0
        if not out or self.transport.is_closing():
            return
        if self.transport.get_write_buffer_size() > self._server.limits.unread:
            _log.warning("connection from %s closed: does not read", self.transport.get_extra_info("peername"))
            self.transport.abort()
            return
        self.transport.write(out[0] if len(out) == 1 else b"".join(out))
        self._heard = time.monotonic()


def _check_depth(value: Any, most: int) -> None:
    """See that arrays and maps are not nested too deeply."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > most:
            raise MalformedError(f"expected at most {most} nested arrays and maps, found more")
        inner = [item for one in level for item in (one.values() if type(one) is dict else one)]
        level = [item for item in inner if type(item) in (tuple, dict)]
