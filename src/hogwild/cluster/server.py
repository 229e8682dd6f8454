"""The parameter server as a thing of its own: tables over shards, pulled and pushed by whoever has the handle."""

from __future__ import annotations

import contextlib
import math
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from hogwild.cluster.checkpoints import Checkpoints
from hogwild.cluster.rules import Rule
from hogwild.cluster.served import ServedShard, Table, Update
from hogwild.cluster.served_tables import ONLY, ShardLostError, Transport, parts_of, tables_of

_OPEN = 64  # pushes under way that nobody waits for


class _Part(NamedTuple):
    """Keys of one shard among those that were asked for: its rows, and which of the (unique) keys they are."""

    shard: int
    rows: np.ndarray | None
    places: slice | np.ndarray


class ParameterServer:
    """Tables of parameters, spread over processes: `pull` reads, `push` adds, from any process of the cluster.

    A table is an array; its keys are the numbers along the first axis, key k on shard ``k % shards``. So a table may be
    larger than the memory of any one process, as long as nobody pulls all of it. The handle can be pickled: an argument
    of Ray tasks and actors. Every push is applied once, whatever is sent twice on its way.

    Parameters
    ----------
    transport : Transport
        `start` and `restore` make one.
    tables : tuple of Table
    shards : int

    Examples
    --------
    >>> import numpy as np
    >>> from hogwild.cluster.server import ParameterServer
    >>> with ParameterServer.start({"w": np.zeros((5, 2)), "b": np.zeros(1)}, shards=2) as server:  # doctest: +SKIP
    ...     server.push("w", np.ones((2, 2)), keys=[4, 1])
    ...     server.push({"b": [0.5]})
    ...     server.pull("w", [0, 1])
    array([[0., 0.],
           [1., 1.]])
    """

    def __init__(self, transport: Transport, tables: tuple[Table, ...], shards: int) -> None:
        self._transport, self.shards = transport, shards
        self.tables = {table.name: table for table in tables}
        self._held = contextlib.ExitStack()
        self._reset()

    def _reset(self) -> None:
        self._client, self._lock = uuid.uuid4().hex, threading.Lock()
        self._sequences = [0] * self.shards
        self._open: list[Any] = []

    # -------------------------------------------------------------------------------------------- life

    @classmethod
    def start(
        cls,
        tables: Mapping[str, Any] | None = None,
        *,
        keys: int | None = None,
        width: int | None = None,
        dtype: Any = np.float32,
        init: Callable[[np.ndarray], Any] | None = None,
        shards: int = 2,
        rule: str | Rule | Mapping[str, str | Rule] = "add",
        address: str | None = None,
    ) -> ParameterServer:
        """Start shards as actors of a Ray cluster.

        Parameters
        ----------
        tables : dict of str to array
            Tables by name, with their initial values (float32 or float64; integers become float64).
        keys, width, dtype, init
            Instead of `tables`: one table of shape (keys,), or (keys, width), zero or, block by block and in the
            shards, what ``init(array of keys)`` returns; for tables that no single process can hold.
        shards : int, default=2
        rule : {"add", "sgd", "adagrad", "ftrl"}, rule object, or a dict of them by table, default="add"
            What a push does: it is added; or it is a gradient that the shard steps along (`hogwild.cluster.rules`:
            ``Adagrad(eta=0.1)``; tables under `Ftrl` start from zeros).
        address : str, optional
            Of a Ray cluster, ``"auto"`` for the one on this machine; by default what this process is connected to, or
            one that is started here and shut down by `close`.

        Returns
        -------
        ParameterServer
            Closed by `close`, or at the end of ``with``; copies of the handle close nothing.

        Raises
        ------
        ValueError
            If tables or settings do not fit together.
        """
        made, initial = tables_of(tables, keys, width, dtype, init, rule)
        if isinstance(shards, bool) or not isinstance(shards, int | np.integer) or shards < 1:
            raise ValueError(f"shards must be an integer of at least 1, found {shards!r}")
        parts = [parts_of(initial, k, shards) for k in range(shards)]
        return cls._on_ray(made, [(k, shards, made, parts[k]) for k in range(shards)], address)

    @classmethod
    def restore(cls, place: str, *, address: str | None = None) -> ParameterServer:
        """Start a server from its newest checkpoint in `place`: as many shards, what they held, which pushes they know.

        Raises
        ------
        FileNotFoundError
            If there is no checkpoint.
        """
        found = Checkpoints(place).newest_committed()
        if found is None:
            raise FileNotFoundError(f"found no checkpoint of a parameter server in {place}")
        number, about = found
        tables = tuple(Table(name, tuple(shape), *rest) for name, shape, *rest in about["tables"])
        shards = about["shards"]
        return cls._on_ray(tables, [(k, shards, tables, None, place, number) for k in range(shards)], address)

    @classmethod
    def _on_ray(cls, tables: tuple[Table, ...], arguments: list[tuple], address: str | None) -> ParameterServer:
        from hogwild.cluster.ray.serving import ActorTransport, connected

        with contextlib.ExitStack() as held:
            held.enter_context(connected(address))
            transport = ActorTransport.start(arguments)
            held.callback(transport.close)
            server = cls(transport, tables, len(arguments))
            transport.results([transport.submit(k, "process") for k in range(len(arguments))])
            server._held = held.pop_all()
        return server

    def close(self) -> None:
        """End the shards, and the Ray cluster if `start` had to start one. What was not saved is gone."""
        self._held.close()

    def __enter__(self) -> ParameterServer:
        """Close at the end."""
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for all pushes, and close."""
        try:
            if error[0] is None:
                self.flush()
        finally:
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        """A copy is a client of its own, and closes nothing."""
        return {"transport": self._transport, "tables": tuple(self.tables.values()), "shards": self.shards}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)

    def __repr__(self) -> str:
        named = ", ".join(f"{name} {table.dtype}{list(table.shape)}" for name, table in self.tables.items())
        return f"ParameterServer({named}; {self.shards} shards)"

    @property
    def nbytes(self) -> int:
        """Size of all values."""
        return sum(table.nbytes for table in self.tables.values())

    # -------------------------------------------------------------------------------------------- reading

    def pull(self, table: Any = None, keys: Any = None) -> Any:
        """Read.

        Parameters
        ----------
        table : str, optional
            Name of a table; None: all tables, or the only one. A server with one table takes the keys here.
        keys : array-like of int, optional
            In any order, repeated or not; None: all.

        Returns
        -------
        ndarray, or dict of ndarray
            A row for each key; a dict by name if all tables are read. With pushes of one client before its pull, and
            of others as they come: a pull from several shards is not a snapshot of one moment.

        Raises
        ------
        ValueError, IndexError
            For an unknown table, or a key out of range; nothing is read then.
        """
        if table is not None and not isinstance(table, str):
            if keys is not None:
                raise ValueError(f"the table must be named by a string, found {type(table).__name__}")
            table, keys = None, table
        if table is None and keys is None and ONLY not in self.tables:
            return self._read([(one, None) for one in self.tables.values()])
        found = self._table(table)
        return self._read([(found, keys)])[found.name]

    def _read(self, wanted: list[tuple[Table, Any]]) -> dict[str, np.ndarray]:
        self.flush()
        asked: dict[int, list[tuple[str, np.ndarray | None]]] = {}
        places: dict[int, list[tuple[str, slice | np.ndarray]]] = {}
        found, back = {}, {}
        for table, keys in wanted:
            unique, inverse = self._unique(table, keys)
            n = table.n_keys if unique is None else len(unique)
            found[table.name], back[table.name] = np.empty((n, table.width), table.dtype), inverse
            for part in self._split(table, unique):
                asked.setdefault(part.shard, []).append((table.name, part.rows))
                places.setdefault(part.shard, []).append((table.name, part.places))
        calls = [self._transport.submit(shard, "pull", one) for shard, one in asked.items()]
        for answers, where in zip(self._transport.results(calls), places.values(), strict=True):
            for values, (name, place) in zip(answers, where, strict=True):
                found[name][place] = values
        out = {}
        for table, keys in wanted:
            rows, inverse = found[table.name], back[table.name]
            rows = rows if inverse is None else rows[inverse]
            out[table.name] = rows.reshape(table.shape if keys is None else (len(rows), *table.shape[1:]))
        return out

    # -------------------------------------------------------------------------------------------- writing

    def push(self, table: Any, delta: Any = None, keys: Any = None, *, eta: float | None = None, wait: bool = True):
        """Add (or, where the table's rule says so, step along a gradient), once.

        Parameters
        ----------
        table : str, dict, or array-like of int
            Name of a table; or a dict of deltas of whole tables; or, of a server with one table, the keys.
        delta : array-like
            A row for each key; what is pushed to a key twice is summed up first. A number stands for rows of it.
        keys : array-like of int, optional
            None: all of the table.
        eta : float, optional
            Step size of a rule for gradients.
        wait : bool, default=True
            Whether to return only when the shards have applied it. Otherwise an error shows at a later call; `flush`
            and every `pull` of this handle wait for all.

        Raises
        ------
        ValueError, IndexError
            For an unknown table, a key out of range, a wrong shape, or values that are not finite; nothing is pushed
            then.
        ShardLostError
            If a shard is gone.
        """
        if isinstance(table, Mapping):
            if delta is not None or keys is not None:
                raise ValueError("a dict of deltas is pushed to whole tables: expected neither delta= nor keys=")
            wanted = [(self._table(name), values, None) for name, values in table.items()]
        elif table is None or isinstance(table, str):
            wanted = [(self._table(table), delta, keys)]
        else:
            if keys is not None:
                raise ValueError(f"the table must be named by a string, found {type(table).__name__}")
            wanted = [(self._table(None), delta, table)]
        updates: dict[int, list[Update]] = {}
        for one, values, which in wanted:
            self._cut(one, values, which, eta, updates)
        with self._lock:
            for shard, some in updates.items():
                self._sequences[shard] += 1
                call = self._transport.submit(shard, "push", self._client, self._sequences[shard], some)
                self._open.append(call)
        if wait or len(self._open) > _OPEN:
            self.flush()

    def flush(self) -> None:
        """Wait until all pushes of this handle are applied."""
        with self._lock:
            calls, self._open = self._open, []
        if calls:
            self._transport.results(calls)

    def _cut(self, table: Table, values: Any, keys: Any, eta: float | None, updates: dict[int, list[Update]]) -> None:
        """Check a push and cut it into those of the shards."""
        unique, inverse = self._unique(table, keys)
        n = table.n_keys if keys is None else len(inverse)
        shape = table.shape if keys is None else (n, *table.shape[1:])
        array = np.asarray(values, table.dtype)
        if array.ndim and array.shape != shape:
            raise ValueError(f"found a delta of shape {array.shape} for {table.name}, expected {shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"found a delta for {table.name} with numbers that are not finite")
        rows = np.broadcast_to(array, shape).reshape(n, table.width)
        if unique is not None:
            summed = np.zeros((len(unique), table.width), table.dtype)
            np.add.at(summed, inverse, rows)
            rows = summed
        if eta is not None and table.rule not in ("sgd", "adagrad"):
            raise ValueError(f"the rule of {table.name} is {table.rule}, which has no step size: expected no eta=")
        if eta is not None and not (math.isfinite(eta) and eta > 0):
            raise ValueError(f"eta must be above 0, found {eta!r}")
        step = math.nan if eta is None else float(eta)
        for part in self._split(table, unique):
            update = Update(table.name, part.rows, np.ascontiguousarray(rows[part.places]), step)
            updates.setdefault(part.shard, []).append(update)

    # -------------------------------------------------------------------------------------------- keys

    def _table(self, name: str | None) -> Table:
        if name is None and len(self.tables) == 1:
            return next(iter(self.tables.values()))
        if name not in self.tables:
            found = "no table was named" if name is None else f"found no table {name!r}"
            raise ValueError(f"{found}, expected one of {', '.join(self.tables)}")
        return self.tables[name]

    def _unique(self, table: Table, keys: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Ascending keys without repetition, and the place of each key among them; None for all."""
        if keys is None:
            return None, None
        keys = np.asarray(keys)
        if keys.ndim != 1 or (len(keys) and keys.dtype.kind not in "iu"):
            raise ValueError(f"keys must be a vector of integers, found {keys.dtype} of shape {keys.shape}")
        outside = (keys < 0) | (keys >= table.n_keys)
        if outside.any():
            raise IndexError(f"found key {keys[outside][0]} of {table.name}, expected 0 to {table.n_keys - 1}")
        return np.unique(keys.astype(np.int64), return_inverse=True)

    def _split(self, table: Table, keys: np.ndarray | None) -> list[_Part]:
        shards = self.shards
        if keys is None:
            return [_Part(k, None, slice(k, None, shards)) for k in range(min(shards, table.n_keys))]
        parts = []
        for shard in range(shards):
            places = np.flatnonzero(keys % shards == shard)
            if len(places):
                parts.append(_Part(shard, (keys[places] // shards).astype(np.uint32), places))
        return parts

    # -------------------------------------------------------------------------------------------- checkpoints

    def save(self, place: str) -> int:
        """Write a checkpoint: a snapshot of every shard, and then a record that they belong together.

        Shards write while others push: each snapshot is whole, but they are of slightly different moments unless the
        clients pause.

        Parameters
        ----------
        place : str
            A folder that all nodes share, or a URL that fsspec opens. The newest two checkpoints are kept.

        Returns
        -------
        int
            Its number.
        """
        self.flush()
        checkpoints = Checkpoints(place)
        newest = checkpoints.newest_committed()
        number = 1 if newest is None else newest[0] + 1
        calls = [self._transport.submit(k, "save", checkpoints.place, number) for k in range(self.shards)]
        nodes = self._transport.results(calls)
        about = {"tables": [list(table) for table in self.tables.values()], "shards": self.shards}
        checkpoints.commit(number, about, nodes)
        return number


__all__ = ["ParameterServer", "ServedShard", "ShardLostError"]
