"""``hogwild report``: a page about a run that has ended, an experiment, or a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hogwild.cli.options import Quiet


def command(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="Folder of `hogwild train --run` or `hogwild reproduce`, or a model file.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE.html", help="Page to write.", show_default="RUN.html, beside it"),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATA",
            help="Rows to take the names of a model's hashed features from; may be repeated.",
            show_default=False,
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write one self-contained HTML page: curves, scores, time, weights, settings, and the command to repeat it.

    It fetches nothing: send it, print it, or read it on a phone.
    """
    from hogwild.cli.reporting import run as write

    write(run, output, tuple(names or ()), quiet)
