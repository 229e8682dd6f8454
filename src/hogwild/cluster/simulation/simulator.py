"""Runs machines in virtual time: a heap of events, one seed, the effects carried out."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from typing import Any

import numpy as np

from hogwild.cluster.protocol import (
    COORDINATOR,
    Compute,
    Computed,
    Fail,
    Finished,
    Persist,
    Persisted,
    PhaseResult,
    Progress,
    Recv,
    Send,
    SetTimer,
    Start,
    Timer,
    Told,
    Workload,
)
from hogwild.cluster.simulation.cluster import (
    ACTION,
    ARRIVAL,
    EVENT,
    MESSAGE,
    TIMER,
    WRITTEN,
    Cluster,
    Factory,
    SimulationError,
    place_of,
)
from hogwild.cluster.simulation.costs import Costs
from hogwild.cluster.simulation.delays import Delay, uniforms
from hogwild.cluster.simulation.network import HEADER, SIZES, Network, payload_bytes
from hogwild.cluster.simulation.nodes import Node
from hogwild.cluster.simulation.trace import BATCH, PhaseDone, Trace

new = tuple.__new__  # a named tuple's own costs 150 ns more
_NEVER = float("inf")
_SLIPS = 4_096  # bytes up to which a message does not queue at the receiver's link


class Simulator(Cluster):
    """A cluster in virtual time.

    Parameters
    ----------
    machines : mapping of str to callable
        By node, a function of its last snapshot (None: there is none) and of how often it has been started before, that
        makes its machine. Nodes may be added later (`add`).
    workloads : callable or None
        Function of a worker's name that makes its workload, anew for every life.
    network, costs : Network, Costs
    seed : int
        Of everything that is random here.
    start : Delay
        Seconds from `Start`, or from a restart that a fault model orders, to the node's first event.
    told : float
        Probability that the coordinator is told of a node's death (`Lost`) before its own timers say so.
    telling : Delay
        After how long.
    serialize : bool
        Pickle every message on its way, so that nodes cannot share arrays by accident; slow.
    trace : Trace or None
    observer : object or None
        Its `after(now, node, event, effects)` is called after every event, `began(now, node)`, `ended(now, node)`
        with every life, and `finish(now)` when the job is over: see `Checker`.

    Attributes
    ----------
    now : float
    nodes : dict of str to Node
    disks : dict of str to Persist
        Last snapshots that stand whole, by shard or node; they survive crashes.
    finished : bool
        The coordinator has said that the job is over.
    failed : str or None
        Why it cannot go on.
    """

    def __init__(
        self,
        machines: Mapping[str, Factory],
        *,
        workloads: Callable[[str], Workload] | None = None,
        network: Network | None = None,
        costs: Costs | None = None,
        seed: int = 0,
        start: Delay | None = None,
        told: float = 1.0,
        telling: Delay | None = None,
        serialize: bool = False,
        trace: Trace | None = None,
        observer: Any = None,
    ) -> None:
        self.network, self.costs = network or Network(), costs or Costs()
        self.seed, self.serialize, self.finished, self.failed = seed, serialize, False, None
        self.loss, self.duplication = self.network.loss, self.network.duplication
        rngs = [np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(6)]
        self._delay = self.network.delay.stream(rngs[0])
        self._uniform = uniforms(rngs[1])
        self._duration = self.costs.clock(rngs[2])
        self._per_byte = 1 / self.network.bandwidth
        starting = (start or Delay(1.0, 0.5)).stream(rngs[3])
        telling = (telling or Delay(0.01, 0.05)).stream(rngs[4])
        chance = uniforms(rngs[5])
        super().__init__(machines, workloads, starting, telling, chance, told, trace or Trace(), observer)

    # -------------------------------------------------------------------------------------------- the loop

    def run(self, until: float = _NEVER, events: int | None = None) -> bool:
        """Run on until the job is over or failed, virtual time `until`, or that many more events.

        Returns
        -------
        running : bool
            Whether there is more to come.
        """
        heap, trace, observer, network = self._heap, self.trace, self.observer, self.network
        recent, times, kinds, codes = trace.recent, trace.times, trace.kinds, trace.codes
        queues = network.bandwidth != _NEVER or network.handling > 0
        per_byte, handling = 1 / network.bandwidth, network.handling
        last = None if events is None else trace.events + events
        carry = self._carry
        while heap and not (self.finished or self.failed):
            if heap[0][0] > until or trace.events == last:
                return True
            now, _, kind, node, what, about = heappop(heap)
            self.now = now
            if kind == MESSAGE:
                if node.machine is None:
                    continue
                if queues:
                    wait = handling + (about * per_byte if about > _SLIPS else 0.0)
                    if wait:
                        free = node.inbox
                        node.inbox = free = (free if free > now else now) + wait
                        self._push(free, ARRIVAL, node, what, node.life)
                        continue
                event = what
                of = type(what[1])
            elif kind == TIMER:
                timers = node.timers
                if timers.get(what) is not about:
                    continue
                deadline = about[0]
                if deadline > now:  # it was set anew, or forgotten, since
                    if deadline == _NEVER:
                        del timers[what]
                    else:
                        about[1] = deadline
                        self._push(deadline, TIMER, node, what, about)
                    continue
                del timers[what]
                event = Timer(what)
                of = Timer
            elif kind == ACTION:
                what()
                continue
            elif about != node.life:
                continue
            elif kind == EVENT:
                event = what
                of = type(event)
                if of is Computed:
                    node.computing -= 1
                    result = event.result
                    if type(result) is PhaseResult:
                        trace.phases.append(PhaseDone(now, node.name, result.rows, result.weight, result.loss))
            elif kind == ARRIVAL:
                event = what
                of = type(what[1])
            else:
                place = place_of(node.name)
                if place not in self.disks or self.disks[place].number <= what.number:
                    self.disks[place] = what
                event = Persisted(what.number)
                of = Persisted
            times.append(now)
            kinds.append(node.number << 8 | (codes[of] if of in codes else trace.code(of)))
            recent.append((now, node.name, event))
            trace.events += 1
            if len(times) >= BATCH:
                trace.fold()
            try:
                effects = node.handle(now, event)
            except Exception as error:
                where = f"{node.name} failed at {now:.6f} s, event {trace.events}, seed {self.seed}"
                raise SimulationError(f"{where}: {error!r}\n{trace.tail()}") from error
            if effects:
                carry(now, node, effects)
            if observer is not None:
                observer.after(now, node, event, effects)
        if observer is not None and self.finished:
            observer.finish(self.now)
        return False

    def _carry(self, now: float, node: Node, effects: list) -> None:
        heap, nodes = self._heap, self.nodes
        for effect in effects:
            kind = type(effect)
            if kind is Send:
                self._send(now, node, effect[0], effect[1])
            elif kind is SetTimer:
                name, delay = effect
                timers = node.timers
                timer = timers.get(name)
                if delay is None:
                    if timer is not None:
                        timer[0] = _NEVER
                    continue
                deadline = now + delay
                if timer is not None and timer[1] <= deadline:
                    timer[0] = deadline  # the entry in the heap moves on when it comes up: most timers are set anew
                else:
                    timers[name] = timer = [deadline, deadline]
                    self._sequence += 1
                    heappush(heap, (deadline, self._sequence, TIMER, node, name, timer))
            elif kind is Compute:
                self._compute(now, node, effect)
            elif kind is Persist:
                ends = now + self.costs.writing(payload_bytes(effect.state))
                self._push(ends, WRITTEN, node, effect, node.life)
            elif kind is Start:
                self._asked(nodes[effect.node])
            elif kind is Told:
                self.trace.told.append(effect.what)
            elif kind is Finished:
                self.finished = self.finished or node.role == COORDINATOR
            elif kind is Fail:
                self.failed = f"{node.name}: {effect.reason}"
            else:
                raise SimulationError(f"{node.name} returned {effect!r}, which is no effect")

    # -------------------------------------------------------------------------------------------- effects

    def _send(self, now: float, node: Node, name: str, message: Any) -> None:
        to, trace, network = self.nodes.get(name), self.trace, self.network
        kind = type(message)
        if network.size is None:
            sizer = SIZES.get(kind)
            size = HEADER if sizer is None else sizer(message)
        else:
            size = network.size(message)
        tally = node.sent.get(kind)
        if tally is None:
            tally = node.sent[kind] = [0, 0]
        tally[0] += 1
        tally[1] += size
        if kind is Progress:
            trace.progress(node.name, message.epoch, message.stats)
        if self._per_byte:
            link = node.link
            node.link = leaves = (link if link > now else now) + size * self._per_byte
        else:
            leaves = now
        draw, loss = self._uniform(), self.loss
        if to is None or draw < loss or to.wall != node.wall:
            if trace.log is not None:
                trace.log.message(now, None, node.name, name, message, size)
            return
        sent = message
        if self.serialize:
            message = pickle.loads(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))
        arrives = leaves + self._delay()
        self._sequence += 1
        heappush(self._heap, (arrives, self._sequence, MESSAGE, to, new(Recv, (node.name, message)), size))
        if draw - loss < self.duplication:
            if self.serialize:
                message = pickle.loads(pickle.dumps(sent, pickle.HIGHEST_PROTOCOL))
            self._push(leaves + self._delay(), MESSAGE, to, Recv(node.name, message), size)
        if trace.log is not None:
            trace.log.message(now, arrives, node.name, name, message, size)

    def _compute(self, now: float, node: Node, effect: Compute) -> None:
        if node.workload is None:
            raise SimulationError(f"{node.name} computes, but only workers have a workload")
        job = effect.job
        result = node.workload.run(job)
        begins = max(now, node.processor)
        node.processor = ends = begins + self._duration(node.name, job)
        node.computing += 1
        if self.trace.log is not None:
            self.trace.log.span(begins, ends, node.name, job)
        self._push(ends, EVENT, node, Computed(effect.ticket, result), node.life)
