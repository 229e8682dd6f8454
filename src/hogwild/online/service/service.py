"""One learner behind calls."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hogwild.online.datum import Datum
from hogwild.online.methods import Method, methods_of
from hogwild.online.packed import Packed
from hogwild.online.service import models
from hogwild.online.service.commits import Commits
from hogwild.online.service.figures import Figures
from hogwild.online.service.journal import Journal, call_record
from hogwild.online.service.lane import Answer, Call, Lane
from hogwild.online.service.learner import in_thread, make_learner
from hogwild.online.service.settings import ServiceSettings
from hogwild.online.service.status import status_of
from hogwild.online.service.trying import Trying
from hogwild.online.wire import read_all

if TYPE_CHECKING:
    from hogwild.online.driver import Driver

T = TypeVar("T")
_log = logging.getLogger(__name__)


class UnknownMethodError(LookupError):
    """There is no such call; the message is its name."""


class StoppingError(RuntimeError):
    """The service takes no more calls."""


class Service:
    """One learner behind calls: updates are applied in order by one writer, and answers are given between them.

    Everything happens on the thread of the running event loop, in slices of a few milliseconds. An answer sees all
    updates that had been answered before it was asked for.

    Parameters
    ----------
    kind : str
        One of `methods.TYPES`.
    configuration : str
        JSON, kept as it is.
    name : str
        Of the group.
    address : tuple of str and int
    datadir : Path
        Where `save` writes.
    journal : Journal, optional
    settings : ServiceSettings

    Attributes
    ----------
    driver : Driver or None
        None until it is loaded: calls wait for it.
    figures : Figures
    methods : dict of str to Method
    serving : bool
        Calls are being answered at this moment; those in `on_served` are called when a turn is over.
    on_updates : list of callable
        Told how many updates were applied.
    loaded : asyncio.Event
        Set when it is.
    replace : callable or None
        Runs changes that make the model another one (`load`, `clear`) in place of `exclusive`: a group does it.
    changes : int
        Grows whenever the model may have changed.
    draining : bool
        It is about to stop: no more updates of clients are taken. `drain` sets it, or whoever has other things to end
        before that.
    group : object or None
        Who mixes this model with those of other servers.
    on_snapshot : list of callable
        Called in the same step in which the model's state is taken for the journal.
    extra : dict of str to callable
        Further methods, which take the arguments as they came, and come before those of the same name.
    replays : dict of str to callable
        Take records of other kinds than calls, when the journal is replayed.
    status_sources : list of callable
        Their figures are part of `get_status`.
    """

    def __init__(
        self,
        kind: str,
        configuration: str,
        *,
        name: str = "",
        address: tuple[str, int] = ("127.0.0.1", 9199),
        datadir: Path = Path("."),
        journal: Journal | None = None,
        settings: ServiceSettings | None = None,
    ) -> None:
        self.methods: dict[str, Method] = methods_of(kind)
        self.kind, self.configuration, self.name = kind, configuration, name
        self.address, self.datadir, self.journal = address, datadir, journal
        self.settings = settings or ServiceSettings()
        self.driver: Driver | None = None
        self.figures = Figures()
        self.on_updates: list[Callable[[int], None]] = []
        self.loaded = asyncio.Event()
        self.replace: Callable[[Callable[[], None]], Awaitable[None]] | None = None
        self.changes = 0
        self.group: Any = None
        self.on_snapshot: list[Callable[[], None]] = []
        self.extra: dict[str, Callable[[Sequence[Any]], Awaitable[Any]]] = {}
        self.replays: dict[str, Callable[[Driver, Sequence[Any]], None]] = {}
        self.status_sources: list[Callable[[], dict[str, str]]] = []
        self._trying = Trying(kind, self.figures.trials, self.settings.try_every)
        slice, wait = self.settings.slice, self.settings.wait
        self._questions = Lane(self._answer_question, self._tell, slice, wait)
        self._updates = Lane(self._apply_update, self._updated, slice, wait)
        self._own = {
            name: partial(handle, self)
            for name, handle in {"save": models.save, "load": models.load, "clear": models.clear}.items()
        }
        self.on_served: list[Callable[[], None]] = []
        self.serving = self.draining = False
        self._awake = self._gathering = self._closed = False
        self._commits = Commits(self._tell)
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    @property
    def packs(self) -> Mapping[str, Callable[[bytes, int], Packed | None]]:
        """See `Driver`: by the names of calls that the learner reads by itself."""
        return getattr(self.driver, "packs", {})

    @property
    def node(self) -> str:
        """The server's name as Jubatus writes it: address_port."""
        return f"{self.address[0]}_{self.address[1]}"

    # ------------------------------------------------------------------------------------------------- learner

    async def load_learner(self, model: Path | None = None) -> None:
        """Make the learner, in a thread, and replay the journal; calls wait for it.

        Parameters
        ----------
        model : Path, optional
            File to begin with, unless the journal has something.

        Raises
        ------
        ConfigurationError
            The configuration cannot be used.
        """
        try:
            self.driver, begins = await in_thread(make_learner, self, model)
            if begins:
                models.note_loaded(self, model)
                await self._snapshot()
        except BaseException as error:
            self._failure = RuntimeError(f"the learner cannot be loaded: {error}")
            self._fail(self._failure)
            raise
        self.loaded.set()
        self._wake()

    # --------------------------------------------------------------------------------------------------- calls

    async def call(self, method: str, arguments: Sequence[Any]) -> Any:
        """Answer a call; arguments and result are as they travel, without the group's name.

        Raises
        ------
        UnknownMethodError
            There is no such method.
        WrongTypeError
            The arguments are not what it takes.
        Exception
            Of any other kind: its message is for the client.
        """
        future = asyncio.get_running_loop().create_future()
        self.submit(method, arguments, _into(future))
        return await future

    def submit(self, name: str, arguments: Sequence[Any], answer: Answer) -> None:
        """Take a call; `answer` is given its result or its error, perhaps before this returns.

        `call` without a task and a future for each.
        """
        method = self.methods.get(name)
        call = Call(name, method, arguments, answer)
        handler = self.extra.get(name) or self._own.get(name)
        if self._failure is not None:
            self._tell(call, None, self._failure)
        elif self._closed or (self.draining and method is not None and method.changes):
            self._tell(call, None, StoppingError("the server is stopping"))
        elif handler is not None:
            self._start(self._handle(call, handler))
        elif method is None or name == "do_mix":
            call.name = "?"
            self._tell(call, None, UnknownMethodError(name))
        elif name in ("get_config", "get_status"):
            self._answer_at_once(call)
        else:
            (self._updates if method.changes else self._questions).add(call)
            self._wake()

    async def exclusive(self, change: Callable[[], T], record: bytes | None = None) -> T:
        """Run a change on the loop's thread, in order with the updates, and log `record`.

        It is durable, as far as the journal has it, when this returns.
        """
        if self._closed:
            raise StoppingError("the server is stopping")

        def run() -> T:
            self._check_journal()
            self.changes += 1
            result = change()
            if record is not None:
                self.append(record)
            return result

        future = asyncio.get_running_loop().create_future()
        self._updates.add(Call("", None, (), _into(future), run))
        self._wake()
        return await future

    def append(self, record: bytes) -> None:
        """Log a record, if there is a journal; `exclusive`, within which this is called, waits until it is durable."""
        if self.journal is not None:
            self.journal.append(record)

    async def drain(self) -> None:
        """Take no more calls, finish those that were taken, and close the journal."""
        self.draining = self._closed = True
        while self._questions or self._updates or self._commits or self._tasks:
            if self.driver is None:  # it never will be
                self._fail(StoppingError("the server is stopping"))
            await asyncio.sleep(0.002)
        if self.journal is not None and self.loaded.is_set():
            if self.changes and self.journal.failure is None:
                try:
                    await self._snapshot()  # the next start is quick
                except (OSError, ValueError) as error:
                    _log.error("the log could not be shortened: %s", error)
            await self.journal.close()

    async def _snapshot(self) -> None:
        if self.journal is not None:
            from hogwild.online.storage.autosave import snapshot

            await snapshot(self)

    # --------------------------------------------------------------------------------------------------- turns

    def gather(self) -> None:
        """Serve nothing until `serve_gathered`: more calls are about to come."""
        self._gathering = True

    def serve_gathered(self, at_once: bool) -> None:
        """Serve what came since `gather`: at once, or when what others have sent has been read as well."""
        self._gathering = False
        if self._questions or self._updates:
            if at_once and not self._awake and self.driver is not None:
                self._serve()
            else:
                self._wake()

    def _wake(self) -> None:
        """See that calls are served, once what is there has been read: they are joined so."""
        if not self._awake and not self._gathering and self.driver is not None:
            self._awake = True
            asyncio.get_running_loop().call_soon(self._serve)

    def _serve(self) -> None:
        """Take a turn: a slice of answers and a slice of updates."""
        self._awake, self.serving = False, True
        try:
            self._questions.work()
            self._updates.work()
        finally:
            self.serving = False
        for told in self.on_served:
            told()
        if self._questions or self._updates:
            self._wake()
        if self.journal is not None:
            self._commits.begin(self.journal)

    def _fail(self, error: Exception) -> None:
        for lane in (self._questions, self._updates):
            lane.fail(error)

    def _answer_question(self, name: str, arguments: list[Any], came: Sequence[Any]) -> Any:
        result = self.driver.run(name, arguments)
        return result.wire() if isinstance(result, Datum) else result

    def _apply_update(self, name: str, arguments: list[Any], came: Sequence[Any]) -> Any:
        self._check_journal()
        self._trying.before(self.driver, name, arguments)
        result = self.driver.run(name, arguments)
        if self.journal is not None:
            self.journal.append(call_record(name, came))
        count = len(arguments[0]) if arguments and isinstance(arguments[0], (list, Packed)) else 1
        self.changes += 1
        self.figures.learnt += count
        self.figures.batches.add(count)
        for told in self.on_updates:
            told(count)
        return result

    def _check_journal(self) -> None:
        if self.journal is not None and self.journal.failure is not None:
            raise self.journal.failure

    def _updated(self, call: Call, result: Any, error: BaseException | None) -> None:
        if error is None and self.journal is not None:
            self._commits.add(call, result)
        else:
            self._tell(call, result, error)

    def _tell(self, call: Call, result: Any, error: BaseException | None) -> None:
        if call.name:
            self.figures.latency.add(time.monotonic() - call.since)
            self.figures.calls[call.name] += 1
            if error is not None:
                self.figures.errors[call.name] += 1
        call.answer(result, error)

    # ------------------------------------------------------------------------------- calls that are no learner's

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, call: Call, handler: Callable[[Sequence[Any]], Awaitable[Any]]) -> None:
        try:
            result = await handler(call.came)
        except Exception as error:
            self._tell(call, None, error)
        else:
            self._tell(call, result, None)

    def _answer_at_once(self, call: Call) -> None:
        try:
            read_all(call.method.takes, call.came)
            result = self.configuration if call.name == "get_config" else {self.node: status_of(self)}
        except Exception as error:
            self._tell(call, None, error)
        else:
            self._tell(call, result, None)


def _into(future: asyncio.Future[Any]) -> Answer:
    """Return what gives a call's result to a future, if anyone still waits for it."""

    def answer(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    return answer
