"""The names behind hashed features, recovered by a second pass over the rows."""

from __future__ import annotations

import numpy as np

from hogwild.data.lines import Reading, text_blocks
from hogwild.data.parts import Part, next_line_end
from hogwild.data.sources import TextRows

_BLOCK = 1 << 18  # bytes that are looked at line by line where a wanted feature occurs among them


def recover_names(rows: TextRows, wanted: np.ndarray) -> dict[int, str]:
    r"""Return a name for each of the features that occurs: the first one that has its number.

    Parameters
    ----------
    rows : TextRows
        Read from the start, up to where all names are known.
    wanted : ndarray of int
        Feature numbers.

    Returns
    -------
    dict of int to str

    Examples
    --------
    >>> import os, tempfile
    >>> import hogwild
    >>> from hogwild.data.hashing import hash_names, place
    >>> from hogwild.data.names import recover_names
    >>> wanted, _ = place(hash_names(["color=red"]), 2**20)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "rows.csv")
    ...     with open(name, "w") as file:
    ...         _ = file.write("y,color\n1,blue\n0,red\n")
    ...     recover_names(hogwild.data.open(name, label="y"), wanted) == {int(wanted[0]): "color=red"}
    True
    """
    if not rows.repeatable:
        raise ValueError("names are found by a second pass, standard input can be read once: give a file")
    missing, found = {int(feature) for feature in wanted}, {}
    blocks = text_blocks(rows.locations, rows.format, _BLOCK, Reading())
    for block, text_format in blocks:
        part = block.part
        while missing and part.start < part.stop:
            parsed = text_format.parse(part)
            if missing & set(np.unique(parsed.batch.indices).tolist()):
                stop = part.stop if parsed.error < 0 else parsed.error
                _look(text_format, part._replace(stop=stop), missing, found)
            if parsed.error < 0:
                break
            part = part._replace(start=next_line_end(part.text, parsed.error))
        if not missing:
            break
    blocks.close()
    return found


def _look(text_format, part: Part, missing: set[int], found: dict[int, str]) -> None:
    """Take names from the lines of a part."""
    start = part.start
    while start < part.stop and missing:
        stop = next_line_end(part.text, start)
        indices = text_format.parse(part._replace(start=start, stop=stop)).batch.indices.tolist()
        if not missing.isdisjoint(indices):
            names = text_format.names(part.text[start : stop - 1].tobytes())
            for index, name in zip(indices, names, strict=True):
                if index in missing:
                    found[index] = name
                    missing.discard(index)
        start = stop
