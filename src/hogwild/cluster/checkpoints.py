"""Snapshots of a cluster's nodes in a folder or an object store: whole or not there, checksummed, the newest two kept.

A node's snapshots are numbered; the job's own record says which number all nodes have, so that a resumed job takes one
number from everybody. Under the place, ``shard/0/1/00000012.safetensors`` is snapshot 12 of that node, ``job/`` holds
the records. In an object store, ``00000012.json`` is written last, naming the object, its size and digest: what it does
not name is not there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np

from hogwild import storage
from hogwild.cluster.snapshots import FORMAT, Folder, NewerFormatError, Objects
from hogwild.data.errors import DataError
from hogwild.data.locations import is_url

JOB = "job"
KEPT = 2
_NODE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")

Snapshot = tuple[dict[str, Any], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Checkpoints:
    """Snapshots of the nodes of one job.

    Several processes may write at once, each its own nodes. Of each node the newest two snapshots are kept, and those
    that the job's newest two records name.

    Parameters
    ----------
    place : str
        A folder, made if it is not there, or a URL that fsspec opens (``s3://bucket/job``; extra ``hogwild[cloud]``).

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from hogwild.cluster.checkpoints import Checkpoints
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoints = Checkpoints(folder)
    ...     checkpoints.write("shard/0/0", 1, {"rows": 500}, {"values": np.zeros(3)})
    ...     checkpoints.commit(1, {"clock": 7}, ["shard/0/0"])
    ...     number, about = checkpoints.newest_committed()
    ...     number, about, checkpoints.read("shard/0/0", number)
    (1, {'clock': 7}, ({'rows': 500}, {'values': array([0., 0., 0.])}))
    """

    place: str

    def __post_init__(self) -> None:
        """Make a folder's path absolute: the nodes that it is sent to may work elsewhere."""
        place = os.fspath(self.place)
        url = urlsplit(place)
        if is_url(place) and url.scheme in ("file", "local"):
            place = url2pathname(url.path)
        object.__setattr__(self, "place", place.rstrip("/") if is_url(place) else os.path.abspath(place))

    # ------------------------------------------------------------------------------------------- a node's own

    def write(self, node: str, number: int, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Write a node's snapshot, and remove those that are no longer needed and what a killed writer left.

        Parameters
        ----------
        node : str
            As in ``"shard/0/1"``. Only one process writes snapshots of it.
        number : int
            A snapshot of that number that is there already is replaced.
        about : dict
            Values that JSON knows.
        arrays : dict of ndarray

        Raises
        ------
        OSError
            If it cannot be written (a full disk); what was there before stands.
        """
        if _checked(node) == JOB:
            raise ValueError(f"{JOB!r} is the name of the job's own records, expected a node's")
        self._write(node, number, about, arrays)
        kept = {*self.numbers(node)[-KEPT:], number, *self._store.numbers(JOB)[-KEPT:]}
        self._store.clean(node, kept)

    def numbers(self, node: str) -> list[int]:
        """Return the numbers of a node's snapshots, ascending; whole or not."""
        return self._store.numbers(_checked(node))

    def read(self, node: str, number: int) -> Snapshot:
        """Return ``about`` and ``arrays`` of one snapshot.

        Raises
        ------
        DataError
            If it is torn, altered, of a newer format, or of another node or number.
        FileNotFoundError
            If it is not there.
        """
        content, name = self._store.get(_checked(node), number)
        found, arrays = storage.unpack(content, name)
        if found.get("format") != FORMAT:
            raise NewerFormatError(name, found=f"format {found.get('format')!r}", expected=f"format {FORMAT}")
        if (found["node"], found["number"]) != (node, number):
            raise DataError(
                name, found=f"snapshot {found['number']} of {found['node']}", expected=f"{number} of {node}"
            )
        return found["about"], arrays

    def newest(self, node: str) -> tuple[int, dict[str, Any], dict[str, np.ndarray]] | None:
        """Return number, ``about`` and ``arrays`` of a node's newest whole snapshot; None if there is none at all.

        Raises
        ------
        DataError
            If there are snapshots and none of them is whole, or the newest whole one is of a newer format.
        """
        problem: DataError | None = None
        for _ in range(3):
            gone = False
            for number in reversed(self.numbers(node)):
                try:
                    return (number, *self.read(node, number))
                except FileNotFoundError:  # removed since it was listed, by a writer: there is a newer one
                    gone = True
                except NewerFormatError:
                    raise
                except DataError as error:
                    problem = problem or error
            if not gone:
                break
        if problem is not None:
            raise problem
        return None

    # ------------------------------------------------------------------------------------------- the job's

    def commit(self, number: int, about: Mapping[str, Any], nodes: list[str] | tuple[str, ...] = ()) -> None:
        """Record that all nodes have saved that number.

        Parameters
        ----------
        number : int
        about : dict
            Values that JSON knows.
        nodes : list of str
            Whose snapshots belong to it.

        Raises
        ------
        ValueError
            If one of them has no snapshot of that number.
        """
        for node in nodes:
            if number not in self.numbers(node):
                raise ValueError(f"{self.place}: found no snapshot {number} of {node}, expected one before the record")
        self._write(JOB, number, {"about": dict(about), "nodes": list(nodes)}, {})
        self._store.clean(JOB, {*self._store.numbers(JOB)[-KEPT:], number})

    def newest_committed(self, before: int | None = None) -> tuple[int, dict[str, Any]] | None:
        """Return the newest number that all nodes have, and the ``about`` it was recorded with; None if there is none.

        Parameters
        ----------
        before : int, optional
            Only older ones: to go back further where a node's snapshot turns out to be damaged.

        Raises
        ------
        DataError
            If there are records and none of them is whole, or the newest is of a newer format.
        """
        problem: DataError | None = None
        for number in reversed(self._store.numbers(JOB)):
            if before is not None and number >= before:
                continue
            try:
                record, _ = self.read(JOB, number)
            except NewerFormatError:
                raise
            except DataError as error:
                problem = problem or error
                continue
            missing = [node for node in record["nodes"] if number not in self.numbers(node)]
            if not missing:
                return number, record["about"]
            found = f"no snapshot {number} of {missing[0]}"
            problem = problem or DataError(self.place, found=found, expected="one of every node that the record names")
        if problem is not None:
            raise problem
        return None

    def committed_nodes(self, number: int) -> list[str]:
        """Return the nodes whose snapshots belong to a record."""
        return self.read(JOB, number)[0]["nodes"]

    def nodes(self) -> list[str]:
        """Return the nodes that have snapshots here."""
        return [node for node in self._store.nodes() if node != JOB]

    def rewind(self, number: int) -> None:
        """Remove all snapshots and records newer than `number`, before a job goes on from there.

        Otherwise a node that is lost later would find what the abandoned run had left as its newest.
        """
        for node in (JOB, *self.nodes()):
            self._store.clean(node, {kept for kept in self._store.numbers(node) if kept <= number})

    def _write(self, node: str, number: int, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        if number < 0:
            raise ValueError(f"number must be at least 0, found {number!r}")
        about = {"format": FORMAT, "node": node, "number": int(number), "about": dict(about)}
        self._store.put(node, number, storage.pack(about, arrays))

    @cached_property
    def _store(self) -> Folder | Objects:
        return Objects(self.place) if is_url(self.place) else Folder(Path(self.place))

    def __getstate__(self) -> dict[str, Any]:
        """Leave the connection out: it belongs to this process."""
        return {"place": self.place}

    def __setstate__(self, state: dict[str, Any]) -> None:
        object.__setattr__(self, "place", state["place"])


def _checked(node: str) -> str:
    if not _NODE.fullmatch(node):
        raise ValueError(f"found node {node!r}, expected names of letters, digits, '_', '-' and '.', joined by '/'")
    return node
