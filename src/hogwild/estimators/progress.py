"""What a fit says while it runs: lines for `verbose`, a live line for `progress`, the user's callback."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hogwild.engine.training import Progress


def describe(progress: Progress) -> str:
    """One line: epoch, rows/s, progressive loss, time left."""
    rate = progress.rows_per_second
    shown = f"{rate / 1e6:.2f} M" if rate >= 1e6 else f"{rate:,.0f}"
    left = "" if math.isnan(progress.seconds_left) else f"  {progress.seconds_left:.0f} s left"
    return (
        f"epoch {progress.epoch}/{progress.n_epochs}  {progress.rows:,} rows  {shown} rows/s  "
        f"loss {progress.loss:.5f} (of late {progress.recent_loss:.5f}){left}"
    )


class Reporter:
    """Calls everybody who wants to know about a fit's progress; a context that ends the live line."""

    def __init__(self, verbose: int, live: bool, callback: Callable[[Progress], object] | None) -> None:
        self._verbose, self._live, self._user, self._status = verbose, live, callback, None
        self.callback = self._tell if verbose or live or callback else None

    @classmethod
    def of(cls, estimator: Any) -> Reporter:
        """Make the reporter of an estimator's parameters."""
        return cls(estimator.verbose, estimator.progress, estimator.callback)

    def __enter__(self) -> Reporter:
        """Start the live line."""
        if self._live:
            from rich.console import Console

            self._status = Console(stderr=True).status("fitting")
            self._status.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """End the live line."""
        if self._status is not None:
            self._status.stop()

    def _tell(self, progress: Progress) -> bool:
        if self._status is not None:
            self._status.update(describe(progress))
        if self._verbose and progress.epoch_ended:
            print(
                f"-- Epoch {progress.epoch}: {progress.rows:,} rows, avg. loss {progress.loss:.6f}, "
                f"{progress.seconds:.2f} s, {progress.rows_per_second:,.0f} rows/s"
            )
        return bool(self._user(progress)) if self._user is not None else False
