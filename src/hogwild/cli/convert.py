"""``hogwild convert``: rows of one format as those of another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hogwild.cli.options import (
    BadLines,
    Bits,
    Categorical,
    Cross,
    Format,
    FormatOption,
    Ignore,
    Jobs,
    LabelColumn,
    Numeric,
    Quiet,
    Transform,
    WeightColumn,
    format_options,
)


def command(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA... OUT", help="Rows, and the file to write: *.svm, *.ffm, *.parquet.", show_default=False
        ),
    ],
    jobs: Jobs = None,
    quiet: Quiet = False,
    format: Format = "auto",
    label: LabelColumn = None,
    weight: WeightColumn = None,
    numeric: Numeric = None,
    categorical: Categorical = None,
    ignore: Ignore = None,
    cross: Cross = None,
    bits: Bits = None,
    transform: Transform = None,
    option: FormatOption = None,
    bad_lines: BadLines = "error",
) -> None:
    """Write the rows of DATA in the format that OUT's extension names, compressed if it says so, in constant memory."""
    from hogwild.cli.converting import run
    from hogwild.cli.rows import Sources

    if len(paths) < 2:
        raise typer.BadParameter("found one path, expected DATA and OUT", param_hint="DATA... OUT")
    sources = Sources(
        tuple(paths[:-1]),
        format,
        format_options(label, weight, numeric, categorical, ignore, cross, bits, transform, option),
        -1 if jobs is None else jobs,
        bad_lines,
    )
    run(sources, Path(paths[-1]), quiet=quiet)
