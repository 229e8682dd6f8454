"""``hogwild reproduce``: published tables and figures, measured again on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hogwild.cli.options import Jobs, Quiet, check_seed


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="Experiments; none: list them.", show_default=False),
    ] = None,
    scale: Annotated[
        float, typer.Option(metavar="S", help="Size of the made-up data as a share of the original's.")
    ] = 1.0,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Real data instead of made-up ones; may be repeated.", show_default=False),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for tables and pictures.")] = Path(
        "reproduced"
    ),
    report: Annotated[Path | None, typer.Option(help="HTML page of all of them.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(metavar="N", callback=check_seed, help="Of data and models.")] = 0,
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Run published experiments on this machine; write tables, pictures and whether the claims hold.

    Each NAME gets a folder with a CSV file for each table, a PNG for each picture, and summary.csv.
    Published figures are shown with their source, beside the measured ones.
    """
    from hogwild.cli.reproducing import Wishes, list_experiments, run

    if not names:
        list_experiments()
        return
    run(Wishes(tuple(dict.fromkeys(names)), scale, tuple(data or ()), output, report, seed, jobs, quiet))
