"""What the machines of a cluster say to each other and to the runtime that carries them.

Every machine is a plain object with one method, ``handle(now, event) -> list of effects``: no clock, thread, socket or
global random state. A runtime delivers events and carries out effects: Ray on real machines, a simulator in virtual
time. Messages may be lost, doubled, delayed and reordered between any two nodes; a node may be killed at any time.

Nodes are named ``"coordinator"``, ``"worker/3"`` and ``"shard/0/1"`` (shard 0, replica 1).
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

COORDINATOR = "coordinator"


class Machine(Protocol):
    """A role of the protocol."""

    def handle(self, now: float, event: Event) -> list[Effect]:
        """Take one event at `now` (seconds, never going back) and return what is to be done, in this order."""
        ...


# ------------------------------------------------------------------------------------------------ events


class Started(NamedTuple):
    """The first event of every machine."""


class Recv(NamedTuple):
    """A message has come."""

    source: str
    message: Any


class Timer(NamedTuple):
    """A timer that was set has run out."""

    name: str


class Computed(NamedTuple):
    """A job is done."""

    ticket: int
    result: Any


class Persisted(NamedTuple):
    """A snapshot stands on disk."""

    number: int


class Lost(NamedTuple):
    """The runtime knows that a node is dead (Ray's typed errors); only the coordinator is told."""

    node: str


class Stop(NamedTuple):
    """The user wants to end (Ctrl-C, a callback); only the coordinator is told."""


Event = Started | Recv | Timer | Computed | Persisted | Lost | Stop


# ------------------------------------------------------------------------------------------------ effects


class Send(NamedTuple):
    """Send a message; nobody knows whether it arrives."""

    to: str
    message: Any


class SetTimer(NamedTuple):
    """Deliver `Timer(name)` after `delay` seconds; a timer of that name that runs is set anew. None: forget it."""

    name: str
    delay: float | None


class Compute(NamedTuple):
    """Run a job (`Prepare`, `Phase`, `Flush`) on this node's workload, beside the machine; `Computed` follows."""

    ticket: int
    job: Any


class Persist(NamedTuple):
    """Write a snapshot of this node, whole or not at all; `Persisted` says when it stands.

    `state` is a dict of arrays, `about` a dict that JSON knows.
    """

    number: int
    about: dict
    state: dict


class Start(NamedTuple):
    """Start that node anew in place of one that was lost; only the coordinator asks."""

    node: str


class Told(NamedTuple):
    """Something that the user may want to see: an `EpochEnded`, an eviction, a join; see the coordinator."""

    what: Any


class Finished(NamedTuple):
    """The node's work is over (the coordinator's: the whole job)."""


class Fail(NamedTuple):
    """The job cannot go on."""

    reason: str


Effect = Send | SetTimer | Compute | Persist | Start | Told | Finished | Fail


# ------------------------------------------------------------------------------------------------ work


class Chunk(NamedTuple):
    """Rows that are leased as a whole; `where` is for the workload alone."""

    number: int
    rows: int
    where: Any = None


class Lease(NamedTuple):
    """The right to step through positions start..stop of a chunk's rows in pass `turn` over the data (from 1).

    The order of rows in the chunk is drawn from the job's seed, the turn and the chunk alone.
    """

    number: int
    turn: int
    chunk: Chunk
    start: int
    stop: int


class Part(NamedTuple):
    """Positions start..stop of a leased chunk."""

    lease: Lease
    start: int
    stop: int


class Prepare(NamedTuple):
    """Job: say what has to be pulled for a phase over `parts`. Result: `Prepared`."""

    parts: tuple[Part, ...]
    fresh: bool  # the worker has just joined (again): what it holds is not to be trusted


class Prepared(NamedTuple):
    """What to pull from each shard (a store's request; None where it has nothing for these rows)."""

    pulls: tuple[Any, ...]


class Phase(NamedTuple):
    """Job: take over what was pulled, step through `parts`, hand back the deltas. Result: `PhaseResult`.

    Attributes
    ----------
    parts : tuple of Part
    pulled : tuple
        By shard, what its store's `read` returned for the request of `Prepared`.
    rows : float
        Global row clock: rows that all workers have had accepted.
    active : int
        Active workers.
    following : tuple of Part
        The phase after this one as far as it is known, to be prepared at once; may be empty.
    """

    parts: tuple[Part, ...]
    pulled: tuple[Any, ...]
    rows: float
    active: int
    following: tuple[Part, ...]


class PhaseResult(NamedTuple):
    """What a phase brought.

    Attributes
    ----------
    pushes : tuple
        By shard, what its store's `apply` takes (None: nothing changed there).
    pulls : tuple
        By shard, requests for the `following` phase; empty where none was given.
    rows : int
    weight, loss : float
        Sums over the rows: of weights, and of losses, each row before its own step.
    constant : float
        In front of the curvature, in this phase's pushes; NaN where nothing is damped.
    kept : float
        Share of what the pushes bring (of their squares) that damping leaves; NaN where nobody knows.
    complete : bool
        False: changes of some keys are kept back for a later phase, or for a `Flush`; the rows count as done with that.
    """

    pushes: tuple[Any, ...]
    pulls: tuple[Any, ...]
    rows: int
    weight: float
    loss: float
    constant: float
    kept: float = float("nan")
    complete: bool = True


class Flush(NamedTuple):
    """Job: hand over what earlier phases have kept back. Result: `PhaseResult` of no rows."""


class Workload(Protocol):
    """What a worker computes: real kernels, or durations drawn at random."""

    def run(self, job: Prepare | Phase | Flush) -> Prepared | PhaseResult:
        """Run a job; jobs of one worker follow each other."""
        ...


class Store(Protocol):
    """What a shard holds: values for a range of keys. Requests and pushes are its own and the workload's business."""

    def missing(self, push: Any, pull: Any) -> tuple[int, ...]:
        """Ids of key sets that `push` and `pull` name without spelling them, and that the store does not know."""
        ...

    def spelled(self, push: Any) -> Any:
        """Return a push or a pull with its key set spelled, for a copy of this store that may not know it."""
        ...

    def apply(self, push: Any, active: int) -> None:
        """Take one worker's deltas over, damped for `active` workers; a function of state, push and `active` alone."""
        ...

    def read(self, pull: Any) -> Any:
        """Return what was asked for; never a view of the store."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """Return everything as arrays (copies)."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        ...


class Keyed(Protocol):
    """A push or a pull that may name its key set by id alone (key caching)."""

    def ids(self) -> tuple[int, ...]:
        """Ids of the key sets that it names."""
        ...

    def brief(self) -> Any:
        """Return the same without spelling its key sets."""
        ...


# ------------------------------------------------------------------------------------------------ messages


class Stats(NamedTuple):
    """What a worker has done since it joined: sums over its phases, in rows and seconds of its runtime's clock."""

    phases: int = 0
    rows: int = 0
    weight: float = 0.0
    loss: float = 0.0  # each row before its own step
    compute: float = 0.0  # in jobs
    exchange: float = 0.0  # from the end of a phase to the last reply, without waiting
    waiting: float = 0.0  # at the gate, for slower workers
    constant: float = float("nan")  # of the last phase
    kept: float = float("nan")  # of the last phase: what damping left of it


class View(NamedTuple):
    """Who takes part, as the coordinator decided last.

    Attributes
    ----------
    number : int
        Grows with every change.
    members : dict of str to int
        Epoch of each active worker: the number of the view that took it in.
    primaries : tuple of str
        By shard, the node that takes pushes.
    backups : tuple of (str or None)
        By shard, the node that the primary copies every push to before it accepts it.
    incarnations : dict of str to int
        Of the shard nodes: a node that was started anew takes no notice of views meant for the one before it.
    """

    number: int
    members: dict[str, int]
    primaries: tuple[str, ...]
    backups: tuple[str | None, ...]
    incarnations: dict[str, int]


class Join(NamedTuple):
    """Worker to coordinator: take me in (again); repeated until an answer comes.

    `attempt` grows with every new wish (incarnation of the node, number of the wish), so that a late copy of an
    earlier one is known.
    """

    worker: str
    attempt: tuple[int, int]


class Joined(NamedTuple):
    """Coordinator to worker: you are a member under `epoch`, at `clock` finished phases; `Leases` comes with it."""

    attempt: tuple[int, int]
    clock: int
    primaries: tuple[str, ...]
    leases: Leases


class Leases(NamedTuple):
    """Coordinator to worker: all the leases that you hold now, and how many rows a phase of yours should have.

    No lease at all: you are no longer a member, and will be told when there is work.
    """

    epoch: int
    leases: tuple[Lease, ...]
    phase_rows: int
    order: int  # among those of this epoch: an older one is ignored


class Progress(NamedTuple):
    """Worker to coordinator: how far I am; also sent now and then as a sign of life (with the last figures again).

    Attributes
    ----------
    done : tuple of (lease number, position reached, position planned)
        Of all leases held: rows before the first are in pushes that all shards have accepted, rows before the second
        in a phase that runs or is about to.
    computing : float or None
        Seconds that the present job has been running; None where there is none.
    order, view : int
        Last `Leases.order` and number of the last `Moved` that came.
    """

    worker: str
    epoch: int
    clock: int
    done: tuple[tuple[int, int, int], ...]
    stats: Stats
    computing: float | None
    order: int
    view: int


class Moved(NamedTuple):
    """Coordinator to worker: shards are elsewhere now."""

    primaries: tuple[str, ...]
    view: int


class Wait(NamedTuple):
    """Coordinator to worker: there is no work at present; keep asking."""


class Finish(NamedTuple):
    """Coordinator to all: the job is over."""


class Evicted(NamedTuple):
    """Shard or coordinator to worker: you are no member under that epoch; join again."""

    epoch: int


class Members(NamedTuple):
    """Coordinator to shard nodes: the present view; repeated until `MembersSet` comes."""

    view: View


class MembersSet(NamedTuple):
    """Shard node to coordinator: view taken over; `clock` is the highest of its members."""

    node: str
    view: int
    clock: int


class ShardUp(NamedTuple):
    """Shard node to coordinator: I have just been started; repeated until `Members` comes.

    `restored` says whether from a checkpoint; `rows` is the row clock there. `incarnation` counts the node's starts.
    """

    node: str
    incarnation: int
    restored: bool
    rows: float


class Synced(NamedTuple):
    """Primary to coordinator: that backup holds everything that I have accepted, and I accept nothing without it."""

    node: str
    incarnation: int
    backup: str
    backup_incarnation: int


class PushPull(NamedTuple):
    """Worker to shard: take `push` as my phase number `clock`, and answer `pull` as soon as the policy admits me.

    `rows` are those of the phase, 0 where none was stepped; `wants`: whether `Pulled` is expected, even of nothing.
    """

    worker: str
    epoch: int
    clock: int
    push: Any
    pull: Any
    rows: int
    wants: bool


class Accepted(NamedTuple):
    """Shard to worker: the push of that phase is applied, once (and copied, where shards have copies)."""

    shard: str
    epoch: int
    clock: int
    staleness: int


class Pulled(NamedTuple):
    """Shard to worker: what was asked for, with all pushes of active workers up to `lowest`; says `Accepted` as well.

    `waited` are the seconds that the request stood at the gate, `rows` the shard's count of accepted rows.
    """

    shard: str
    epoch: int
    clock: int
    values: Any
    lowest: int
    active: int
    rows: float
    waited: float
    staleness: int


class NeedKeys(NamedTuple):
    """Shard to worker: spell these key sets."""

    shard: str
    epoch: int
    clock: int
    ids: tuple[int, ...]


class Replicate(NamedTuple):
    """Primary to backup: the next push after the state of that lineage, numbered from 1."""

    lineage: int
    sequence: int
    message: PushPull
    active: int


class Replicated(NamedTuple):
    """Backup to primary: on the state of that lineage, everything up to `sequence` is applied here."""

    lineage: int
    sequence: int


class State(NamedTuple):
    """Primary to new backup: everything that I hold, up to `sequence`; `lineage` is the view that asked for it."""

    lineage: int
    sequence: int
    about: dict
    state: dict


class Save(NamedTuple):
    """Coordinator to shards: write a checkpoint of that number."""

    number: int


class Saved(NamedTuple):
    """Shard to coordinator: it stands."""

    node: str
    number: int


class Ping(NamedTuple):
    """Coordinator to shards: say that you are there."""


class Pong(NamedTuple):
    """Shard to coordinator: yes; pushes and rows accepted, duplicates left out, and how stale pushes were.

    `staleness` maps a number of pushes of others, between a worker's pull and its push, to how often it was found.
    """

    node: str
    incarnation: int
    pushes: int
    rows: float
    duplicates: int
    staleness: dict[int, int]


# ------------------------------------------------------------------------------------------------ told to the user


class EpochEnded(NamedTuple):
    """All rows have been stepped once more: mean loss (each row before its own step), the rows, and the time."""

    turn: int
    loss: float
    rows: int
    now: float


class Advanced(NamedTuple):
    """Some rows more: all rows so far, sums of weight and loss of the turn, phase length, active workers."""

    rows: int
    turn: int
    weight: float
    loss: float
    phase_rows: int
    active: int
    now: float


class Happened(NamedTuple):
    """A worker joined, was evicted or left; a shard was lost, restored or promoted."""

    what: str
    node: str
    now: float


class Checkpointed(NamedTuple):
    """All shards and the coordinator have written the checkpoint of that number."""

    number: int
    now: float
