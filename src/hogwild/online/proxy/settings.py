"""What a proxy is to be."""

from __future__ import annotations

from dataclasses import dataclass, field

from hogwild.online.service.settings import Limits


@dataclass(frozen=True)
class ProxySettings:
    """What a proxy is to be.

    Parameters
    ----------
    kind : str
        Type of the servers behind it: one of `methods.TYPES`.
    zookeeper : str, optional
        ``"host:2181,..."``: it has the active servers of all groups.
    members : tuple of str
        Without ZooKeeper: ``"127.0.0.1:9199"``, ..., whatever the group's name.
    host : str
    port : int
        0: any that is free.
    timeout : float
        Seconds that a server has for a call; 0: as long as it takes.
    limits : Limits
        For the proxy's clients.
    """

    kind: str
    zookeeper: str | None = None
    members: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 9199
    timeout: float = 10.0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Check that there is one source of members."""
        if (self.zookeeper is None) == (not self.members):
            raise ValueError("expected either ZooKeeper (-z HOST:2181) or fixed members (--members HOST:PORT,...)")
