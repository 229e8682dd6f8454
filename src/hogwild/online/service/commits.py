"""Updates that are applied, and answered as soon as the journal has them for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hogwild.online.service.journal import Journal
from hogwild.online.service.lane import Call


class Commits:
    """Answers calls after a commit: one for all that came while the last was under way.

    Parameters
    ----------
    tell : callable
        Takes each call, its result and its error.
    """

    def __init__(self, tell: Callable[[Call, Any, BaseException | None], None]) -> None:
        self._tell = tell
        self._applied: list[tuple[Call, Any]] = []
        self._task: asyncio.Task[None] | None = None

    def __bool__(self) -> bool:
        return bool(self._applied) or self._task is not None

    def add(self, call: Call, result: Any) -> None:
        """Have a call answered after the next commit."""
        self._applied.append((call, result))

    def begin(self, journal: Journal) -> None:
        """Commit what was added, unless that is going on."""
        if self._applied and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(journal))

    async def _run(self, journal: Journal) -> None:
        try:
            while self._applied:
                calls, self._applied = self._applied, []
                error = None
                try:
                    await journal.commit()
                except Exception as failure:
                    error = failure
                for call, result in calls:
                    self._tell(call, None if error else result, error)
        finally:
            self._task = None
