"""What drivers of rows share: rows of features apart, names of new ones, figures about all."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hogwild.online.features.vocabulary import Rows, Vocabulary
from hogwild.online.rows.table import Table

Row = tuple[np.ndarray, np.ndarray]  # slots and values


def split_rows(rows: Rows) -> list[Row]:
    """Return the slots and values of each row."""
    ends = rows.indptr.astype(np.int64).tolist()
    return [(rows.slots[start:end], rows.values[start:end]) for start, end in pairwise(ends)]


def merged(slots: np.ndarray, values: np.ndarray, new_slots: np.ndarray, new_values: np.ndarray) -> Row:
    """Return a row with some features set, and its others as they are."""
    if not len(slots):
        return new_slots, new_values
    others = ~np.isin(slots, new_slots)
    return np.concatenate([slots[others], new_slots]), np.concatenate([values[others], new_values])


def new_name(table: Table, node: str) -> str:
    """Return a name that no row has or had: the table's clock, with the node's name in a group."""
    clock = table.clock
    name = f"{node}_{clock}" if node else str(clock)
    while table.knows(name):  # clients may name rows so, too
        clock += 1
        name = f"{node}_{clock}" if node else str(clock)
    return name


def figures(kind: str, table: Table, vocabulary: Vocabulary) -> dict[str, str]:
    """Return figures for `get_status`."""
    return {
        f"{kind}.rows": str(len(table)),
        f"{kind}.features": str(len(vocabulary)),
        f"{kind}.bytes": str(table.arena.bytes),
    }
