"""All that the status page shows, as JSON."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from hogwild.online.http.history import History, Sample
from hogwild.online.http.states import unreadiness

_CONFIGURATION = 4000  # characters that are shown


def status_of(service: Any, history: History) -> dict[str, Any]:
    """Return what a service is, has done and does."""
    figures, trials = service.figures, service.figures.trials
    return {
        "kind": service.kind,
        "name": service.name,
        "node": service.node,
        "configuration": service.configuration[:_CONFIGURATION],
        "now": time.time(),
        "started": figures.started,
        "unready": unreadiness(service),
        "troubles": _troubles(service),
        "calls": dict(figures.calls),
        "errors": dict(figures.errors),
        "connections": figures.connections,
        "learnt": figures.learnt,
        "rate": history.rate(),
        "trials": {"count": trials.count, "mean": _finite(trials.mean), "recent": _finite(trials.recent_mean)},
        "saved": figures.last_saved or None,
        "learner": service.driver.status() if service.driver is not None else {},
        "group": _group(service.group),
        "history": {
            "rates": [[round(moment, 3), round(rate, 2)] for moment, rate in history.rates()],
            "life": _columns(history.life.samples),
            "events": [event._asdict() for event in history.events],
        },
    }


def _group(group: Any) -> dict[str, Any] | None:
    if group is None:
        return None
    figures = group.figures
    return {
        "version": figures.version,
        "active": figures.active,
        "mixed": figures.mixed,
        "rounds": figures.rounds,
        "failed": figures.failed,
        "members": [
            {"node": node, "active": node in figures.actives, "since": figures.actives.get(node)}
            for node in sorted({*figures.members, *figures.actives})
        ],
    }


def _troubles(service: Any) -> list[str]:
    """Return what somebody should look after."""
    troubles = []
    if service.journal is not None and service.journal.failure is not None:
        troubles.append(f"The log cannot be written, and updates are refused: {service.journal.failure}")
    if service.group is not None:
        figures = service.group.figures
        if figures.fault:
            troubles.append(f"This server has left its group: {figures.fault}")
        troubles.extend(f"Messages with {node} are refused: {why}" for node, why in sorted(figures.refused.items()))
    return troubles


def _columns(samples: Sequence[Sample]) -> dict[str, list[Any]]:
    columns = dict(zip(Sample._fields, zip(*samples, strict=True), strict=True)) if samples else {}
    return {name: list(map(_finite, columns.get(name, ()))) for name in Sample._fields}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None  # JSON has no number for others
