"""Whether a service can answer."""

from __future__ import annotations

from typing import Any

from hogwild.online.http.problems import ProblemError

RETRY = {"Retry-After": "1"}


def unreadiness(service: Any) -> str | None:
    """Return why a service should not get calls, or None where it should."""
    return _unable(service, learner=True) or _outside(service)


def refuse_unready(service: Any, learner: bool) -> None:
    """Refuse a call while the server is loading or going down.

    A server that is not active in its group answers those who ask it all the same.

    Raises
    ------
    ProblemError
        503, with the time after which to try again.
    """
    reason = _unable(service, learner)
    if reason is not None:
        raise ProblemError(503, reason, RETRY)


def _unable(service: Any, learner: bool) -> str | None:
    if service.draining:
        return "the server is going down"
    if learner and not service.loaded.is_set():
        return "the learner is loading"
    return None


def _outside(service: Any) -> str | None:
    group = service.group
    if group is not None and not group.figures.active:
        return "the server is not active in its group: its model is not the newest"
    return None
