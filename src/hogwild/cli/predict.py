"""``hogwild predict``: one prediction for each row of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hogwild.cli.options import Data, Jobs, Model, Quiet


def command(
    model: Model,
    data: Data,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write to.", show_default="standard output")
    ] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Probabilities of all classes instead of labels.")] = False,
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Print one prediction a line for the rows of DATA, in their order.

    Labels in DATA may be anything: they are not looked at. Features that the model has not seen have weight 0.
    """
    from hogwild.cli.predicting import run

    run(model, data, output, proba=proba, n_jobs=-1 if jobs is None else jobs, quiet=quiet)
