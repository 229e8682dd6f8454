"""A worker: local phase, delta, exchange; resend, rejoin.

It holds leases on rows, steps through `phase_rows` of them at a time, sends the deltas to all shards and goes on once
all of them have admitted it. What it has not got an answer to it sends again; what it has been evicted from it forgets,
and joins anew.
"""

from __future__ import annotations

from typing import Any

from hogwild.cluster.protocol import (
    COORDINATOR,
    Accepted,
    Compute,
    Computed,
    Effect,
    Event,
    Evicted,
    Finish,
    Finished,
    Flush,
    Join,
    Joined,
    Lease,
    Leases,
    Moved,
    NeedKeys,
    Part,
    Phase,
    PhaseResult,
    Prepare,
    Prepared,
    Progress,
    Pulled,
    PushPull,
    Recv,
    Send,
    SetTimer,
    Started,
    Stats,
    Timer,
    Wait,
)
from hogwild.cluster.settings import JobSettings, number_of

OUT, PREPARING, EXCHANGING, STEPPING, STARVED, DONE = "out", "preparing", "exchanging", "stepping", "starved", "done"


class Worker:
    """One worker's part of the protocol.

    Parameters
    ----------
    node : str
    settings : JobSettings
    incarnation : int
        How often this node has been started before.
    """

    def __init__(self, node: str, settings: JobSettings, incarnation: int = 0) -> None:
        self.node, self.state = node, OUT
        self.epoch, self.clock = -1, 0
        self.stats = self._told = Stats()  # so far, and up to the last phase whose pushes are accepted
        self._settings, self._incarnation = settings, incarnation
        self._attempt = 0
        self._ticket = 0
        self._primaries: tuple[str, ...] = ()
        self._view = -1
        self._order = -1
        self._phase_rows = settings.first_phase_rows
        self._forget()
        self._handlers = {
            Pulled: self._pulled,
            Accepted: self._accepted,
            Leases: self._leases_came,
            Joined: self._joined,
            NeedKeys: self._need_keys,
            Evicted: self._evicted,
            Moved: self._moved,
            Wait: self._wait,
            Finish: self._finish,
        }

    def _forget(self) -> None:
        """Forget everything that belongs to an epoch."""
        self._leases: dict[int, Lease] = {}
        self._reached: dict[int, int] = {}  # by lease: rows before it are in accepted pushes
        self._planned: dict[int, int] = {}  # by lease: rows before it are in a phase that runs or has run
        self._parts: tuple[Part, ...] = ()  # of the phase that is prepared, pulled for or stepped
        self._following: tuple[Part, ...] = ()
        self._stepped: tuple[Part, ...] = ()  # of the phases whose pushes are on their way
        self._kept: tuple[Part, ...] = ()  # of phases that have kept back some of what they changed
        self._result: PhaseResult | None = None  # whose pushes wait for requests of the next phase
        self._outstanding: dict[int, PushPull] = {}
        self._unaccepted: set[int] = set()
        self._answers: dict[int, Pulled] = {}
        self._known: dict[int, set[int]] = {}  # key sets that each shard knows
        self._sent_at = self._job_at = self._reported = 0.0

    def handle(self, now: float, event: Event) -> list[Effect]:
        """Take one event."""
        if type(event) is Recv:
            if self.state == DONE:
                return []
            handler = self._handlers.get(type(event.message))
            return handler(now, event.message) if handler else []
        if isinstance(event, Started):
            return self._join()
        if self.state == DONE:
            return []
        if isinstance(event, Computed):
            expected = event.ticket == self._ticket and self.state in (PREPARING, STEPPING)
            return self._computed(now, event) if expected else []
        if isinstance(event, Timer):
            return self._again(now) if event.name == "again" else self._alive(now)
        return []

    # ------------------------------------------------------------------------------------------ membership

    def _join(self) -> list[Effect]:
        """Ask to be taken in, with nothing in hand."""
        self.state = OUT
        self._ticket += 1  # a job that still runs is not waited for
        self._attempt += 1
        self._forget()
        return [self._wish(), SetTimer("again", self._settings.resend), SetTimer("alive", None)]

    def _wish(self) -> Send:
        return Send(COORDINATOR, Join(self.node, (self._incarnation, self._attempt)))

    def _wait(self, now: float, message: Wait) -> list[Effect]:
        return []

    def _joined(self, now: float, message: Joined) -> list[Effect]:
        if self.state != OUT or message.attempt != (self._incarnation, self._attempt):
            return []
        leases = message.leases
        self.epoch, self.clock, self._order = leases.epoch, message.clock, leases.order
        self._primaries, self._view = message.primaries, leases.epoch
        self.stats = self._told = Stats()
        self._take(leases)
        effects: list[Effect] = [SetTimer("again", None), SetTimer("alive", self._settings.heartbeat)]
        return effects + self._prepare(now, fresh=True)

    def _evicted(self, now: float, message: Evicted) -> list[Effect]:
        return self._join() if self.state != OUT and message.epoch == self.epoch else []

    def _finish(self, now: float, message: Finish) -> list[Effect]:
        self.state = DONE
        return [SetTimer("again", None), SetTimer("alive", None), Finished()]

    def _moved(self, now: float, message: Moved) -> list[Effect]:
        """Turn to the shards where they are now."""
        if message.view <= self._view or self.state == OUT:
            return []
        before, self._primaries, self._view = self._primaries, message.primaries, message.view
        changed = [k for k, node in enumerate(self._primaries) if node != before[k]]
        for k in changed:
            self._known.pop(k, None)
        return [self._send(k) for k in changed if k in self._outstanding]

    # ------------------------------------------------------------------------------------------ leases

    def _leases_came(self, now: float, message: Leases) -> list[Effect]:
        if self.state == OUT or message.epoch != self.epoch or message.order <= self._order:
            return []
        self._order = message.order
        if not message.leases:
            return self._join()
        self._take(message)
        return self._prepare(now, fresh=False) if self.state == STARVED else []

    def _take(self, message: Leases) -> None:
        self._phase_rows = message.phase_rows
        before = self._leases
        self._leases = {
            lease.number: before[lease.number]._replace(stop=lease.stop) if lease.number in before else lease
            for lease in message.leases
        }
        for number, lease in self._leases.items():
            self._reached.setdefault(number, lease.start)
            self._planned.setdefault(number, lease.start)
        busy = {part.lease.number for part in (*self._parts, *self._stepped, *self._kept)}
        for number in [each for each in self._reached if each not in self._leases and each not in busy]:
            del self._reached[number], self._planned[number]

    def _plan(self, parts: tuple[Part, ...] = ()) -> tuple[Part, ...]:
        """Choose the rows of the phase that follows one over `parts`."""
        planned = {part.lease.number: part.stop for part in parts}
        chosen, left = [], self._phase_rows
        for number, lease in self._leases.items():
            start = max(planned.get(number, 0), self._planned[number])
            rows = min(left, lease.stop - start)
            if rows > 0:
                chosen.append(Part(lease, start, start + rows))
                left -= rows
            if left <= 0:
                break
        return tuple(chosen)

    # ------------------------------------------------------------------------------------------ phases

    def _compute(self, now: float, job: Any) -> Compute:
        self._ticket += 1
        self._job_at = now
        return Compute(self._ticket, job)

    def _prepare(self, now: float, fresh: bool) -> list[Effect]:
        self._parts = self._plan()
        if not self._parts and self._kept:
            self.state = STEPPING
            return [self._compute(now, Flush())]
        if not self._parts:
            self.state = STARVED
            return [self._progress(now)]
        self.state = PREPARING
        return [self._compute(now, Prepare(self._parts, fresh))]

    def _computed(self, now: float, event: Computed) -> list[Effect]:
        seconds = now - self._job_at
        self.stats = self.stats._replace(compute=self.stats.compute + seconds)
        if self.state == PREPARING:
            result, self._result = self._result, None
            prepared: Prepared = event.result
            return self._exchange(now, result, prepared.pulls)
        result = event.result
        stats = self.stats
        self.stats = stats._replace(
            phases=stats.phases + 1,
            rows=stats.rows + result.rows,
            weight=stats.weight + result.weight,
            loss=stats.loss + result.loss,
            constant=result.constant,
            kept=result.kept,
        )
        self.clock += 1
        done, following = self._parts, self._following
        for part in done:
            self._planned[part.lease.number] = part.stop
        self._kept += done
        if result.complete:
            self._stepped, self._kept = self._kept, ()
        self._parts = self._plan()
        if self._parts and (not result.pulls or _rows_of(self._parts) != _rows_of(following)):
            self._result, self.state = result, PREPARING
            return [self._compute(now, Prepare(self._parts, False))]
        return self._exchange(now, result, result.pulls)

    def _exchange(self, now: float, result: PhaseResult | None, pulls: tuple) -> list[Effect]:
        """Send pushes, if a phase has run, and requests for the next phase, if there is one."""
        self.state, self._sent_at = EXCHANGING, now
        self._answers, self._unaccepted = {}, set()
        wants, rows = bool(self._parts), 0 if result is None else result.rows
        for k in range(len(self._primaries)):
            push = None if result is None else result.pushes[k]
            pull = pulls[k] if wants else None
            self._outstanding[k] = PushPull(self.node, self.epoch, self.clock, push, pull, rows, wants)
            self._unaccepted.add(k)
        return [*map(self._send, range(len(self._primaries))), SetTimer("again", self._settings.resend)]

    def _send(self, k: int, *, spelled: bool = False) -> Send:
        """Send what is outstanding to a shard, key sets by id where it should know them."""
        message = self._outstanding[k]
        if k not in self._unaccepted:  # what was pushed is there: only the pull is repeated
            message = message._replace(push=None)
        known = self._known.setdefault(k, set())
        brief = {}
        for name in ("push", "pull"):
            payload = getattr(message, name)
            if payload is not None:
                ids = payload.ids()
                if ids and not spelled and known.issuperset(ids):
                    brief[name] = payload.brief()
                known.update(ids)
        return Send(self._primaries[k], message._replace(**brief) if brief else message)

    def _need_keys(self, now: float, message: NeedKeys) -> list[Effect]:
        k = number_of(message.shard)
        if message.epoch != self.epoch or message.clock != self.clock or k not in self._outstanding:
            return []
        return [self._send(k, spelled=True)]

    def _accepted(self, now: float, message: Accepted) -> list[Effect]:
        if self.state != EXCHANGING or message.epoch != self.epoch or message.clock != self.clock:
            return []
        k = number_of(message.shard)
        if k not in self._unaccepted:
            return []
        if not self._outstanding[k].wants:
            del self._outstanding[k]
        return self._took(now, k)

    def _took(self, now: float, k: int) -> list[Effect]:
        """Note that a shard has accepted; once all have, the rows are done."""
        self._unaccepted.discard(k)
        if self._unaccepted:
            return []
        for part in self._stepped:
            self._reached[part.lease.number] = part.stop
        effects: list[Effect] = []
        if self._stepped:
            self._told = self.stats
        due = now - self._reported >= self._settings.progress_every or self._left() < self._phase_rows
        if due and (self._stepped or self._kept):
            effects.append(self._progress(now))
        self._stepped = ()
        if not self._outstanding:
            self.stats = self.stats._replace(exchange=self.stats.exchange + now - self._sent_at)
            effects.append(SetTimer("again", None))
            effects += self._prepare(now, fresh=False)
        return effects

    def _pulled(self, now: float, message: Pulled) -> list[Effect]:
        k = number_of(message.shard)
        if self.state != EXCHANGING or message.epoch != self.epoch or message.clock != self.clock:
            return []
        if k not in self._outstanding or k in self._answers or not self._outstanding[k].wants:
            return []
        effects = self._took(now, k) if k in self._unaccepted else []
        self._answers[k] = message
        if len(self._answers) < len(self._primaries):
            return effects
        self._outstanding = {}
        answers = [self._answers[i] for i in range(len(self._primaries))]
        waited = min(max(answer.waited for answer in answers), now - self._sent_at)
        stats = self.stats
        self.stats = stats._replace(
            exchange=stats.exchange + now - self._sent_at - waited, waiting=stats.waiting + waited
        )
        self.state, self._following = STEPPING, self._plan(self._parts)
        phase = Phase(
            self._parts,
            tuple(answer.values for answer in answers),
            max(answer.rows for answer in answers),
            max(answer.active for answer in answers),
            self._following,
        )
        return [*effects, SetTimer("again", None), self._compute(now, phase)]

    # ------------------------------------------------------------------------------------------ signs of life

    def _left(self) -> int:
        """Rows of its leases behind the phase that is about to run."""
        planned = {part.lease.number: part.stop for part in self._parts}
        return sum(
            lease.stop - max(self._planned[number], planned.get(number, 0)) for number, lease in self._leases.items()
        )

    def _progress(self, now: float) -> Send:
        self._reported = now
        computing = now - self._job_at if self.state in (PREPARING, STEPPING) else None
        planned = dict(self._planned)
        planned.update((part.lease.number, part.stop) for part in self._parts)
        done = tuple((number, position, planned[number]) for number, position in self._reached.items())
        return Send(
            COORDINATOR,
            Progress(self.node, self.epoch, self.clock, done, self._told, computing, self._order, self._view),
        )

    def _alive(self, now: float) -> list[Effect]:
        return [self._progress(now), SetTimer("alive", self._settings.heartbeat)] if self.state != OUT else []

    def _again(self, now: float) -> list[Effect]:
        """Repeat what nobody has answered."""
        if self.state == OUT:
            return [self._wish(), SetTimer("again", self._settings.resend)]
        waiting = [k for k in self._outstanding if k not in self._answers]
        return [*map(self._send, waiting), SetTimer("again", self._settings.resend)] if waiting else []


def _rows_of(parts: tuple[Part, ...]) -> list[tuple[int, int, int]]:
    return [(part.lease.number, part.start, part.stop) for part in parts]
