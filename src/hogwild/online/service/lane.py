"""Calls that wait for the learner: in order, joined where they are many, cut where they are long."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hogwild.online.methods import Method
from hogwild.online.packed import Packed
from hogwild.online.wire import Listed, WrongTypeError, read_all

Answer = Callable[[Any, BaseException | None], None]
Run = Callable[[str, list[Any], Sequence[Any]], Any]

_FIRST, _MOST = 16, 65536  # items of a slice: before anything is known of their pace, and ever
_READ = 64  # items that are read between two looks at the clock


class Call:
    """A call that waits; or, without a method, some other change that has its place in the order.

    A call whose only argument is a list can be cut: ``items`` are those that have been read, and the learner has
    ``done`` the first of them.
    """

    __slots__ = ("answer", "came", "change", "done", "items", "method", "name", "results", "since")

    def __init__(
        self,
        name: str,
        method: Method | None,
        came: Sequence[Any],
        answer: Answer,
        change: Callable[[], Any] | None = None,
    ) -> None:
        self.name, self.method, self.came, self.answer, self.change = name, method, came, answer, change
        self.since = time.monotonic()
        self.items: list[Any] | Packed = []
        self.done = 0
        self.results: list[Any] = []

    def read(self, until: float) -> bool:
        """Read some items, more up to that moment; return whether all of them are.

        Raises
        ------
        WrongTypeError
            The arguments are no list of such items.
        """
        if len(self.came) == 1 and isinstance(self.came[0], Packed):
            self.items = self.came[0]
            return True
        if len(self.came) != 1 or not isinstance(self.came[0], (list, tuple)) or len(self.came[0]) <= _READ:
            if len(self.items) == 0:
                (self.items,) = read_all(self.method.takes, self.came)
            return True
        came, read = self.came[0], self.method.takes[0].item.read
        while len(self.items) < len(came):
            try:
                self.items += map(read, came[len(self.items) : len(self.items) + _READ])
            except WrongTypeError as error:
                raise WrongTypeError(f"argument 1: {error}") from None
            if time.monotonic() >= until:
                break
        return len(self.items) == len(came)


class _Part(NamedTuple):
    """Items of a call that are in a slice."""

    call: Call
    start: int
    end: int


def is_listed(method: Method) -> bool:
    """Whether calls of a method may be joined and cut: their only argument is a list."""
    return len(method.takes) == 1 and isinstance(method.takes[0], Listed)


class Lane:
    """Calls of one kind, in their order.

    Parameters
    ----------
    run : callable
        Has the learner answer: method, arguments, and the same as they came.
    answer : callable
        Takes each call that is through, its result and its error.
    slice : float
        Seconds that joined calls, or a part of a long one, should take.
    wait : float
        Seconds after which a call is answered with an error instead; 0: never.
    """

    def __init__(
        self, run: Run, answer: Callable[[Call, Any, BaseException | None], None], slice: float, wait: float
    ) -> None:
        self._run, self._answer, self._slice, self._wait = run, answer, slice, wait
        self._waiting: deque[Call] = deque()
        self._pace: dict[str, float] = {}  # seconds that an item takes, by method

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, call: Call) -> None:
        """Put a call at the end."""
        self._waiting.append(call)

    def fail(self, error: BaseException) -> None:
        """Answer all that wait with an error."""
        while self._waiting:
            self._answer(self._waiting.popleft(), None, error)

    def work(self) -> None:
        """Serve calls for about a slice of time, or until none waits."""
        until = time.monotonic() + self._slice
        while self._waiting:
            call = self._waiting[0]
            if self._wait and not call.items and time.monotonic() - call.since > self._wait:
                self._waiting.popleft()
                self._answer(call, None, TimeoutError(f"the call has waited for more than {self._wait:g} s"))
            elif call.method is not None and is_listed(call.method):
                self._serve_items(call.name, until)
            else:
                self._serve(self._waiting.popleft())
            if time.monotonic() >= until:
                return

    def _serve(self, call: Call) -> None:
        try:
            if call.method is None:
                result = call.change()
            else:
                result = self._run(call.name, read_all(call.method.takes, call.came), call.came)
        except Exception as error:
            self._answer(call, None, error)
        else:
            self._answer(call, result, None)

    def _serve_items(self, name: str, until: float) -> None:
        """Run one slice of the items at the head, of one call or of several."""
        began = time.monotonic()
        pace = self._pace.get(name)
        room = _FIRST if pace is None else min(max(int(self._slice / pace), 1), _MOST)
        parts: list[_Part] = []
        while self._waiting and self._waiting[0].name == name and room > 0:
            call = self._waiting[0]
            try:
                if not call.read(until):
                    break
            except WrongTypeError as error:
                self._answer(self._waiting.popleft(), None, error)
                continue
            if parts and len(call.items) > room:
                break  # calls that fit into a slice of their own are not cut: one that fails has changed nothing
            if parts and isinstance(call.items, Packed) is not isinstance(parts[0].call.items, Packed):
                break
            end = min(call.done + room, len(call.items))
            parts.append(_Part(self._waiting.popleft(), call.done, end))
            room -= end - call.done
        if not parts:
            return
        self._run_parts(name, parts)
        count = sum(part.end - part.start for part in parts)
        if count:
            took = (time.monotonic() - began) / count + 1e-9
            self._pace[name] = took if pace is None else 0.7 * pace + 0.3 * took

    def _run_parts(self, name: str, parts: list[_Part]) -> None:
        """Run items of several calls together, or apart where that fails: a bad call is nobody else's trouble."""
        items, came = parts[0].call.items, parts[0].call.came[0]
        if isinstance(items, Packed):
            items = came = Packed.joined([call.items[start:end] for call, start, end in parts])
        elif len(parts) > 1 or parts[0].end - parts[0].start < len(items):
            items = [item for call, start, end in parts for item in call.items[start:end]]
            came = [item for call, start, end in parts for item in call.came[0][start:end]]
        try:
            results = self._run(name, [items], (came,)) if items else []
        except Exception as error:
            if len(parts) > 1:
                for part in parts:
                    self._run_parts(name, [part])
            else:
                self._answer(parts[0].call, None, error)
            return
        at = 0
        for call, start, end in parts:
            call.done = end
            if isinstance(call.method.gives, Listed):
                call.results += results[at : at + end - start]
            at += end - start
            if end < len(call.items):
                self._waiting.appendleft(call)  # only the last can be like that
            else:
                self._answer(call, call.results if isinstance(call.method.gives, Listed) else end, None)
