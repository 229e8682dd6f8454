"""The options of servers, for `hogwild serve` and for the `juba...` programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hogwild.online.service.settings import Limits, ServiceSettings
from hogwild.online.settings import ServeSettings

# -------------------------------------------------------------------------------------------------------- values


def seconds(text: str) -> float:
    """Return the seconds that ``30s``, ``5m``, ``1.5h`` or a number stand for."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in ("s", "m", "h") else (text, "s")
    try:
        found = float(number) * {"s": 1, "m": 60, "h": 3600}[unit]
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise ValueError(f"found {text!r}, expected a time such as 30s, 5m or 1h")
    return found


def size(text: str) -> int:
    """Return the bytes that ``64M``, ``1G`` or a number stand for."""
    units = {"K": 10, "M": 20, "G": 30}
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].upper() in units else (text, "")
    if not number.isdecimal() or not int(number):
        raise ValueError(f"found {text!r}, expected a size such as 64M or 1G")
    return int(number) << units.get(unit, 0)


def count(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return what reads an integer between two others."""
    between = f"of at least {least}" if most is None else f"from {least} to {most}"

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
            raise ValueError(f"found {text!r}, expected an integer {between}")
        return int(text)

    return read


def one_of(*names: str) -> Callable[[str], str]:
    """Return what takes one of several names."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"found {text!r}, expected one of {', '.join(names)}")
        return text

    return read


# ------------------------------------------------------------------------------------------------------- options


class Option(NamedTuple):
    """An option of a server; `field` is its place in the settings, its default is there."""

    field: str
    names: tuple[str, ...]
    read: Callable[[str], Any]
    metavar: str
    about: str
    panel: str = "Options"


_GROUP, _STORAGE, _LIMITS = "Group", "Storage", "Limits"
_PORT = count(0, 65535)

OPTIONS: tuple[Option, ...] = (
    Option("configuration", ("--configpath", "-f"), Path, "FILE", "Configuration: the JSON of Jubatus."),
    Option("port", ("--rpc-port", "-p"), _PORT, "PORT", "Port of RPC; 0: any that is free."),
    Option("host", ("--listen_addr", "-b"), str, "ADDRESS", "Address to listen at; 0.0.0.0: all."),
    Option("http", ("--http",), _PORT, "PORT", "Port of HTTP, at the same address."),
    Option("threads", ("--thread", "-c"), count(1), "N", "Taken, and not used: one thread learns and answers."),
    Option("logdir", ("--logdir", "-l"), Path, "FOLDER", "Write messages to a file there, not to standard error."),
    Option("zookeeper", ("--zookeeper", "-z"), str, "HOSTS", "host:2181,...: configuration and group.", _GROUP),
    Option("name", ("--name", "-n"), str, "NAME", "Name of the group.", _GROUP),
    Option("servers", ("--servers",), count(1), "K", "A group of servers on this machine.", _GROUP),
    Option("interval_sec", ("--interval_sec", "-s"), seconds, "TIME", "Mix after that time.", _GROUP),
    Option("interval_count", ("--interval_count", "-i"), count(1), "N", "Mix after so many updates.", _GROUP),
    Option(
        "mixer",
        ("--mixer", "-x"),
        one_of("linear_mixer", "random_mixer", "broadcast_mixer", "skip_mixer"),
        "NAME",
        "How the group mixes.",
        _GROUP,
    ),
    Option("datadir", ("--datadir", "-d"), Path, "FOLDER", "Where clients' models are saved.", _STORAGE),
    Option("model_file", ("--model_file", "-m"), Path, "FILE", "Model to begin with.", _STORAGE),
    Option("autosave", ("--autosave",), seconds, "TIME", "Save the model as often as that.", _STORAGE),
    Option("log", ("--log",), Path, "FOLDER", "Write-ahead log: what was answered outlives a crash.", _STORAGE),
    Option(
        "fsync",
        ("--fsync",),
        one_of("always", "interval", "never"),
        "WHEN",
        "When the log is forced to disk: always (before an answer), interval or never.",
        _STORAGE,
    ),
    Option("limits.idle", ("--timeout", "-t"), seconds, "TIME", "Close idle connections; 0: never.", _LIMITS),
    Option("limits.message", ("--max-message",), size, "SIZE", "Of one message.", _LIMITS),
    Option("limits.connections", ("--max-connections",), count(1), "N", "At a time.", _LIMITS),
    Option("limits.depth", ("--max-depth",), count(1), "N", "Of nested values.", _LIMITS),
    Option("limits.backlog", ("--max-backlog",), size, "SIZE", "Of all calls that wait.", _LIMITS),
    Option("limits.pipelined", ("--max-pipelined",), count(1), "N", "Of one connection's calls that wait.", _LIMITS),
    Option("limits.unread", ("--max-unread",), size, "SIZE", "Of answers that a client does not read.", _LIMITS),
    Option("limits.unfinished", ("--max-unfinished",), seconds, "TIME", "Of half a message; 0: for ever.", _LIMITS),
    Option("service.wait", ("--max-wait",), seconds, "TIME", "Of a call for its turn; 0: for ever.", _LIMITS),
)
_ELSEWHERE = ("threads", "logdir")  # fields that are not in the settings


def shown_default(option: Option) -> str:
    """Return an option's default as one writes it, or nothing where there is none."""
    if option.field in _ELSEWHERE:
        return ""
    default: Any = ServeSettings("stat")
    for name in option.field.split("."):
        default = getattr(default, name)
    if default is None:
        return ""
    if option.read is size:
        return f"{default >> 20}M"
    return f"{default:g}s" if option.read is seconds else str(default)


def settings_of(kind: str, values: dict[str, Any]) -> ServeSettings:
    """Return the settings of values by fields; what is None is as it is by default."""
    groups: dict[str, dict[str, Any]] = {"": {}, "limits": {}, "service": {}}
    for field, value in values.items():
        group, _, name = field.rpartition(".")
        if value is not None and field not in _ELSEWHERE:
            groups[group][name] = value
    return ServeSettings(
        kind, **groups[""], limits=Limits(**groups["limits"]), service=ServiceSettings(**groups["service"])
    )
