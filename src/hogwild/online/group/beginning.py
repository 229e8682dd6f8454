"""How a server begins in its group, and goes on after it was away.

* With nothing, or no more than what it learns here: it is obsolete, fetches the model of an active server, and what it
  has learnt counts as its own share. In a group that has no model yet, an empty one is the start.
* With a log of its life in the group: it is what it was, version and share that is not mixed in yet included. Where
  the others have gone on, it fetches their model and its share goes into the next round; where all have died, the
  newest version among those that are back is gone on with. No update that was answered is lost or counts twice, as far
  as the log was durable, and as long as a version that all once had comes back within `MixSettings.patience`.
* With a file, or a log from a time outside any group: where the group has a model, that counts and the file's is
  dropped; where it has none, a round puts this one in everybody's place (of several, the first that gets the lock).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from hogwild.online.configuration import parsed
from hogwild.online.group.logged import LoggedLineage, Record, Replay
from hogwild.online.group.packing import pack_value

if TYPE_CHECKING:
    from hogwild.online.service.service import Service


def identity(service: Service, mixer: str) -> str:
    """Return what servers have in common that may mix: type, name, a digest of what the configuration says, and how."""
    text = json.dumps([mixer, parsed(service.configuration)], sort_keys=True)
    return f"{service.kind}/{service.name}/{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"


def first_lineage(service: Service, replay: Replay, source: str, note: Callable[[Record], None]) -> LoggedLineage:
    """Return what a server has when its learner has just been loaded; `source` is a new life's."""
    lineage = replay.end()
    if lineage is not None:
        lineage.updates += 1  # perhaps: the log may have some after the last cut
        return lineage
    parts = service.driver.parts
    seeded = _has_past(service)
    if seeded:
        parts.restore(parts.state())  # as one master part, with nothing learnt since
    lineage = LoggedLineage(source, parts, seeded, note)
    lineage.keep()
    return lineage


def _has_past(service: Service) -> bool:
    """Whether the master part is another than that of a new learner."""
    from hogwild.online.driver import make_driver

    new = make_driver(service.kind, parsed(service.configuration), service.node)
    try:
        return pack_value(service.driver.parts.full()) != pack_value(new.parts.full())
    except RuntimeError:  # it has been changed since a file was loaded, and the master part was not kept
        return True
