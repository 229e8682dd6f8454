"""What runs in a worker process: a thread that listens, and calls one after the other on the main thread.

It imports as little as it can: 0.1 s to the first call of a function of NumPy's, 0.6 s to the first compiled step.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import signal
import socket
import struct
import sys
import threading
import traceback
from typing import Any

from hogwild.engine import shared_memory

HEADER = struct.Struct("<QQQ")  # bytes about blocks, of the function, of the arguments
REPLY = struct.Struct("<BQ")  # what came of a call, and bytes of it
RESULT, ERROR, UNKNOWN_MODULE = range(3)
MOST_DESCRIPTORS = 200  # in one message: the system takes 253


def receive(connection: socket.socket, size: int) -> bytes:
    """Receive exactly `size` bytes.

    Raises
    ------
    EOFError
        Where the other side is gone.
    """
    parts = bytearray(size)
    view, done = memoryview(parts), 0
    while done < size:
        got = connection.recv_into(view[done:])
        if not got:
            raise EOFError
        done += got
    return bytes(parts)


def _receive_header(connection: socket.socket) -> tuple[tuple[int, int, int], list[int]]:
    """Receive a header and the descriptors that came with it."""
    start, descriptors, *_ = socket.recv_fds(connection, HEADER.size, MOST_DESCRIPTORS)
    if not start:
        raise EOFError
    return HEADER.unpack(start + receive(connection, HEADER.size - len(start))), descriptors


def _listen(connection: socket.socket, calls: queue.SimpleQueue) -> None:
    """Take messages until the other side is gone; then this process ends, whatever it is at."""
    try:
        while True:
            (about, function, arguments), descriptors = _receive_header(connection)
            sent, dropped = shared_memory.loads(receive(connection, about))
            for name in dropped:
                shared_memory.detach(name)
            for (name, size), descriptor in zip(sent, descriptors, strict=True):
                shared_memory.attach(name, descriptor, size)
            if function:
                calls.put((receive(connection, function), receive(connection, arguments)))
    except (EOFError, OSError):
        os._exit(0)


def _outcome(function: bytes, arguments: bytes, known: list) -> tuple[int, Any]:
    """Call a function; a function that came before is not made again (what it has compiled stays)."""
    try:
        if known[0] != function:
            known[:] = [function, shared_memory.loads(function)]
        loaded = shared_memory.loads(arguments)
    except ModuleNotFoundError as error:
        return UNKNOWN_MODULE, (error.name, traceback.format_exc())
    except BaseException as error:
        return ERROR, (error, traceback.format_exc())
    try:
        return RESULT, known[1](*loaded)
    except BaseException as error:
        told = traceback.format_exc()
        error.__traceback__ = None
        return ERROR, (error, told)


def _reply(connection: socket.socket, kind: int, found: Any) -> None:
    try:
        data, _ = shared_memory.dumps(found, shared_memory.is_foreign)
    except Exception as error:
        if kind == ERROR:
            reason = RuntimeError(f"{type(found[0]).__name__}: {found[0]}")
            told = found[1]
        else:
            reason = TypeError(
                f"the result of a worker process cannot be pickled, found {type(found).__name__}: {error}"
            )
            told = traceback.format_exc()
        kind, (data, _) = ERROR, shared_memory.dumps((reason, told))
    connection.sendall(REPLY.pack(kind, len(data)) + data)


def serve(descriptor: int, modules: list[str]) -> None:
    """Serve the parent at the other end of a socket until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent: it waits for the calls under way
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    connection = socket.socket(fileno=descriptor)
    calls: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, calls), name="hogwild", daemon=True).start()
    for module in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    known: list = [None, None]
    while True:
        function, arguments = calls.get()
        _reply(connection, *_outcome(function, arguments, known))
        del function, arguments
        sys.stdout.flush()
