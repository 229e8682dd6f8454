"""How far a worker may run ahead of the slowest: bulk-synchronous, stale-synchronous, asynchronous."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Consistency:
    """When a worker that has finished `clock` phases may begin its next.

    Parameters
    ----------
    staleness : int or None
        A worker begins its next phase once every active worker has finished at least ``clock - staleness`` phases, and
        what it reads holds all their pushes up to there. 0 is bulk-synchronous (BSP), None sets no bound (ASP).

    References
    ----------
    Q. Ho et al.: More Effective Distributed ML via a Stale Synchronous Parallel Parameter Server. NeurIPS 2013.

    Examples
    --------
    >>> SSP(4).admits(clock=7, lowest=3), SSP(4).admits(clock=8, lowest=3)
    (True, False)
    >>> BSP, ASP
    (BSP, ASP)
    """

    staleness: int | None = 4

    def __post_init__(self) -> None:
        """Check the bound."""
        if self.staleness is not None and (isinstance(self.staleness, bool) or self.staleness < 0):
            raise ValueError(f"staleness must be at least 0, or None for no bound; found {self.staleness!r}")

    def admits(self, clock: int, lowest: int) -> bool:
        """Whether a worker that has finished `clock` phases may go on, the slowest having finished `lowest`."""
        return self.staleness is None or clock - lowest <= self.staleness

    def needs(self, clock: int) -> int:
        """Clock that the slowest has to reach before a worker at `clock` may go on."""
        return -1 if self.staleness is None else clock - self.staleness

    def __repr__(self) -> str:
        return {0: "BSP", None: "ASP"}.get(self.staleness, f"SSP({self.staleness})")


BSP, ASP = Consistency(0), Consistency(None)


def SSP(staleness: int = 4) -> Consistency:  # noqa: N802  the field's name
    """Stale synchronous parallel with that bound."""
    return Consistency(staleness)


def resolve_consistency(name: str | Consistency, staleness: int | None = None) -> Consistency:
    """Return the policy of that name: ``"bsp"``, ``"ssp"`` (4 phases unless `staleness` says otherwise), ``"asp"``.

    Raises
    ------
    ValueError
        For another name, or a bound that does not go with it.
    """
    if isinstance(name, Consistency):
        return name
    if name not in ("bsp", "ssp", "asp"):
        raise ValueError(f"consistency must be bsp, ssp or asp, found {name!r}")
    if name != "ssp" and staleness is not None:
        raise ValueError(f"staleness belongs to ssp, found staleness={staleness!r} with {name}")
    return {"bsp": BSP, "asp": ASP}.get(name) or SSP(4 if staleness is None else staleness)
