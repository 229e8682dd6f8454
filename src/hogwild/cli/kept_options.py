"""Options about what is kept of a run, of `hogwild train` and `hogwild cluster train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_KEPT = "What is kept of the run"

Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.html", help="Page of curves, scores, weights.", show_default=False, rich_help_panel=_KEPT
    ),
]
Run = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Figures of the run, for `hogwild report FOLDER`.",
        show_default=False,
        rich_help_panel=_KEPT,
    ),
]
Tensorboard = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Event files for TensorBoard.", show_default=False, rich_help_panel=_KEPT),
]
HistoryPath = Annotated[
    Path | None,
    typer.Option(
        "--history",
        metavar="FILE.csv",
        help="Loss, rows/s and scores as they come.",
        show_default=False,
        rich_help_panel=_KEPT,
    ),
]
