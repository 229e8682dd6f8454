"""``hogwild inspect``: what a model file holds."""

from __future__ import annotations

from typing import Annotated

import typer

from hogwild.cli.options import Model


def command(
    model: Model,
    top: Annotated[int, typer.Option(min=0, help="Heaviest weights to show for each class.")] = 5,
    names: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATA",
            help="Rows to take the names of hashed features from; may be repeated.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show a model's task, settings, how it was trained, and its heaviest weights."""
    from hogwild.cli.inspecting import run

    run(model, top, tuple(names or ()))
