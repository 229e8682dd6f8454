"""The work of `hogwild simulate`: rows and estimator, the simulation or the plan, tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hogwild.cli.choices import ETA0, OTHER_ETA0, choose_task
from hogwild.cli.memory import free_memory
from hogwild.cli.rows import Sources
from hogwild.cli.terminal import CommandError, check_output, live_line, print_pairs, print_table, say_warning
from hogwild.cluster.consistency import Consistency
from hogwild.cluster.settings import shard_node, worker_node
from hogwild.cluster.simulation.job import Simulation, simulate
from hogwild.cluster.simulation.plan import plan
from hogwild.cluster.simulation.real import RAY_CALL, RealJob
from hogwild.cluster.simulation.rounds import RoundLog
from hogwild.cluster.simulation.scenario import Scenario

_SHOWN = ("Loss", "Loss against virtual time", "Staleness", "Messages")


@dataclass(frozen=True)
class Wishes:
    """The command line of `hogwild simulate`, apart from the cluster."""

    data: tuple[str, ...]
    format: str
    loss: str | None
    alpha: float
    schedule: str
    eta0: float | None
    epochs: int
    rows: int | None
    keys: int
    nonzeros: int
    until: float
    goal: float | None
    check: bool
    measure: bool
    diagram: Path | None
    diagram_round: int
    diagram_nodes: tuple[str, ...] | None
    plot: Path | None
    report: Path | None
    quiet: bool


def run(wishes: Wishes, scenario: Scenario) -> None:
    """Simulate, print, draw."""
    _check_outputs(wishes)
    if wishes.goal is not None and not wishes.data:
        raise CommandError("found --loss-goal without DATA, expected rows to have a loss on")
    if wishes.check and wishes.data:
        raise CommandError("found --check with DATA, expected sampled durations: their pushes can be accounted for")
    nodes = _nodes(wishes, scenario)
    log = RoundLog(nodes=set(nodes)) if wishes.diagram is not None else None
    given: dict[str, Any] = {"rows": wishes.rows, "keys": wishes.keys, "nonzeros": wishes.nonzeros}
    if wishes.data:
        data, labels = _read(wishes)
        given = {"estimator": _estimator(wishes, labels, scenario.seed), "data": data}
    with live_line("simulating (the first run with DATA compiles)", wishes.quiet):
        result = simulate(
            **given,
            scenario=scenario,
            epochs=wishes.epochs,
            until=wishes.until,
            goal=wishes.goal,
            check=wishes.check,
            log=log,
        )
    _say(wishes, result, nodes)
    if result.failed:
        raise CommandError(f"the simulated job failed after {result.seconds:.3f} s: {result.failed}")


def _say(wishes: Wishes, result: Simulation, nodes: list[str]) -> None:
    from hogwild.report import write_report
    from hogwild.report.sequence import write_sequence
    from hogwild.report.simulation import plot_simulation, simulation_parts, simulation_tables

    summary, *others = simulation_tables(result)
    if not wishes.quiet:
        print_pairs([("cluster", summary.heading), *((row[0], row[1]) for row in summary.rows)])
        for table in others:
            if table.heading in _SHOWN or result.scenario.workers <= 16:
                print_table(table.columns, table.rows, table.heading)
    written = []
    if wishes.diagram is not None:
        write_sequence(
            result.log, wishes.diagram, wishes.diagram_round, nodes, f"Round {wishes.diagram_round}: {summary.heading}"
        )
        written.append(("diagram", str(wishes.diagram)))
    if wishes.plot is not None:
        plot_simulation(result, wishes.plot)
        written.append(("plot", str(wishes.plot)))
    if wishes.report is not None:
        write_report(wishes.report, "hogwild: simulated cluster", simulation_parts(result))
        written.append(("report", str(wishes.report)))
    if written and not wishes.quiet:
        print_pairs(written)


def run_plan(
    wishes: Wishes,
    scenario: Scenario,
    workers: Sequence[int],
    policies: Sequence[Consistency],
    lengths: Sequence[int | None],
) -> None:
    """Simulate a grid of settings, print which is best."""
    _check_outputs(wishes)
    if wishes.diagram is not None or wishes.plot is not None:
        raise CommandError("found --diagram or --plot with --plan, expected --report: a plan is a table")
    data, labels = _read(wishes)
    estimator = _estimator(wishes, labels, scenario.seed)
    with live_line("measuring the speed of a worker", wishes.quiet) as line:
        if wishes.measure:
            job = RealJob(estimator, data, shards=scenario.shards, workers=2, seed=scenario.seed)
            rate, overhead = job.measure()
            job.close()
            scenario = scenario.changed(rate=rate, overhead=scenario.overhead or overhead + RAY_CALL * scenario.shards)

        def show(done: int, whole: int) -> None:
            if line is not None:
                line.update(f"simulating: {done} of {whole} settings")

        found = plan(
            estimator,
            data,
            workers=workers,
            consistencies=policies,
            phase_rows=lengths,
            loss_goal=wishes.goal,
            scenario=scenario,
            epochs=wishes.epochs,
            callback=show,
        )
    from hogwild.report import Text, write_report
    from hogwild.report.simulation import plan_table, seconds

    table = plan_table(found)
    measured = ", measured here" if wishes.measure else ""
    speed = f"{scenario.rate:,.0f} rows/s, {seconds(scenario.overhead)} a phase{measured}"
    network = f"{seconds(scenario.delay)}, {scenario.bandwidth * 8e-9:g} Gbit/s"
    if not wishes.quiet:
        print_table(table.columns, table.rows, table.heading)
        print_pairs([("worker", speed), ("network", network), ("best", found.command)])
    if found.best.seconds_to_goal is None:
        say_warning(f"no setting reaches the loss {found.goal:g}: more epochs or shorter phases may")
    if wishes.report is not None:
        text = Text(f"A worker: {speed}. Network: {network}. Best: {found.command}")
        write_report(wishes.report, "hogwild: plan of a cluster", [text, table])


# ------------------------------------------------------------------------------------------------ rows


def _read(wishes: Wishes) -> tuple[Any, Any]:
    """Read all rows into memory (cache files stay where they are); returns them, and all labels."""
    from hogwild.cli.training_data import InCache, InMemory, read_training_data
    from hogwild.cluster.workloads import open_source

    sources = Sources(wishes.data, wishes.format)
    memory = free_memory() // 2
    data = read_training_data(sources, task="auto", n_epochs=1, memory=memory, cache="off", quiet=wishes.quiet)
    if isinstance(data, InMemory):
        return (data.X, data.y, data.weights), data.labels
    if isinstance(data, InCache):
        return open_source(*wishes.data, format="hog"), data.labels
    raise CommandError(f"{sources}: found more rows than fit into memory, expected a sample of them or a .hog file")


def _estimator(wishes: Wishes, y: Any, seed: int) -> Any:
    from hogwild import SGDClassifier, SGDRegressor
    from hogwild.losses import CLASSIFICATION, REGRESSION

    classifies = choose_task(y, "auto")[0] if wishes.loss is None else wishes.loss in CLASSIFICATION
    kind, losses = (SGDClassifier, CLASSIFICATION) if classifies else (SGDRegressor, REGRESSION)
    loss = wishes.loss or ("log_loss" if classifies else "squared_error")
    if loss not in losses:
        raise CommandError(f"found --loss {loss}, expected one of {', '.join(losses)}")
    return kind(
        loss=loss,
        alpha=wishes.alpha,
        learning_rate=wishes.schedule,
        eta0=ETA0.get(wishes.schedule, OTHER_ETA0) if wishes.eta0 is None else wishes.eta0,
        max_iter=wishes.epochs,
        tol=None,
        random_state=seed,
    )


def _nodes(wishes: Wishes, scenario: Scenario) -> list[str]:
    """Lifelines of the diagram."""
    from hogwild.report.sequence import choose_nodes

    if wishes.diagram_nodes is not None:
        return list(wishes.diagram_nodes)
    workers = [worker_node(k) for k in range(min(scenario.workers, 3 + len(scenario.slow)))]
    slow = [worker_node(k) for k in sorted(scenario.slow, key=scenario.slow.get, reverse=True)]
    return choose_nodes(workers, [shard_node(k, 0) for k in range(min(2, scenario.shards))], slow[:1])


def _check_outputs(wishes: Wishes) -> None:
    for path, kinds in ((wishes.diagram, (".svg",)), (wishes.plot, (".png", ".svg")), (wishes.report, ())):
        if path is not None:
            check_output(path)
            if kinds and path.suffix.lower() not in kinds:
                raise CommandError(f"{path}: found the extension {path.suffix!r}, expected {' or '.join(kinds)}")
