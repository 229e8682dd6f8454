"""``hogwild simulate``: a described cluster in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hogwild.cli.options import Format, Loss, Quiet, Schedule, check_seed, names_of, numbers

Merge = Literal["self-tuned", "damped", "mean", "sum"]
_NODES, _NETWORK, _FAULTS, _MODEL, _OUT = "Workers and shards", "Network", "Faults", "Model", "Output"


def command(
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA...]", help="Rows for real kernels; without: sampled durations.", show_default=False
        ),
    ] = None,
    workers: Annotated[
        str, typer.Option(metavar="N", help="Workers; several by commas with --plan.", rich_help_panel=_NODES)
    ] = "4",
    shards: Annotated[int, typer.Option(metavar="N", min=1, help="Parameter shards.", rich_help_panel=_NODES)] = 2,
    replicas: Annotated[int, typer.Option(min=1, max=2, help="Copies of each shard.", rich_help_panel=_NODES)] = 1,
    consistency: Annotated[
        str, typer.Option(metavar="NAME", help="bsp, ssp, asp; several with --plan.", rich_help_panel=_NODES)
    ] = "ssp",
    staleness: Annotated[
        int | None,
        typer.Option(metavar="S", min=0, help="Bound of ssp.", show_default="4", rich_help_panel=_NODES),
    ] = None,
    phase_rows: Annotated[
        str,
        typer.Option(metavar="ROWS", help="Rows between two exchanges; auto: as a job does.", rich_help_panel=_NODES),
    ] = "auto",
    leases: Annotated[
        bool,
        typer.Option("--leases/--no-leases", help="Fast workers take rows from slow ones.", rich_help_panel=_NODES),
    ] = True,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="ROWS",
            help="Rows a second of a worker.",
            show_default="5e6; measured here with --plan",
            rich_help_panel=_NODES,
        ),
    ] = None,
    overhead: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Of a phase beside its rows.",
            show_default="0; measured, and 4 ms a shard, with --plan",
            rich_help_panel=_NODES,
        ),
    ] = None,
    straggler: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="constant:0=10 (worker 0, ten times slower), random:p=.01,seconds=1, spread:.3, noise:.1.",
            rich_help_panel=_NODES,
        ),
    ] = None,
    delay: Annotated[str, typer.Option(metavar="TIME", help="Of a message.", rich_help_panel=_NETWORK)] = "0.5ms",
    jitter: Annotated[
        str, typer.Option(metavar="TIME", help="Mean of a random part on top.", rich_help_panel=_NETWORK)
    ] = "0.1ms",
    bandwidth: Annotated[
        str, typer.Option(metavar="RATE", help="Of each node's link.", rich_help_panel=_NETWORK)
    ] = "1Gbit",
    handling: Annotated[
        str, typer.Option(metavar="TIME", help="Of a processor for each message.", rich_help_panel=_NETWORK)
    ] = "0ms",
    drop: Annotated[
        float, typer.Option(metavar="P", min=0, max=0.9, help="Messages that are lost.", rich_help_panel=_NETWORK)
    ] = 0.0,
    duplicate: Annotated[
        float, typer.Option(metavar="P", min=0, max=0.9, help="Messages that come twice.", rich_help_panel=_NETWORK)
    ] = 0.0,
    partition: Annotated[
        list[str] | None,
        typer.Option(metavar="NODES", help="Cut off: worker/0,worker/1@5s+2s.", rich_help_panel=_FAULTS),
    ] = None,
    crash: Annotated[
        list[str] | None,
        typer.Option(metavar="NODE", help="worker/3@5s; +2s: comes back by itself.", rich_help_panel=_FAULTS),
    ] = None,
    join: Annotated[
        list[str] | None, typer.Option(metavar="N@TIME", help="New workers: 4@10s.", rich_help_panel=_FAULTS)
    ] = None,
    crash_rate: Annotated[
        float, typer.Option(metavar="R", min=0, help="Crashes of workers a second.", rich_help_panel=_FAULTS)
    ] = 0.0,
    shard_crash_rate: Annotated[
        float, typer.Option(metavar="R", min=0, help="Crashes of shards a second.", rich_help_panel=_FAULTS)
    ] = 0.0,
    partition_rate: Annotated[
        float, typer.Option(metavar="R", min=0, help="Partitions a second.", rich_help_panel=_FAULTS)
    ] = 0.0,
    join_rate: Annotated[
        float, typer.Option(metavar="R", min=0, help="New workers a second.", rich_help_panel=_FAULTS)
    ] = 0.0,
    epochs: Annotated[int, typer.Option("--epochs", "--turns", metavar="N", min=1, help="Passes over the rows.")] = 1,
    seed: Annotated[int, typer.Option(callback=check_seed, help="The same seed, the same trace hash.")] = 0,
    rows: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Rows, without DATA.", show_default="200,000 a worker", rich_help_panel=_MODEL
        ),
    ] = None,
    keys: Annotated[
        int, typer.Option(metavar="N", min=1, help="Keys of the model, without DATA.", rich_help_panel=_MODEL)
    ] = 50_000,
    nonzeros: Annotated[
        int, typer.Option(metavar="N", min=1, help="Keys of a row, without DATA.", rich_help_panel=_MODEL)
    ] = 70,
    loss: Annotated[
        Loss | None, typer.Option(metavar="NAME", help=names_of(Loss), show_default="log_loss", rich_help_panel=_MODEL)
    ] = None,
    alpha: Annotated[float, typer.Option(metavar="A", min=0, help="L2 penalty.", rich_help_panel=_MODEL)] = 1e-6,
    schedule: Annotated[
        Schedule, typer.Option(metavar="NAME", help="Step sizes, as of hogwild train.", rich_help_panel=_MODEL)
    ] = "adagrad",
    eta0: Annotated[
        float | None,
        typer.Option(metavar="E", help="First step size.", show_default="0.3 for adagrad", rich_help_panel=_MODEL),
    ] = None,
    merge: Annotated[
        Merge, typer.Option(metavar="NAME", help=f"Rule of merging: {names_of(Merge)}", rich_help_panel=_MODEL)
    ] = "self-tuned",
    half: Annotated[bool, typer.Option("--half", help="Numbers travel as float16.", rich_help_panel=_MODEL)] = False,
    format: Format = "auto",
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Stop then.", show_default=False)] = None,
    loss_goal: Annotated[
        float | None, typer.Option(metavar="X", help="Stop there; with --plan: what to reach.", show_default=False)
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Which of several settings reaches a loss soonest.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Check all invariants after every event.")] = False,
    diagram: Annotated[
        Path | None, typer.Option(metavar="SVG", help="Sequence diagram.", show_default=False, rich_help_panel=_OUT)
    ] = None,
    diagram_round: Annotated[
        int, typer.Option(metavar="K", min=1, help="Phase whose exchange it shows.", rich_help_panel=_OUT)
    ] = 3,
    diagram_nodes: Annotated[
        str | None,
        typer.Option(metavar="NODES", help="2 to 6 nodes by commas.", show_default="some", rich_help_panel=_OUT),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Curves, .png or .svg.", show_default=False, rich_help_panel=_OUT),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="HTML", help="Tables and curves.", show_default=False, rich_help_panel=_OUT)
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Run a described cluster in virtual time.

    Without DATA durations and messages are made up, the coordination is real;
    with DATA workers run the real kernels on the real rows.
    """
    from hogwild.cli import simulation_words as words
    from hogwild.cli.simulating import Wishes, run, run_plan
    from hogwild.cluster.consistency import resolve_consistency
    from hogwild.cluster.simulation.scenario import Scenario

    counts = words.whole_numbers(workers, "--workers")
    lengths = words.whole_numbers(phase_rows, "--phase-rows")
    policies = []
    for name in consistency.split(","):
        try:
            policies.append(resolve_consistency(name.strip(), staleness if name.strip() == "ssp" else None))
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--consistency") from None
    if plan and not data:
        raise typer.BadParameter("a plan needs DATA: without rows there is no loss", param_hint="--plan")
    if not plan:
        for values, option in ((counts, "--workers"), (policies, "--consistency"), (lengths, "--phase-rows")):
            if len(values) > 1:
                raise typer.BadParameter("several values go with --plan", param_hint=option)
    if None in counts:
        raise typer.BadParameter("found auto, expected whole numbers", param_hint="--workers")
    try:
        scenario = Scenario(
            workers=counts[0],
            shards=shards,
            replicas=replicas,
            consistency=policies[0],
            phase_rows=lengths[0],
            leases=leases,
            merge=merge,
            rate=5e6 if rate is None else numbers(rate, "--rate", above_zero=True)[0],
            overhead=0.0 if overhead is None else words.duration(overhead, "--overhead"),
            delay=words.duration(delay, "--delay"),
            jitter=words.duration(jitter, "--jitter"),
            bandwidth=words.bandwidth(bandwidth, "--bandwidth"),
            handling=words.duration(handling, "--handling"),
            loss=drop,
            duplication=duplicate,
            worker_crashes=crash_rate,
            shard_crashes=shard_crash_rate,
            partitions=partition_rate,
            joins=join_rate,
            planned=words.planned(crash or [], partition or [], join or []),
            half=half,
            seed=seed,
            **words.stragglers(straggler or []),
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    wishes = Wishes(
        data=tuple(data or ()),
        format=format,
        loss=loss,
        alpha=alpha,
        schedule=schedule,
        eta0=eta0,
        epochs=epochs,
        rows=rows,
        keys=keys,
        nonzeros=nonzeros,
        until=float("inf") if until is None else words.duration(until, "--until"),
        goal=loss_goal,
        check=check,
        measure=rate is None,
        diagram=diagram,
        diagram_round=diagram_round,
        diagram_nodes=None if diagram_nodes is None else tuple(diagram_nodes.split(",")),
        plot=plot,
        report=report,
        quiet=quiet,
    )
    if plan:
        run_plan(wishes, scenario, counts, policies, lengths)
    else:
        run(wishes, scenario)
