"""Members of groups without rounds: rows that are told on from server to server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hogwild.cluster.mix.gossip import CHOICES, Give, GossipServer, Push
from hogwild.cluster.mix.settings import MixSettings
from hogwild.cluster.protocol import Effect, Recv
from hogwild.online.group.coordination import Coordination
from hogwild.online.group.member import LINEAR, GroupError, Member
from hogwild.online.group.packing import pack_value, unpack_value
from hogwild.online.group.settings import LinkSettings
from hogwild.online.service.journal import pack_record

if TYPE_CHECKING:
    from hogwild.online.driver import Driver
    from hogwild.online.service.service import Service

MIXERS = (LINEAR, *(f"{choice}_mixer" for choice in CHOICES))
GOSSIP = "gossip"  # the log's records of changes that others told
SUITED = ("recommender", "nearest_neighbor", "anomaly")


def check_mixer(mixer: str, kind: str, configuration: Mapping[str, Any]) -> None:
    """See whether servers of a type can mix in that way.

    Raises
    ------
    ValueError
        They cannot, or there is no such mixer.
    """
    if mixer not in MIXERS:
        raise ValueError(f"the mixer must be one of {', '.join(MIXERS)}, found {mixer!r}")
    if mixer == LINEAR:
        return
    if kind not in SUITED:
        raise ValueError(f"{mixer} suits servers that keep rows ({', '.join(SUITED)}), a {kind} takes {LINEAR}")
    rules = (configuration.get("converter") or {}).get("string_rules") or ()
    counted = [rule["global_weight"] for rule in rules if rule.get("global_weight", "bin") not in ("bin", "weight")]
    if counted:
        raise ValueError(f"{mixer} does not mix the document counts of {counted[0]}: take {LINEAR}")


class GossipedParts:
    """All tables of a learner as one model.

    Parameters
    ----------
    driver : Driver
    owner : str, optional
        To whom changes made here belong from now on: a name of this life of the server alone.
    """

    def __init__(self, driver: Driver, owner: str | None = None) -> None:
        self._tables = {name: part for name, part in driver.parts.parts.items() if hasattr(part, "since")}
        if owner is not None:
            for table in self._tables.values():
                table.owner = owner

    def summary(self) -> dict[str, int]:
        """See `Gossiped`."""
        return {
            f"{name}/{owner}": number
            for name, table in self._tables.items()
            for owner, number in table.summary().items()
        }

    def since(self, summary: dict[str, int]) -> dict[str, Any]:
        """See `Gossiped`."""
        heard: dict[str, dict[str, int]] = defaultdict(dict)
        for key, number in summary.items():
            name, _, owner = key.partition("/")
            heard[name][owner] = number
        return {name: table.since(heard[name]) for name, table in self._tables.items()}

    def merge(self, changes: dict[str, Any]) -> int:
        """See `Gossiped`."""
        return sum(self._tables[name].merge(rows) for name, rows in changes.items() if name in self._tables)


class GossipMember(Member):
    """A `Member` that exchanges changes pair by pair.

    Parameters
    ----------
    service, coordination, settings, links, chunk
        See `Member`.
    mixer : str
        One of `MIXERS`, but not the linear one.
    """

    _changing = (Give, Push)

    def __init__(
        self,
        service: Service,
        coordination: Coordination,
        settings: MixSettings,
        links: LinkSettings,
        chunk: int,
        mixer: str,
    ) -> None:
        self._mixer = mixer
        super().__init__(service, coordination, settings, links, chunk)
        service.replays[GOSSIP] = _replay

    async def replace(self, change: Callable[[], None]) -> None:
        """Refuse: what is told from server to server cannot be taken back.

        Raises
        ------
        GroupError
            Always.
        """
        raise GroupError(f"load and clear change the model of a whole group: servers with {LINEAR} do that")

    def _begin(self) -> None:
        model = GossipedParts(self._service.driver, f"{self._node}#{self._incarnation}")
        self._machine = GossipServer(
            self._node, self._incarnation, self._settings, model, choice=self._mixer.removesuffix("_mixer")
        )

    def _step(self, event: Any) -> list[Effect]:
        effects = super()._step(event)
        if isinstance(event, Recv) and isinstance(event.message, self._changing):
            self.figures.mix()
            self._service.append(pack_record((GOSSIP, pack_value(event.message.changes))))
        return effects


def _replay(driver: Driver, record: Sequence[Any]) -> None:
    GossipedParts(driver).merge(unpack_value(record[0]))
