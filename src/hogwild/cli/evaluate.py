"""``hogwild evaluate``: how well a model does on a file of rows."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from hogwild.cli.options import Data, Jobs, Model


def command(
    model: Model,
    data: Data,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
    jobs: Jobs = None,
) -> None:
    """Compare the model's predictions with the labels in DATA."""
    from hogwild.cli.rows import open_model, read_rows
    from hogwild.cli.scores import score, summary
    from hogwild.cli.terminal import print_table

    opened = open_model(model)
    X, y = read_rows(data, opened, n_jobs=-1 if jobs is None else jobs)
    scores = score(opened.estimator, X, y, data)
    if as_json:
        typer.echo(json.dumps({"rows": X.shape[0], **scores}))
    else:
        print_table(*summary({data.name: scores}), title=f"{X.shape[0]:,} rows")
