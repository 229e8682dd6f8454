"""Progressive validation: now and then an example is predicted just before it is learnt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hogwild.online.service.figures import Trials

if TYPE_CHECKING:
    from hogwild.online.driver import Driver


def _is_right(driver: Driver, example: tuple[str, Any]) -> float | None:
    label, datum = example
    (scores,) = driver.run("classify", [[datum]])
    return float(max(scores, key=lambda pair: pair[1])[0] == label) if scores else 0.0


def _error(driver: Driver, example: tuple[float, Any]) -> float | None:
    target, datum = example
    (estimate,) = driver.run("estimate", [[datum]])
    return abs(estimate - target)


_TRIALS: dict[str, Callable[[Driver, Any], float | None]] = {"classifier": _is_right, "regression": _error}


class Trying:
    """Tries one example at the start of a slice, when enough were learnt since the last: cheap under load.

    Parameters
    ----------
    kind : str
        Type of the server; those without a right answer are not tried.
    trials : Trials
        Takes what comes of it.
    every : int
        Examples between two.
    """

    def __init__(self, kind: str, trials: Trials, every: int) -> None:
        self._trial, self._trials, self._every = _TRIALS.get(kind), trials, every
        self._since = 0

    def before(self, driver: Driver, method: str, arguments: list[Any]) -> None:
        """See what is about to be learnt."""
        if self._trial is None or method != "train":
            return
        (examples,) = arguments
        self._since += len(examples)
        if self._since >= self._every:
            self._since = 0
            try:
                self._trials.add(self._trial(driver, examples[0]))
            except (ValueError, LookupError):  # the call itself will say what is wrong with it
                return
