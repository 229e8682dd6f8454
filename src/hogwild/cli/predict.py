"""``hogwild predict``: one prediction for each row."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hogwild.cli.options import BadLines, Data, Format, FormatOption, Jobs, Model, Quiet, format_options


def command(
    model: Model,
    data: Data,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write to.", show_default="standard output")
    ] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Probabilities of all classes instead of labels.")] = False,
    jobs: Jobs = None,
    quiet: Quiet = False,
    format: Format = "auto",
    option: FormatOption = None,
    bad_lines: BadLines = "error",
) -> None:
    """Print one prediction a line for the rows of DATA, in their order.

    Rows are read as the model's training rows were, in batches, so that files of any size do. Labels in DATA may be
    anything: they are not looked at. Features that the model has not seen have weight 0.
    """
    from hogwild.cli.predicting import run
    from hogwild.cli.rows import Sources

    sources = Sources(tuple(data), format, format_options(others=option), -1 if jobs is None else jobs, bad_lines)
    run(model, sources, output, proba=proba, quiet=quiet)
