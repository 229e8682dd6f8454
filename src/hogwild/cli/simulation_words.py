"""What the words of ``hogwild simulate`` stand for: times, rates, slow workers, faults."""

from __future__ import annotations

import re
from typing import Any

import typer

from hogwild.cluster.simulation.faults import Planned

_TIMES = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_SIZES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_NUMBER = re.compile(r"([0-9.]+(?:e[+-]?[0-9]+)?)\s*(.*)", re.IGNORECASE)


def _split(text: str, option: str, expected: str) -> tuple[float, str]:
    found = _NUMBER.fullmatch(text.strip())
    try:
        return float(found[1]), found[2].lower()
    except (TypeError, ValueError):
        raise typer.BadParameter(f"found {text!r}, expected {expected}", param_hint=option) from None


def duration(text: str, option: str) -> float:
    """Return the seconds of ``0.5ms``, ``2s`` or a number.

    Examples
    --------
    >>> duration("0.5ms", "--delay"), duration("2", "--delay")
    (0.0005, 2.0)
    """
    expected = "a time such as 0.5ms or 2s"
    number, unit = _split(text, option, expected)
    if unit not in _TIMES:
        raise typer.BadParameter(f"found {text!r}, expected {expected}", param_hint=option)
    return number * _TIMES[unit]


def bandwidth(text: str, option: str) -> float:
    """Return the bytes a second of ``1Gbit``, ``100MB`` or ``inf``.

    Examples
    --------
    >>> bandwidth("1Gbit", "--bandwidth"), bandwidth("100MB", "--bandwidth")
    (125000000.0, 100000000.0)
    """
    if text.strip().lower() in ("inf", "infinite"):
        return float("inf")
    expected = "a rate such as 1Gbit or 100MB (a second)"
    number, unit = _split(text, option, expected)
    found = re.fullmatch(r"([kmg]?)(bit|b)(?:it)?(?:/s)?", unit)
    if found is None or not number > 0:
        raise typer.BadParameter(f"found {text!r}, expected {expected}", param_hint=option)
    return number * _SIZES[found[1]] / (8 if found[2] == "bit" else 1)


def whole_numbers(text: str, option: str) -> list[int | None]:
    """Return the numbers of ``1,2,4``; ``auto`` is None.

    Examples
    --------
    >>> whole_numbers("2000,2e4,auto", "--phase-rows")
    [2000, 20000, None]
    """
    found: list[int | None] = []
    for word in text.split(","):
        if word.strip() == "auto":
            found.append(None)
            continue
        number, rest = _split(word, option, "whole numbers by commas")
        if rest or number != int(number) or number < 1:
            raise typer.BadParameter(f"found {text!r}, expected whole numbers by commas", param_hint=option)
        found.append(int(number))
    return found


def stragglers(words: list[str]) -> dict[str, Any]:
    """Return parameters of `Scenario` for ``constant:0=10``, ``random:p=.01,seconds=1``, ``spread:.3``, ``noise:.1``.

    Examples
    --------
    >>> stragglers(["constant:0=10,3=2", "random:p=.01,seconds=1"])
    {'slow': {0: 10.0, 3: 2.0}, 'stalls': 0.01, 'stall_seconds': 1.0}
    """
    found: dict[str, Any] = {}
    for word in words:
        kind, _, rest = word.partition(":")
        pairs = dict(pair.partition("=")[::2] for pair in rest.split(",") if "=" in pair)
        try:
            if kind == "constant":
                found.setdefault("slow", {}).update({int(worker): float(by) for worker, by in pairs.items()})
                if not pairs:
                    raise ValueError
            elif kind == "random":
                found |= {"stalls": float(pairs["p"]), "stall_seconds": float(pairs["seconds"])}
            elif kind in ("spread", "noise"):
                found[kind] = float(rest)
            else:
                raise ValueError
        except (ValueError, KeyError):
            raise typer.BadParameter(
                f"found {word!r}, expected constant:WORKER=TIMES, random:p=P,seconds=S, spread:SIGMA or noise:SIGMA",
                param_hint="--straggler",
            ) from None
    return found


def planned(crashes: list[str], partitions: list[str], joins: list[str]) -> tuple[Planned, ...]:
    """Return faults at given times: ``worker/3@5s`` (``+2s``: back by itself), ``worker/0,worker/1@5s+2s``, ``4@10s``.

    Examples
    --------
    >>> planned(["worker/3@5s+2s"], [], ["1@10s"])[0]
    Planned(at=5.0, what='crash', nodes=('worker/3',), seconds=2.0)
    """
    found = []
    for what, option, words in (("crash", "--crash", crashes), ("partition", "--partition", partitions)):
        for word in words:
            names, at, lasts = _timed(word, option)
            nodes = tuple(name.strip() for name in names.split(","))
            strange = [name for name in nodes if not re.fullmatch(r"worker/\d+|shard/\d+/\d+|coordinator", name)]
            if strange:
                raise typer.BadParameter(
                    f"found the node {strange[0]!r}, expected worker/3, shard/0/0 or coordinator", param_hint=option
                )
            if what == "crash" and "coordinator" in nodes:
                raise typer.BadParameter("found coordinator, expected workers or shards", param_hint=option)
            found.append(Planned(at, what, nodes, lasts))
    for word in joins:
        names, at, _ = _timed(word, "--join")
        found += [Planned(at, "join")] * (whole_numbers(names, "--join")[0] or 1)
    return tuple(found)


def _timed(word: str, option: str) -> tuple[str, float, float]:
    names, at, rest = word.rpartition("@")
    if not at or not names:
        raise typer.BadParameter(f"found {word!r}, expected WHAT@TIME, as worker/3@5s", param_hint=option)
    when, plus, lasts = rest.partition("+")
    return names, duration(when, option), duration(lasts, option) if plus else float("inf")
