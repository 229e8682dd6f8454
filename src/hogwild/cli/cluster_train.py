"""``hogwild cluster train``: fit a model on the nodes of a Ray cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from hogwild.cli.kept_options import HistoryPath, Report, Run, Tensorboard
from hogwild.cli.options import (
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

Family = Literal["auto", "linear", "fm", "ffm"]
Policy = Literal["bsp", "ssp", "asp"]
Merge = Literal["self-tuned", "damped", "sum", "mean"]

_CLUSTER, _LONG, _FACTORS = "Cluster", "Long runs", "Factors (fm, ffm)"
_ELSEWHERE = {
    "--cv": "a job trains one setting: `hogwild train --cv` chooses among several",
    "--plot": "it draws the scores of several settings, a job trains one",
    "--holdout": "workers step through all rows: give --valid FILE with rows to score at the end",
    "--patience": "a job runs all its epochs: Ctrl-C keeps the model so far",
    "--metric": "all metrics are shown of --valid",
    "--memory": "workers keep the rows that are leased to them",
    "--cache": "write shards once with `hogwild cache --shards`, and give those",
    "--bad-lines": "a bad line ends the job: `hogwild cache --bad-lines skip` writes shards without them",
}


class Command(TyperCommand):
    """Says what to do instead of options that `hogwild train` has and a cluster does not."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        for word in args:
            name = word.partition("=")[0]
            if name == "--":
                break
            if name in _ELSEWHERE:
                raise typer.BadParameter(f"not on a cluster: {_ELSEWHERE[name]}", ctx=ctx, param_hint=name)
        return super().parse_args(ctx, args)


def _above_zero(value: int | None) -> int | None:
    if value is not None and value < 1:
        raise typer.BadParameter(f"found {value}, expected 1 or more")
    return value


def command(
    data: Data,
    model: Annotated[Path, typer.Option("--model", "-m", help="File to write the model to.", show_default=False)],
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=_above_zero,
            help="Workers.",
            show_default="one a node",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=_above_zero,
            help="Parts of the model, each in a process.",
            show_default="by its size",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    consistency: Annotated[
        Policy,
        typer.Option(
            metavar="NAME",
            help=f"Who waits for the slowest: {names_of(Policy)}",
            rich_help_panel=_CLUSTER,
        ),
    ] = "ssp",
    staleness: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Phases ahead of the slowest, with ssp.",
            show_default="4",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    replicas: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=2, help="2: each shard has a copy elsewhere.", rich_help_panel=_CLUSTER),
    ] = 1,
    address: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster, auto for the one that runs here.",
            show_default="RAY_ADDRESS, else this machine alone",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    phase_rows: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=_above_zero,
            help="Rows between two exchanges.",
            show_default="by measuring",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    merge: Annotated[
        Merge,
        typer.Option(metavar="NAME", help=f"How deltas are added: {names_of(Merge)}", rich_help_panel=_CLUSTER),
    ] = "self-tuned",
    half: Annotated[
        bool, typer.Option("--half", help="Parameters travel as float16.", rich_help_panel=_CLUSTER)
    ] = False,
    estimator: Annotated[
        Family, typer.Option(metavar="NAME", help=f"{names_of(Family)} auto: ffm for rows with fields.")
    ] = "auto",
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
        str | None,
        typer.Option(metavar="NUMBER", help="Strength of the penalty.", show_default="1e-6, 2e-5 for fm and ffm"),
    ] = None,
    l1_ratio: Annotated[float, typer.Option(metavar="R", min=0, max=1, help="Share of L1 in elasticnet.")] = 0.15,
    schedule: Annotated[
        Schedule | None,
        typer.Option(
            metavar="NAME", help=f"Step sizes: {names_of(Schedule)}", show_default="adagrad, search for regression"
        ),
    ] = None,
    eta0: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="First step size.", show_default="0.3 for adagrad, 0.2 for ffm, else 0.01"),
    ] = None,
    factors: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=_above_zero,
            help="Latent factors.",
            show_default="8 for fm, 4 for ffm",
            rich_help_panel=_FACTORS,
        ),
    ] = None,
    no_norm: Annotated[
        bool, typer.Option("--no-norm", help="Do not scale each row to length 1 (ffm).", rich_help_panel=_FACTORS)
    ] = False,
    epochs: Annotated[int, typer.Option(metavar="N", min=1, help="Passes over the rows.")] = 10,
    engine: Annotated[
        EngineName,
        typer.Option(metavar="NAME", help="Who runs the steps of a node: auto, replicas, shared, sequential."),
    ] = "auto",
    class_weight: Annotated[
        str | None, typer.Option(help="balanced, or label=weight,label=weight.", show_default=False)
    ] = None,
    valid: Annotated[Path | None, typer.Option(help="Rows to score at the end.", show_default=False)] = None,
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
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Folder that all nodes share, or URL, for checkpoints.", show_default=False, rich_help_panel=_LONG
        ),
    ] = None,
    every: Annotated[str, typer.Option(help="Time between checkpoints: 30s, 5m, 1h.", rich_help_panel=_LONG)] = "5m",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint.", rich_help_panel=_LONG)
    ] = False,
) -> None:
    """Fit a model to DATA on several machines and write it to MODEL.

    DATA are files or .hog shards that all nodes see. Without a Ray cluster, the cores of this machine are shared by
    --workers processes. Lost workers and shards are replaced. Ctrl-C keeps the model.
    """
    from hogwild.cli import cluster_training
    from hogwild.cli.rows import Sources

    if resume and checkpoint is None:
        raise typer.BadParameter("there is nothing to go on from: give --checkpoint FOLDER", param_hint="--resume")
    if staleness is not None and consistency != "ssp":
        raise typer.BadParameter(f"it belongs to ssp, found --consistency {consistency}", param_hint="--staleness")
    if quantile is not None and not 0 < quantile < 1:
        raise typer.BadParameter(f"found {quantile:g}, expected a number between 0 and 1", param_hint="--quantile")
    if "-" in data:
        raise typer.BadParameter("other nodes do not see standard input: give files", param_hint="DATA...")
    options = format_options(label, weight, numeric, categorical, ignore, cross, bits, transform, option)
    cluster_training.run(
        cluster_training.Wishes(
            data=Sources(tuple(data), format, options, -1 if jobs is None else jobs),
            model=model,
            workers=workers,
            shards=shards,
            consistency=consistency,
            staleness=staleness,
            replicas=replicas,
            address=address,
            phase_rows=phase_rows,
            merge=merge,
            half=half,
            family=estimator,
            task=task,
            loss=loss,
            multi_class=multi_class,
            quantile=quantile,
            penalty=None if penalty == "none" else penalty,
            alpha=_one(alpha, "--alpha"),
            l1_ratio=l1_ratio,
            schedule=schedule,
            eta0=_one(eta0, "--eta0", above_zero=True),
            factors=factors,
            normalized=not no_norm,
            epochs=epochs,
            engine=engine,
            class_weight=class_weight,
            valid=valid,
            seed=seed,
            report=report,
            run=run,
            tensorboard=tensorboard,
            history=history,
            threads=jobs if jobs is not None and jobs > 0 else None,
            quiet=quiet,
            place=checkpoint,
            every=seconds(every),
            resume=resume,
        )
    )


def _one(text: str | None, option: str, *, above_zero: bool = False) -> float | None:
    """Return the one number of an option of which `hogwild train` takes several."""
    if text is None:
        return None
    found = numbers(text, option, above_zero=above_zero)
    if len(found) > 1:
        raise typer.BadParameter(f"found {len(found)} numbers: {_ELSEWHERE['--cv']}", param_hint=option)
    return found[0]
