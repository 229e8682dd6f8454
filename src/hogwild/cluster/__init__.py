"""Beyond one machine: parameter server, delta exchange, and the same protocol in simulation."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# name: module; imported on first use, as in the package itself
_PLACES = {
    "ASP": "hogwild.cluster.consistency",
    "BSP": "hogwild.cluster.consistency",
    "SSP": "hogwild.cluster.consistency",
    "Consistency": "hogwild.cluster.consistency",
    "fit": "hogwild.cluster.fitting",
    "TrainingInterrupted": "hogwild.cluster.fitting",
    "ClusterReport": "hogwild.cluster.report",
    "minimize": "hogwild.cluster.minimizing",
    "descend": "hogwild.cluster.descending",
    "downpour": "hogwild.cluster.torch_modules",
    "ParameterServer": "hogwild.cluster.server",
    "ShardLostError": "hogwild.cluster.served_tables",
    "Candidate": "hogwild.cluster.simulation.plan",
    "Plan": "hogwild.cluster.simulation.plan",
    "Scenario": "hogwild.cluster.simulation.scenario",
    "Simulation": "hogwild.cluster.simulation.job",
    "simulate": "hogwild.cluster.simulation.job",
    "plan": "hogwild.cluster.simulation.plan",
}
__all__ = [*sorted(_PLACES)]

if TYPE_CHECKING:
    from hogwild.cluster.consistency import ASP as ASP
    from hogwild.cluster.consistency import BSP as BSP
    from hogwild.cluster.consistency import SSP as SSP
    from hogwild.cluster.consistency import Consistency as Consistency
    from hogwild.cluster.descending import descend as descend
    from hogwild.cluster.fitting import TrainingInterrupted as TrainingInterrupted
    from hogwild.cluster.fitting import fit as fit
    from hogwild.cluster.minimizing import minimize as minimize
    from hogwild.cluster.report import ClusterReport as ClusterReport
    from hogwild.cluster.served_tables import ShardLostError as ShardLostError
    from hogwild.cluster.server import ParameterServer as ParameterServer
    from hogwild.cluster.simulation.job import Simulation as Simulation
    from hogwild.cluster.simulation.job import simulate as simulate
    from hogwild.cluster.simulation.plan import Candidate as Candidate
    from hogwild.cluster.simulation.plan import Plan as Plan
    from hogwild.cluster.simulation.plan import plan as plan
    from hogwild.cluster.simulation.scenario import Scenario as Scenario
    from hogwild.cluster.torch_modules import downpour as downpour


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'hogwild.cluster' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
