"""``hogwild ffm-train``: libffm's training program, its options, output and files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hogwild.cli.ffm_options import FfmCommand, above_zero, not_negative
from hogwild.cli.options import (
    BadLines,
    Bits,
    Categorical,
    Cross,
    Format,
    FormatOption,
    Ignore,
    LabelColumn,
    Numeric,
    Transform,
    WeightColumn,
    check_seed,
    format_options,
    seconds,
)

Command = FfmCommand
_OURS = "Beyond libffm"
METRICS = ("logloss", "auc", "accuracy", "precision", "recall", "f1", "rmse")


def command(
    train: Annotated[
        str, typer.Argument(metavar="TRAIN", help="Rows: libffm text, or another --format.", show_default=False)
    ],
    model: Annotated[
        Path | None, typer.Argument(metavar="MODEL", help="File to write.", show_default="TRAIN's name + .model")
    ] = None,
    regularisation: Annotated[
        float,
        typer.Option("-l", metavar="LAMBDA", callback=not_negative, help="Regularization.", show_default="0.00002"),
    ] = 2e-5,
    factors: Annotated[
        int, typer.Option("-k", metavar="N", callback=above_zero("number of factors"), help="Latent factors.")
    ] = 4,
    iterations: Annotated[
        int, typer.Option("-t", metavar="N", callback=above_zero("number of iterations"), help="Iterations.")
    ] = 15,
    eta: Annotated[
        float, typer.Option("-r", metavar="ETA", callback=above_zero("learning rate"), help="Learning rate.")
    ] = 0.2,
    threads: Annotated[
        int, typer.Option("-s", metavar="N", callback=above_zero("number of threads"), help="Threads.")
    ] = 1,
    validation: Annotated[
        str | None, typer.Option("-p", metavar="PATH", help="Validation rows.", show_default=False)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors and warnings only.")] = False,
    no_norm: Annotated[bool, typer.Option("--no-norm", help="Do not scale each row to length 1.")] = False,
    auto_stop: Annotated[
        bool, typer.Option("--auto-stop", help="Stop where the validation loss rises, with the weights before (-p).")
    ] = False,
    compat: Annotated[
        bool,
        typer.Option("--compat", help="libffm's initial weights and order of rows: its digits.", rich_help_panel=_OURS),
    ] = False,
    metric: Annotated[
        str,
        typer.Option(metavar="NAMES", help=f"Columns on -p, by commas: {', '.join(METRICS)}.", rich_help_panel=_OURS),
    ] = "logloss",
    seed: Annotated[
        int,
        typer.Option(metavar="N", callback=check_seed, help="Of initial weights and order.", rich_help_panel=_OURS),
    ] = 0,
    initial: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Go on from a model.", show_default=False, rich_help_panel=_OURS),
    ] = None,
    text_model: Annotated[
        bool, typer.Option("--text-model", help="Write the text of libffm before 2017.", rich_help_panel=_OURS)
    ] = False,
    no_bin: Annotated[
        bool, typer.Option("--no-bin", help="Neither read nor write NAME.bin caches.", rich_help_panel=_OURS)
    ] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Folder to write down in where training stands.", show_default=False, rich_help_panel=_OURS),
    ] = None,
    every: Annotated[str, typer.Option(help="Time between checkpoints: 30s, 5m, 1h.", rich_help_panel=_OURS)] = "5m",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint.", rich_help_panel=_OURS)
    ] = False,
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
    """Train a field-aware factorization machine on TRAIN, as libffm's ffm-train does.

    Text is converted to a binary cache NAME.bin in the current folder, as libffm does, and read from it the next time.
    Models and caches can be exchanged with libffm. Ctrl-C keeps the model.
    """
    from hogwild.cli.ffm_training import Wishes, run
    from hogwild.cli.rows import Sources

    metrics = tuple(dict.fromkeys(["logloss", *filter(None, (name.strip() for name in metric.split(",")))]))
    for name in metrics:
        if name not in METRICS:
            raise typer.BadParameter(f"found {name!r}, expected some of {', '.join(METRICS)}", param_hint="--metric")
    if len(metrics) > 1 and validation is None:
        raise typer.BadParameter("metrics are of validation rows: give -p PATH", param_hint="--metric")
    if auto_stop and validation is None:
        raise typer.BadParameter("it looks at the validation loss: give -p PATH", param_hint="--auto-stop")
    if resume and checkpoint is None:
        raise typer.BadParameter("there is nothing to go on from: give --checkpoint FOLDER", param_hint="--resume")
    if compat and initial is not None:
        raise typer.BadParameter("libffm goes on from no model: leave out --compat", param_hint="--initial")
    options = format_options(label, weight, numeric, categorical, ignore, cross, bits, transform, option)
    run(
        Wishes(
            data=Sources((train,), format, options, threads, bad_lines),
            model=Path(Path(train).name + ".model") if model is None else model,
            regularisation=regularisation,
            factors=factors,
            iterations=iterations,
            eta=eta,
            threads=threads,
            validation=validation,
            quiet=quiet,
            normalized=not no_norm,
            auto_stop=auto_stop,
            compat=compat,
            metrics=metrics,
            seed=seed,
            initial=initial,
            text_model=text_model,
            caches=not no_bin,
            checkpoint=checkpoint,
            every=seconds(every),
            resume=resume,
        )
    )
