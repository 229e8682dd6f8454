"""What the columns of a table mean: the schema that CSV, JSON lines, Parquet and tables in memory share.

A category is the feature ``column=value`` with value 1, a number the feature ``column`` with its value, a cross the
pair of two features with the product of their values; all are hashed (data/hashing.py) to ``2**bits`` numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

TRANSFORMS = ("none", "log", "bins")


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


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a column's name matches one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
