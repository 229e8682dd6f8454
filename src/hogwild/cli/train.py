"""``hogwild train``: fit a model to rows of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hogwild.cli.kept_options import HistoryPath, Report, Run, Tensorboard
from hogwild.cli.options import (
    BadLines,
    Bits,
    Categorical,
    Cross,
    Data,
    EngineName,
    Format,
    FormatOption,
    Ignore,
    Jobs,
    LabelColumn,
    Loss,
    Metric,
    MultiClass,
    Numeric,
    Penalty,
    Quiet,
    Schedule,
    Task,
    Transform,
    WeightColumn,
    check_seed,
    format_options,
    names_of,
    numbers,
    seconds,
)

_LONG = "Long runs"


def command(
    data: Data,
    model: Annotated[Path, typer.Option("--model", "-m", help="File to write the model to.", show_default=False)],
    task: Annotated[
        Task, typer.Option(metavar="NAME", help="auto (by the labels), classification, regression.")
    ] = "auto",
    loss: Annotated[
        Loss | None,
        typer.Option(metavar="NAME", help=names_of(Loss), show_default="log_loss, squared_error for regression"),
    ] = None,
    multi_class: Annotated[
        MultiClass, typer.Option(metavar="NAME", help=f"Several classes: {names_of(MultiClass)}")
    ] = "ovr",
    quantile: Annotated[float | None, typer.Option(help="Level of --loss quantile.", show_default="0.5")] = None,
    penalty: Annotated[Penalty, typer.Option(metavar="NAME", help=names_of(Penalty))] = "l2",
    alpha: Annotated[
        str, typer.Option(metavar="NUMBERS", help="Strength of the penalty; several: 1e-8,...,1e-3.")
    ] = "1e-6",
    l1_ratio: Annotated[float, typer.Option(metavar="R", min=0, max=1, help="Share of L1 in elasticnet.")] = 0.15,
    schedule: Annotated[
        Schedule | None,
        typer.Option(
            metavar="NAME", help=f"Step sizes: {names_of(Schedule)}", show_default="adagrad, search for regression"
        ),
    ] = None,
    eta0: Annotated[
        str | None,
        typer.Option(metavar="NUMBERS", help="First step size, or several.", show_default="0.3 for adagrad, else 0.01"),
    ] = None,
    epochs: Annotated[int, typer.Option(metavar="N", min=1, help="Passes over the rows.")] = 10,
    engine: Annotated[
        EngineName, typer.Option(metavar="NAME", help=f"Who runs the steps: {names_of(EngineName)}")
    ] = "auto",
    class_weight: Annotated[
        str | None, typer.Option(help="balanced, or label=weight,label=weight.", show_default=False)
    ] = None,
    valid: Annotated[
        Path | None, typer.Option(help="Rows to validate on after each epoch.", show_default=False)
    ] = None,
    metric: Annotated[
        Metric | None,
        typer.Option(
            metavar="NAME",
            help=f"Followed on --valid: {names_of(Metric)}",
            show_default="log_loss, rmse for regression",
        ),
    ] = None,
    holdout: Annotated[
        int | None, typer.Option(min=2, help="Validate on one row in N instead.", metavar="N", show_default=False)
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Stop after N epochs without improvement: of --metric, of --holdout's score, else of the loss.",
            show_default=False,
        ),
    ] = None,
    cv: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=63,
            metavar="K",
            help="Folds to choose among several --alpha and --eta0 with.",
            show_default="5 where there are several",
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Scores by alpha, .png or .svg.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(metavar="N", callback=check_seed, help="Of the order of rows.")] = 0,
    report: Report = None,
    run: Run = None,
    tensorboard: Tensorboard = None,
    history: HistoryPath = None,
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
    memory: Annotated[
        str | None,
        typer.Option(
            help="Rows beyond it go through a cache file.",
            metavar="SIZE",
            show_default="half of what is free",
            rich_help_panel=_LONG,
        ),
    ] = None,
    cache: Annotated[
        str,
        typer.Option(
            metavar="auto|on|off|PATH",
            help="auto: where rows exceed --memory; off: read them anew in each epoch.",
            rich_help_panel=_LONG,
        ),
    ] = "auto",
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Folder to write down in where training stands.", show_default=False, rich_help_panel=_LONG),
    ] = None,
    every: Annotated[str, typer.Option(help="Time between checkpoints: 30s, 5m, 1h.", rich_help_panel=_LONG)] = "5m",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint.", rich_help_panel=_LONG)
    ] = False,
) -> None:
    """Fit a linear model to DATA and write it to MODEL.

    Labels may be words, integers (classes) or other numbers (regression).
    Ctrl-C keeps the model.
    """
    from hogwild.cli import training
    from hogwild.cli.memory import free_memory, parse_size
    from hogwild.cli.rows import Sources

    alphas = numbers(alpha, "--alpha")
    eta0s = (None,) if eta0 is None else numbers(eta0, "--eta0", above_zero=True)
    several = len(alphas) > 1 or len(eta0s) > 1 or cv is not None
    if plot is not None and not several:
        raise typer.BadParameter("there is one setting only: give several --alpha or --eta0", param_hint="--plot")

    if resume and checkpoint is None:
        raise typer.BadParameter("there is nothing to go on from: give --checkpoint FOLDER", param_hint="--resume")
    if holdout is not None and valid is not None:
        raise typer.BadParameter("rows are held out or in a file of their own: leave one out", param_hint="--holdout")
    if quantile is not None and not 0 < quantile < 1:
        raise typer.BadParameter(f"found {quantile:g}, expected a number between 0 and 1", param_hint="--quantile")
    if metric is not None and valid is None:
        raise typer.BadParameter("it is followed on validation rows: give --valid FILE", param_hint="--metric")
    training.run(
        training.Wishes(
            data=Sources(
                tuple(data),
                format,
                format_options(label, weight, numeric, categorical, ignore, cross, bits, transform, option),
                -1 if jobs is None else jobs,
                bad_lines,
            ),
            model=model,
            task=task,
            loss=loss,
            multi_class=multi_class,
            quantile=quantile,
            penalty=None if penalty == "none" else penalty,
            alpha=alphas[0],
            l1_ratio=l1_ratio,
            schedule=schedule,
            eta0=eta0s[0],
            epochs=epochs,
            engine=engine,
            class_weight=class_weight,
            valid=valid,
            metric=metric,
            holdout=holdout,
            patience=patience,
            memory=free_memory() // 2 if memory is None else parse_size(memory),
            cache=cache,
            checkpoint=checkpoint,
            every=seconds(every),
            resume=resume,
            seed=seed,
            report=report,
            run=run,
            tensorboard=tensorboard,
            history=history,
            n_jobs=-1 if jobs is None else jobs,
            quiet=quiet,
            search=training.Search(alphas, None if eta0 is None else eta0s, cv or 5, plot) if several else None,
        )
    )
