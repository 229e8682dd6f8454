"""``hogwild demo``: the main job on real input that every machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hogwild.cli.options import Jobs


def command(
    report: Annotated[Path, typer.Option(help="HTML page to write.")] = Path("hogwild-demo.html"),
    jobs: Jobs = None,
) -> None:
    """Tell which installed Python package a function is from, beside scikit-learn: time and accuracy.

    The rows are the functions in this Python's installed packages, hashed to 262,144 features. Nothing is downloaded.
    """
    from hogwild.cli.demonstration import run

    run(report, -1 if jobs is None else jobs)
