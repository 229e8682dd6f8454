"""``hogwild train``: fit a model to a file of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hogwild.cli.options import Data, EngineName, Jobs, Loss, Metric, Penalty, Quiet, Schedule, Task


def command(
    data: Data,
    model: Annotated[Path, typer.Option("--model", "-m", help="File to write the model to.", show_default=False)],
    task: Annotated[Task, typer.Option(help="auto: by the labels.")] = "auto",
    loss: Annotated[Loss | None, typer.Option(show_default="log_loss, squared_error for regression")] = None,
    penalty: Annotated[Penalty, typer.Option()] = "l2",
    alpha: Annotated[float, typer.Option(min=0, help="Strength of the penalty.")] = 1e-6,
    l1_ratio: Annotated[float, typer.Option(min=0, max=1, help="Share of L1 in elasticnet.")] = 0.15,
    schedule: Annotated[
        Schedule | None, typer.Option(help="Step sizes.", show_default="adagrad, search for regression")
    ] = None,
    eta0: Annotated[
        float | None, typer.Option(min=0, help="First step size.", show_default="0.3 for adagrad, else 0.01")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the rows.")] = 10,
    engine: Annotated[EngineName, typer.Option(help="Who runs the steps on several threads.")] = "auto",
    class_weight: Annotated[
        str | None, typer.Option(help="balanced, or label=weight,label=weight.", show_default=False)
    ] = None,
    valid: Annotated[
        Path | None, typer.Option(help="Rows to validate on after each epoch.", show_default=False)
    ] = None,
    metric: Annotated[
        Metric | None, typer.Option(help="Followed on --valid.", show_default="log_loss, rmse for regression")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the order of rows.")] = 0,
    report: Annotated[
        Path | None, typer.Option(help="HTML page to write: curves, settings.", show_default=False)
    ] = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Fit a linear model to DATA and write it to MODEL.

    Labels may be words, integers (classes) or other numbers (regression). Ctrl-C ends training and
    keeps the model.
    """
    from hogwild.cli.training import Wishes, run

    if metric is not None and valid is None:
        raise typer.BadParameter("it is followed on validation rows: give --valid FILE", param_hint="--metric")
    run(
        Wishes(
            data=data,
            model=model,
            task=task,
            loss=loss,
            penalty=None if penalty == "none" else penalty,
            alpha=alpha,
            l1_ratio=l1_ratio,
            schedule=schedule,
            eta0=eta0,
            epochs=epochs,
            engine=engine,
            class_weight=class_weight,
            valid=valid,
            metric=metric,
            seed=seed,
            report=report,
            n_jobs=-1 if jobs is None else jobs,
            quiet=quiet,
        )
    )
