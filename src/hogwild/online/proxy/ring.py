"""Which servers a key falls to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from hogwild.online.group.zookeeper_paths import digest, places


class Ring:
    """Consistent hashing as Jubatus has it: MD5, eight places a server.

    Jubatus takes the next places on the ring, which may be one server twice; here they are of different servers.

    Parameters
    ----------
    nodes : iterable of str

    Examples
    --------
    >>> from hogwild.online.proxy.ring import Ring
    >>> Ring(["10.0.0.1_9199", "10.0.0.2_9199"]).servers("a key")
    ['10.0.0.2_9199', '10.0.0.1_9199']
    """

    def __init__(self, nodes: Iterable[str]) -> None:
        owners = sorted((place, node) for node in nodes for place in places(node))
        self._places = [place for place, _ in owners]
        self._owners = [node for _, node in owners]

    def servers(self, key: str) -> list[str]:
        """Return all servers, the one that the key falls to first, then those of its copies."""
        start = bisect_left(self._places, digest(key))
        return list(dict.fromkeys(self._owners[start:] + self._owners[:start]))
