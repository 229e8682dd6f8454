"""What a server is to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hogwild.online.service.settings import Limits, ServiceSettings

Fsync = Literal["always", "interval", "never"]


@dataclass(frozen=True)
class ServeSettings:
    """What a server is to be.

    Parameters
    ----------
    kind : str
        One of `methods.TYPES`, or a type that is known and not served.
    configuration : Path, optional
        JSON; not needed where ZooKeeper has it.
    host : str
    port : int
        0: any that is free.
    datadir : Path
        Where clients' models are saved.
    model_file : Path, optional
        Model to begin with, unless the log has one.
    name : str
        Of the group.
    zookeeper : str, optional
        ``"host:2181,..."``: the configuration comes from there, and the group's coordination.
    interval_sec, interval_count : float and int
        See `MixSettings`.
    mixer : str
        How the group mixes.
    servers : int
        More than one: a group on this machine, which this process coordinates.
    http : int, optional
        Port of HTTP.
    autosave : float, optional
        Seconds between two savings of the model.
    log : Path, optional
        Folder of the write-ahead log.
    fsync : {"always", "interval", "never"}
    limits : Limits
    service : ServiceSettings
    """

    kind: str
    configuration: Path | None = None
    host: str = "127.0.0.1"
    port: int = 9199
    datadir: Path = Path(".")
    model_file: Path | None = None
    name: str = ""
    zookeeper: str | None = None
    interval_sec: float = 16.0
    interval_count: int = 512
    mixer: str = "linear_mixer"
    servers: int = 1
    http: int | None = None
    autosave: float | None = None
    log: Path | None = None
    fsync: Fsync = "always"
    limits: Limits = field(default_factory=Limits)
    service: ServiceSettings = field(default_factory=ServiceSettings)
