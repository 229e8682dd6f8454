"""``hogwild evaluate``: how well a model does on rows."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from hogwild.cli.options import BadLines, Data, Format, FormatOption, Jobs, Model, format_options


def command(
    model: Model,
    data: Data,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
    jobs: Jobs = None,
    format: Format = "auto",
    option: FormatOption = None,
    bad_lines: BadLines = "error",
) -> None:
    """Compare the model's predictions with the labels in DATA, which are read in batches."""
    from hogwild.cli.rows import Sources, batches_for, check_labels, open_like, open_model, say_bad_lines
    from hogwild.cli.scores import Scorer, summary
    from hogwild.cli.terminal import CommandError, print_table

    opened = open_model(model)
    sources = Sources(tuple(data), format, format_options(others=option), -1 if jobs is None else jobs, bad_lines)
    rows, scorer = open_like(sources, opened), Scorer(opened.estimator, str(sources))
    for X, batch in batches_for(rows, opened.estimator.n_features_in_, str(sources)):
        check_labels(batch.labels, opened.classes, str(sources))
        scorer.add(X, batch.labels, batch.weights)
    say_bad_lines(rows, str(sources))
    if not scorer.rows:
        raise CommandError(f"{sources}: found no rows, expected some")
    scores = scorer.result()
    if as_json:
        typer.echo(json.dumps({"rows": scorer.rows, **scores}))
    else:
        print_table(*summary({str(sources): scores}), title=f"{scorer.rows:,} rows")
