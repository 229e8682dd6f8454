"""Arguments and options that the commands share, with the names of losses and schedules but not their slow modules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Loss = Literal[
    "hinge",
    "log_loss",
    "modified_huber",
    "squared_hinge",
    "perceptron",
    "squared_error",
    "huber",
    "epsilon_insensitive",
    "squared_epsilon_insensitive",
]
Schedule = Literal[
    "constant",
    "optimal",
    "invscaling",
    "search",
    "adaptive",
    "epoch_decay",
    "pa1",
    "pa2",
    "adagrad",
    "ftrl",
]
EngineName = Literal["auto", "sequential", "replicas", "shared", "atomic"]
Penalty = Literal["l2", "l1", "elasticnet", "none"]
Task = Literal["auto", "classification", "regression"]
Metric = Literal["log_loss", "auc", "accuracy", "mae", "rmse", "r2"]

_FORMAT = "svmlight (libsvm) text, also .gz .bz2 .xz .zst"
Data = Annotated[Path, typer.Argument(metavar="DATA", help=f"Rows: {_FORMAT}.", show_default=False)]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A file that `hogwild train` wrote.", show_default=False)]


def _threads(value: int | None) -> int | None:
    if value == 0:
        raise typer.BadParameter("0 threads do nothing: 1 is exact, leave it out for all usable cores")
    return value


Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", callback=_threads, help="Threads; 1 is exact and reproducible.", show_default="all"),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")]
