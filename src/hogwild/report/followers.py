"""What those who follow a fit have in common: they are called with its progress, and end with a ``with`` block."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from hogwild.engine.training import Progress


class Follower:
    """A callback that writes down a fit's progress. It returns None, so it never ends a fit.

    Estimators that are cloned share their follower: fits of a search run one after the other write to the same place.
    """

    def __init__(self) -> None:
        self._lock, self._closed = threading.Lock(), False
        self._told: Progress | None = None

    def __call__(self, progress: Progress, **scores: float) -> None:
        """Write down a slice of training.

        Parameters
        ----------
        progress : hogwild.Progress
        **scores : float
            What was measured at this moment, by name: the metrics of validation rows.

        Raises
        ------
        OSError
            If it cannot be written: the disk is full, say.
        ValueError
            If `close` was called before.
        """
        with self._lock:
            if self._closed:
                raise ValueError(f"{self!r} is closed: make another one, or fit with callback=None")
            last, self._told = self._told, progress
            begins = last is None or progress.rows < last.rows or progress.seconds < last.seconds
            self._follow(progress, scores, begins or (last.epoch_ended and progress.epoch <= last.epoch))

    def _follow(self, progress: Progress, scores: dict[str, float], begins: bool) -> None:
        """Write down a slice; `begins` says whether it is the first of a fit."""
        raise NotImplementedError

    def _end(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Write what is left and close the file; more calls do nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._end()

    def __enter__(self) -> Self:
        """Follow inside a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # what sklearn.base.clone makes of a parameter

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} writes in this process only and cannot be pickled: "
            "set_params(callback=None) before an estimator is pickled or sent to other processes"
        )
