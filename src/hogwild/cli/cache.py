"""``hogwild cache``: rows of any format as a cache file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
        list[str], typer.Argument(metavar="DATA... OUT", help="Rows, and the file to write.", show_default=False)
    ],
    values: Annotated[
        Literal["auto", "float32", "float16"],
        typer.Option(help="How values are stored; auto loses nothing, float16 rounds them."),
    ] = "auto",
    shards: Annotated[int, typer.Option(min=1, help="Files to write, OUT-00000-of-00004.hog and so on.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the order of rows.")] = 0,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="To work in.", show_default="half of what is free")
    ] = None,
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
    """Write the rows of DATA to a cache file, in random order, features renumbered by frequency.

    `hogwild train` and `SGDClassifier.fit(hogwild.data.open("x.hog"))` read it in blocks, at the speed of memory.
    """
    from hogwild.cli.caching import run
    from hogwild.cli.memory import free_memory, parse_size
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
    size = free_memory() // 2 if memory is None else parse_size(memory)
    run(sources, Path(paths[-1]), memory=size, quiet=quiet, values=values, shards=shards, seed=seed)
