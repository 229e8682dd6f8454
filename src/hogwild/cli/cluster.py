"""``hogwild cluster``: commands that run on several machines."""

from __future__ import annotations

import typer

from hogwild.cli import cluster_train

app = typer.Typer(help="Train on several machines.", no_args_is_help=True)
app.command("train", cls=cluster_train.Command)(cluster_train.command)


@app.callback()
def _group() -> None:
    pass
