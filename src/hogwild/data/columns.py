"""What the columns of a table mean: the schema that CSV, JSON lines, Parquet and tables in memory share.

A category is the feature ``column=value`` with value 1, a number the feature ``column`` with its value, a cross the
pair of two features with the product of their values; all are hashed (data/hashing.py) to ``2**bits`` feature numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

TRANSFORMS = ("none", "log", "bins")
MISSING_WORDS = ("nan", "NaN", "NA", "N/A", "null", "NULL", "None", "\\N", "?")  # no number where one should stand


@dataclass(frozen=True)
class Columns:
    """Roles of a table's columns, and how their values become features.

    Parameters
    ----------
    label : str, optional
        Column of the label; None for rows without one.
    weight : str, optional
        Column of the row's importance, a number of at least 0.
    numeric, categorical : tuple of str
        Columns by name, with ``*`` and ``?`` as wildcards. A column that matches neither is a number if the values of
        the first rows are, else a category; label and weight are never features.
    ignore : tuple of str
        Columns that are left out.
    crosses : tuple of (str, str)
        Pairs of columns (wildcards match several) whose features are crossed; a pair of a column with itself is none.
    bits : int, default 20
        ``2**bits`` feature numbers.
    signed : bool, default False
        Whether a hash's sign turns the value's.
    transform : {"none", "log", "bins"}, default "none"
        What becomes of numbers: themselves; ``sign(x) log(1 + |x|)``; or the category ``column=k`` with k the floor of
        ``log2(1 + |x|)``, negative for negative x.
    missing : {"skip", "category"}, default "skip"
        An empty value gives no feature, or the feature ``column=``.
    fields : bool, default False
        Whether entries have fields, for field-aware models: columns of features are numbered from 0 in their order,
        crosses after them. Entries whose hashes meet stay apart then. Not for JSON lines, which have no fixed columns.
    """

    label: str | None = None
    weight: str | None = None
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    crosses: tuple[tuple[str, str], ...] = ()
    bits: int = 20
    signed: bool = False
    transform: str = "none"
    missing: str = "skip"
    fields: bool = False

    def __post_init__(self) -> None:
        """Make tuples of lists (JSON has no tuples) and check the settings."""
        for name in ("numeric", "categorical", "ignore"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "crosses", tuple(tuple(pair) for pair in self.crosses))
        if any(len(pair) != 2 for pair in self.crosses):
            raise ValueError(f"crosses are pairs of columns, found {self.crosses!r}")
        if not 1 <= self.bits <= 31:
            raise ValueError(f"bits lies between 1 and 31, found {self.bits!r}")
        if self.transform not in TRANSFORMS:
            raise ValueError(f"transform is one of {', '.join(TRANSFORMS)}; found {self.transform!r}")
        if self.missing not in ("skip", "category"):
            raise ValueError(f"missing is 'skip' or 'category', found {self.missing!r}")

    @property
    def n_features(self) -> int:
        """Number of feature numbers."""
        return 1 << self.bits

    def roles(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the role of each of a table's columns.

        Parameters
        ----------
        names : sequence of str
            All columns.

        Returns
        -------
        tuple of str
            "label", "weight", "ignore", "numeric", "categorical", or "" where the options say nothing. A column's name
            stands for this column alone and goes before wildcards; `ignore` goes before `numeric` before `categorical`.

        Raises
        ------
        ValueError
            If a name that is written out is none of the columns, or if two columns share a name.

        Examples
        --------
        >>> from hogwild.data.columns import Columns
        >>> Columns(label="y", numeric=("n*",), ignore=("no",)).roles(["y", "n1", "no", "city"])
        ('label', 'numeric', 'ignore', '')
        """
        known = set(names)
        written = {}
        for role in ("categorical", "numeric", "ignore"):
            written.update({name: role for name in getattr(self, role) if name in known or not _is_pattern(name)})
        for role in ("weight", "label"):
            if getattr(self, role) is not None:
                written[getattr(self, role)] = role
        absent = next((name for name in written if name not in known), None)
        if absent is not None:
            raise ValueError(f"a column called {absent!r}, the columns are {', '.join(map(repr, names))}")
        if len(known) < len(names):
            repeated = next(name for name in names if list(names).count(name) > 1)
            raise ValueError(f"columns whose names differ: {repeated!r} stands there twice")
        patterns = [
            (role, tuple(name for name in getattr(self, role) if name not in known))
            for role in ("ignore", "numeric", "categorical")
        ]
        return tuple(
            written.get(name) or next((role for role, some in patterns if matches(name, some)), "") for name in names
        )

    def crossed(self, features: Sequence[str]) -> list[tuple[str, str]]:
        """Return the pairs of columns that are crossed, each unordered pair once, as it is first written.

        Parameters
        ----------
        features : sequence of str
            The columns that are numbers or categories.

        Raises
        ------
        ValueError
            If one side of a cross matches none of them.

        Examples
        --------
        >>> from hogwild.data.columns import Columns
        >>> Columns(crosses=(("c", "a"), ("*", "*"))).crossed(["a", "b", "c"])
        [('c', 'a'), ('a', 'b'), ('b', 'c')]
        """
        pairs: dict[frozenset[str], tuple[str, str]] = {}
        for patterns in self.crosses:
            sides = [
                [pattern] if pattern in features else [name for name in features if matches(name, (pattern,))]
                for pattern in patterns
            ]
            for pattern, side in zip(patterns, sides, strict=True):
                if not side:
                    raise ValueError(f"crosses: no number or category is called {pattern!r}")
            for first in sides[0]:
                for second in sides[1]:
                    if first != second:
                        pairs.setdefault(frozenset((first, second)), (first, second))
        return list(pairs.values())


def cross_name(first: str, second: str) -> str:
    """Name of the cross of two features, for people: its number comes from their hashes (`hashing.cross_hash`)."""
    return f"{first}*{second}"


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a column's name is one of the patterns or matches one of them."""
    return any(name == pattern or fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in patterns)
