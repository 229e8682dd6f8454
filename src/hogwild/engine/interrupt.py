"""Ctrl-C in the middle of a slice: noted, and heard at its end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Note Ctrl-C instead of raising in the middle of a slice; yields a function that tells whether it came.

    Only in the main thread and where nobody else handles the signal.
    """
    noted: list[int] = []
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
    try:
        yield lambda: bool(noted)
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
