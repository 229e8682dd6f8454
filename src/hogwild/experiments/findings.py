"""What an experiment is told, and what it finds: measured and published tables, pictures, statements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hogwild.report.parts import Plot

Cell = str | int | float | bool | None


def _silent(doing: str) -> None:
    pass


@dataclass(frozen=True)
class Setting:
    """What an experiment is told.

    Attributes
    ----------
    scale : float
        Size of the data as a share of the original's, above 0.
    threads : int
        The most threads to run.
    seed : int
    data : tuple of str
        Files of real data to use instead of made-up ones; empty for none.
    say : callable
        Told what is being done, a few words, for the live line.
    """

    scale: float = 1.0
    threads: int = 1
    seed: int = 0
    data: tuple[str, ...] = ()
    say: Callable[[str], None] = _silent

    def rows(self, full: int, least: int = 1) -> int:
        """Scale a number of rows, users, updates; never below `least`."""
        return max(least, round(full * self.scale))

    @property
    def counts(self) -> list[int]:
        """Numbers of threads to try: 1, 2, 4, ... and `threads`."""
        powers = [1 << power for power in range(self.threads.bit_length()) if 1 << power <= self.threads]
        return sorted({*powers, self.threads})


class Measured(NamedTuple):
    """A table of figures that were measured here; written as CSV under its key, unrounded.

    Attributes
    ----------
    key : str
        Name of the CSV file, unique in the experiment: lower case and hyphens.
    heading : str
    columns : mapping of str to str
        Name (with its unit): how a number is shown, as a format specification (``".3f"``, ``",d"``); "" for texts.
    rows : sequence of sequence
        Cells; None is shown as "-".
    note : str
        What has to be known to read it.
    """

    key: str
    heading: str
    columns: Mapping[str, str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


class Published(NamedTuple):
    """A table of figures as others published them: never in one table with measured ones.

    Attributes
    ----------
    heading : str
    source : str
        Who published them where: authors, title, place, year, number of the table or page.
    columns : sequence of str
    rows : sequence of sequence of str
    """

    heading: str
    source: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Picture(NamedTuple):
    """A plot of measured figures; written as PNG under its key.

    Attributes
    ----------
    key : str
        Name of the PNG file, unique in the experiment.
    plot : Lines, Bars or Groups
    """

    key: str
    plot: Plot


class Remark(NamedTuple):
    """A paragraph between tables and pictures: what comes next and how it was measured."""

    text: str


class Statement(NamedTuple):
    """A claim and whether the measured figures bear it out.

    Attributes
    ----------
    claim : str
        In the present tense and without measured numbers: the same words in every run.
    holds : bool or None
        None: it could not be tried here (one core, no libffm, too little data).
    source : str
        Whose claim it is; "" for ours.
    """

    claim: str
    holds: bool | None
    source: str = ""

    @property
    def verdict(self) -> str:
        """The outcome in words."""
        return {True: "holds", False: "does not hold", None: "not tried"}[self.holds]


Finding = Measured | Published | Picture | Remark


@dataclass(frozen=True)
class Findings:
    """What an experiment found.

    Attributes
    ----------
    parts : list of Measured, Published, Picture or Remark
        In the order in which they are told.
    statements : list of Statement
        Computed from the figures.
    """

    parts: list[Finding] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)


@dataclass(frozen=True)
class Experiment:
    """A published experiment that can be run here.

    Attributes
    ----------
    name, title : str
    about : str
        A paragraph: what it shows, on which data.
    data : str
        What `--data` takes; "" where it takes nothing.
    run : callable
        ``run(setting) -> Findings``.
    """

    name: str
    title: str
    about: str
    data: str
    run: Callable[[Setting], Findings]
