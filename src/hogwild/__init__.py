"""hogwild: stochastic gradient descent on large sparse data, lock-free on all cores."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# name: module; imported on first use, so that `import hogwild` and the command line start at once
_PLACES = {
    "SGDClassifier": "hogwild.estimators.classifier",
    "SGDRegressor": "hogwild.estimators.regressor",
    "LinearSVC": "hogwild.estimators.linear_svc",
    "LinearSVR": "hogwild.estimators.linear_svr",
    "LogisticRegression": "hogwild.estimators.logistic_regression",
    "Ridge": "hogwild.estimators.ridge",
    "FMClassifier": "hogwild.estimators.fm",
    "FMRegressor": "hogwild.estimators.fm",
    "FFMClassifier": "hogwild.estimators.ffm",
    "FFMRegressor": "hogwild.estimators.ffm",
    "MatrixFactorization": "hogwild.estimators.matrix_factorization",
    "GraphCut": "hogwild.estimators.graph_cut",
    "SGDClassifierCV": "hogwild.estimators.cv",
    "SGDRegressorCV": "hogwild.estimators.cv",
    "Checkpoint": "hogwild.estimators.checkpoint",
    "DivergedError": "hogwild.engine.training",
    "Progress": "hogwild.engine.training",
    "minimize": "hogwild.own.minimize",
    "step": "hogwild.steps.own",
    "check_gradient": "hogwild.gradients",
    "HistoryDisplay": "hogwild.report.history",
    "SpeedupDisplay": "hogwild.report.speedup",
    "TraceDisplay": "hogwild.report.trace",
    "save": "hogwild.models",
    "load": "hogwild.models",
}
__all__ = ["__version__", *sorted(_PLACES)]

if TYPE_CHECKING:
    from hogwild.engine.training import DivergedError as DivergedError
    from hogwild.engine.training import Progress as Progress
    from hogwild.estimators.checkpoint import Checkpoint as Checkpoint
    from hogwild.estimators.classifier import SGDClassifier as SGDClassifier
    from hogwild.estimators.cv import SGDClassifierCV as SGDClassifierCV
    from hogwild.estimators.cv import SGDRegressorCV as SGDRegressorCV
    from hogwild.estimators.ffm import FFMClassifier as FFMClassifier
    from hogwild.estimators.ffm import FFMRegressor as FFMRegressor
    from hogwild.estimators.fm import FMClassifier as FMClassifier
    from hogwild.estimators.fm import FMRegressor as FMRegressor
    from hogwild.estimators.graph_cut import GraphCut as GraphCut
    from hogwild.estimators.linear_svc import LinearSVC as LinearSVC
    from hogwild.estimators.linear_svr import LinearSVR as LinearSVR
    from hogwild.estimators.logistic_regression import LogisticRegression as LogisticRegression
    from hogwild.estimators.matrix_factorization import MatrixFactorization as MatrixFactorization
    from hogwild.estimators.regressor import SGDRegressor as SGDRegressor
    from hogwild.estimators.ridge import Ridge as Ridge
    from hogwild.gradients import check_gradient as check_gradient
    from hogwild.models import load as load
    from hogwild.models import save as save
    from hogwild.own.minimize import minimize as minimize
    from hogwild.report.history import HistoryDisplay as HistoryDisplay
    from hogwild.report.speedup import SpeedupDisplay as SpeedupDisplay
    from hogwild.report.trace import TraceDisplay as TraceDisplay
    from hogwild.steps.own import step as step


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    if name in ("cluster", "data", "engine", "online", "ranking"):
        return importlib.import_module(f"hogwild.{name}")
    raise AttributeError(f"module 'hogwild' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "cluster", "data", "engine", "online", "ranking"]
