"""``hogwild ffm-predict``: libffm's prediction program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hogwild.cli.ffm_options import FfmCommand
from hogwild.cli.options import BadLines, Format, FormatOption, LabelColumn, WeightColumn, format_options

Command = FfmCommand


def command(
    test: Annotated[str, typer.Argument(metavar="TEST", help="Rows to predict.", show_default=False)],
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A file of libffm or `hogwild ffm-train`.", show_default=False)
    ],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="File to write to.", show_default=False)],
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors and warnings only.")] = False,
    format: Format = "auto",
    label: LabelColumn = None,
    weight: WeightColumn = None,
    option: FormatOption = None,
    bad_lines: BadLines = "error",
) -> None:
    """Write a probability for each row of TEST to OUTPUT, and print the log loss, as libffm's ffm-predict does.

    Rows are read as the model's training rows were.
    """
    from hogwild.cli.ffm_predicting import run
    from hogwild.cli.rows import Sources

    run(Sources((test,), format, format_options(label, weight, others=option), -1, bad_lines), model, output, quiet)
