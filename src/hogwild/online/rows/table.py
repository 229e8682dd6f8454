"""Named rows of features, as they are here and now, and at rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from hogwild.online.features.vocabulary import Vocabulary
from hogwild.online.rows.arena import FRESH, REMOVED, SEARCHED, UNCUT, Arena
from hogwild.online.rows.blocks import Block, Known, Version
from hogwild.online.rows.unlearning import Unlearner
from hogwild.online.state import State

REMEMBERED = 65_536  # removed rows whose removal is remembered, or older changes would bring them back
_ABOUT = ("known", "owner_names")

Sign = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _unsigned(indptr: np.ndarray, slots: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.zeros((len(indptr) - 1, 0), np.uint64)


class Table:
    """Rows by name, with what is to be told to other servers.

    Of each name the latest change holds, wherever it was made (`blocks.Version`). What a group has agreed on is the
    master part: a row that was changed here since keeps the master's version beneath it.

    Parameters
    ----------
    vocabulary : Vocabulary
        Of the slots. Those that no row uses any more are freed now and then.
    owner : str
        Whose changes these are. A group gives each life of a server a name of its own.
    sign : callable, optional
        Makes rows' signatures of their offsets, slots and values.
    unlearner : Unlearner, optional

    Attributes
    ----------
    arena : Arena
    live : dict of str to int
        Numbers of the rows in the arena, in the order of their last changes.
    known : dict of str to int
        By owner, the number of the latest of its changes that is known here.
    generation : int
        Grows when rows have changed otherwise than by `put` and `remove`.
    """

    def __init__(
        self, vocabulary: Vocabulary, owner: str = "", *, sign: Sign = _unsigned, unlearner: Unlearner | None = None
    ) -> None:
        self._vocabulary, self.owner, self._sign, self._unlearner = vocabulary, owner, sign, unlearner
        self.arena = Arena(self._signed(np.zeros(1, np.int64)).shape[1])
        self.known: Known = {}
        self._settled: Known = {}  # what the master part knows
        self.generation = 0
        self._wipe()

    def _signed(self, indptr: np.ndarray, slots: Any = (), values: Any = ()) -> np.ndarray:
        return self._sign(indptr, np.asarray(slots, np.uint32), np.asarray(values, np.float64))

    def _wipe(self) -> None:
        self.arena.clear()
        self.live: dict[str, int] = {}
        self._gone: dict[str, int] = {}
        self._beneath: dict[str, int] = {}
        self._owners: dict[str, int] = {}
        self._owner_names: list[str] = []
        self.generation += 1
        if self._unlearner is not None:
            self._unlearner.clear()

    # ------------------------------------------------------------------------------------------- here

    def __len__(self) -> int:
        return len(self.live)

    def __contains__(self, name: str) -> bool:
        return name in self.live

    def knows(self, name: str) -> bool:
        """Whether a row of that name is there, or was and its removal is remembered."""
        return name in self.live or name in self._gone

    @property
    def clock(self) -> int:
        """The number of the next change."""
        return max(self.known.values(), default=-1) + 1

    def row(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a row's slots and values; of an unknown name, none."""
        number = self.live.get(name)
        return (np.zeros(0, np.uint32), np.zeros(0)) if number is None else self.arena.entries(number)

    def put(self, name: str, slots: np.ndarray, values: np.ndarray, mark: Any = None) -> None:
        """Set a row; the unlearner's choice goes where there are too many."""
        self._change(name, slots, values, mark)
        if self._unlearner is not None:
            self._shrink(self._unlearner)

    def remove(self, name: str) -> bool:
        """Remove a row; return whether it was there."""
        if name not in self.live:
            return False
        self._change(name, None, None, None)
        return True

    def _change(self, name: str, slots: Any, values: Any, mark: Any) -> None:
        version = Version(self.clock, self.owner, slots is None)
        self.known[self.owner] = version.clock
        fresh = self._set_beneath(name)
        self._place(name, self._append(name, version, slots, values, mark, UNCUT | fresh))

    def _set_beneath(self, name: str) -> int:
        """Keep the master's version of a row that is about to change; return whether there is none, as a flag."""
        row = self._current(name)
        if row is None:
            return FRESH
        fresh = int(self.arena.flags[row]) & FRESH
        if not fresh:
            self._beneath.setdefault(name, row)
        return fresh

    def _current(self, name: str) -> int | None:
        row = self.live.get(name)
        return self._gone.get(name) if row is None else row

    def _append(self, name: str, version: Version, slots: Any, values: Any, mark: Any, flags: int) -> int:
        owner = self._owner_code(version.owner)
        if slots is None:
            slots, values, length = (), np.zeros(0), REMOVED
        else:
            length, flags = len(slots), flags | SEARCHED
        row = self.arena.add([name], np.array([length]), slots, values, version.clock, owner, [mark], flags)
        if not version.removed:
            self.arena.codes[row] = self._signed(np.array([0, length]), slots, values)[0]
        return row

    def _owner_code(self, owner: str) -> int:
        code = self._owners.setdefault(owner, len(self._owners))
        if code == len(self._owner_names):
            self._owner_names.append(owner)
        return code

    def _place(self, name: str, row: int | None) -> None:
        """Make a row of the arena the name's current one, or none."""
        before = self._current(name)
        was = self.live.pop(name, None) is not None
        self._gone.pop(name, None)
        alive = row is not None and self.arena.lengths[row] != REMOVED
        if row is not None:
            (self.live if alive else self._gone)[name] = row
        if before is not None and self._beneath.get(name) == before:
            self.arena.flags[before] = 0  # not searched any more
        elif before is not None:
            self.arena.drop(before)
        if self._unlearner is not None and was != alive:
            (self._unlearner.added if alive else self._unlearner.removed)(name)

    def _shrink(self, unlearner: Unlearner) -> None:
        while len(self.live) > unlearner.max_size:
            self.remove(unlearner.victim(self.live, self.clock))

    def tidy(self) -> None:
        """Forget removals of long ago, and leave what is no longer needed out of the arena.

        Slots that no row uses may be freed: not while rows that have got theirs wait to be put.
        """
        while len(self._gone) > REMEMBERED:
            name = next(iter(self._gone))
            if not self.arena.flags[self._gone[name]] & FRESH:
                break  # the others have that row
            self.arena.drop(self._gone.pop(name))
        if self.arena.wasteful:
            rows = np.array(sorted([*self.live.values(), *self._gone.values(), *self._beneath.values()]), np.int64)
            number = np.zeros(self.arena.size, np.int64)
            number[rows] = np.arange(len(rows))
            self.arena.keep(rows)
            for numbers in (self.live, self._gone, self._beneath):
                numbers.update(zip(numbers, number[list(numbers.values())].tolist(), strict=True))
            self._free()

    def _free(self) -> None:
        """Free slots that no row uses."""
        used = np.zeros(len(self._vocabulary.names), bool)
        used[self.arena.slots[: self.arena.used]] = True
        unused = [slot for slot in np.flatnonzero(~used).tolist() if self._vocabulary.names[slot] is not None]
        if unused:
            self._vocabulary.free(unused)

    # ------------------------------------------------------------------------------------------- at rest

    def clear(self) -> None:
        """Forget all rows; changes of before stay known."""
        self._wipe()
        self._free()

    def state(self) -> State:
        """See `Part`."""
        packed = self._pack([*self.live.values(), *self._gone.values()], self.known).packed()
        return State({key: packed.pop(key) for key in _ABOUT}, packed)

    def restore(self, state: State) -> None:
        """See `Part`."""
        self._fill(Block.read({**state.about, **state.arrays}))

    def _pack(self, rows: Iterable[int], known: Known) -> Block:
        numbers = np.fromiter(rows, np.int64)
        return Block.of(known, self.arena, numbers, self._owner_names, self._vocabulary.names)

    def _fill(self, block: Block) -> None:
        """Be a master part, with nothing learnt since."""
        self._wipe()
        self.known, self._settled = dict(block.known), dict(block.known)
        order = sorted(range(len(block)), key=lambda row: (block.versions[row], block.names[row]))
        lengths, slots, values = block.taken(order, self._slots(block))
        versions = [block.versions[row] for row in order]
        names = [block.names[row] for row in order]
        owners = [self._owner_code(version.owner) for version in versions]
        clocks = np.array([version.clock for version in versions], np.int64)
        marks = [block.marks[row] for row in order]
        flags = np.where(lengths == REMOVED, 0, SEARCHED)
        self.arena.add(names, lengths, slots, values, clocks, np.array(owners, np.int64), marks, flags)
        indptr = np.concatenate([[0], np.cumsum(np.maximum(lengths, 0))])
        self.arena.codes[: len(names)] = self._signed(indptr, slots, values)
        for row, name in enumerate(names):
            self._place(name, row)
        self._free()

    def _slots(self, block: Block) -> np.ndarray:
        return np.array([self._vocabulary.slot(feature) for feature in block.features], np.uint32)
