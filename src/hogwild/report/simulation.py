"""A simulated job as tables and plots."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from hogwild.data.files import write_whole
from hogwild.report.parts import Bars, Lines, Part, Table
from hogwild.report.plots import COLOURS, STYLE, _require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hogwild.cluster.simulation.job import Simulation

_BARS = 20  # of the histogram of staleness
_MOST_WORKERS = 20  # that a table lists
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
SIZE = (10.0, 6.4)  # inches


def size(nbytes: float) -> str:
    """Write a number of bytes.

    Examples
    --------
    >>> size(1_500_000), size(256)
    ('1.5 MB', '256 B')
    """
    for unit, name in _UNITS:
        if nbytes >= unit:
            return f"{nbytes / unit:.3g} {name}" if nbytes < 999.5 * unit else f"{nbytes / unit:,.0f} {name}"
    return f"{nbytes:.0f} B"


def seconds(value: float) -> str:
    """Write a duration of virtual time.

    Examples
    --------
    >>> seconds(0.00034), seconds(0.25), seconds(71.26)
    ('340 µs', '250 ms', '71.3 s')
    """
    if value < 0.001:
        return f"{value * 1e6:.3g} µs"
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:,.1f} s" if value >= 10 else f"{value:.3g} s"


def share(value: float) -> str:
    """Write a share."""
    return f"{100 * value:.1f} %"


# ------------------------------------------------------------------------------------------------ tables


def staleness_bins(counts: dict[int, int]) -> list[tuple[str, int]]:
    """Gather counts by staleness in at most 20 ranges of equal width (the last one open), each with its name.

    Examples
    --------
    >>> staleness_bins({0: 5, 2: 1})
    [('0', 5), ('1', 0), ('2', 1)]
    """
    if not counts:
        return []
    values, numbers = np.array(list(counts)), np.array(list(counts.values()))
    order = np.argsort(values)
    values, numbers = values[order], numbers[order]
    # a long tail would leave the others in one bar
    most = int(values[min(np.searchsorted(np.cumsum(numbers), 0.995 * numbers.sum()), len(values) - 1)])
    width = next(
        step * 10**power for power in range(12) for step in (1, 2, 5) if (most + 1) / (step * 10**power) <= _BARS
    )
    found = []
    lows = range(0, most + 1, width)
    for low in lows:
        last = low + width > most
        inside = (values >= low) & ((values < low + width) | last)
        name = f"{low}" if width == 1 else f"{low}–{low + width - 1}"  # noqa: RUF001  a range
        found.append((f"{low} +" if last and values[-1] >= low + width else name, int(numbers[inside].sum())))
    return found


def simulation_tables(run: Simulation) -> list[Table]:
    """What a simulated job came to: in all, by worker, staleness, messages."""
    scenario, (compute, exchange, waiting) = run.scenario, run.share
    rows = [
        ["ended", "all rows stepped" if run.finished else run.failed or ("goal" if run.reached else "stopped")],
        ["virtual time", seconds(run.seconds)],
        ["rows", f"{run.rows:,}"],
        ["throughput", f"{run.rows_per_second:,.0f} rows/s"],
        ["compute, exchange, waiting", f"{share(compute)}, {share(exchange)}, {share(waiting)}"],
        ["phase length", _lengths(run)],
        ["staleness", f"{run.mean_staleness:.2f} pushes of others on average"],
        ["bytes sent", size(sum(run.sent.values()))],
        ["evictions", _evictions(run)],
    ]
    if run.faults:
        rows.append(["faults", ", ".join(f"{n} x {what}" for what, n in sorted(run.faults.items()))])
    rows.append(["simulator", f"{run.events:,} events, {run.events_per_second:,.0f} events/s"])
    rows.append(["trace hash", run.digest])
    title = f"{scenario.workers:,} workers, {scenario.shards} shards, {scenario.consistency}"
    tables = [Table(title, ["", ""], rows)]
    if run.losses:
        shown = [[str(k + 1), f"{loss:.5f}"] for k, loss in enumerate(run.epochs)]
        last = [["model at the end", f"{run.losses[-1][1]:.5f}"]]
        if run.reached is not None:
            last.append(["goal reached after", seconds(run.reached)])
        tables.append(Table("Loss", ["epoch", "mean loss"], shown + last))
        places = np.unique(np.linspace(0, len(run.losses) - 1, 12).astype(int))
        picked = [[seconds(run.losses[k][0]), f"{run.losses[k][1]:.5f}"] for k in places]
        tables.append(Table("Loss against virtual time", ["time", "loss of the shards' model"], picked))
    tables.append(Table("Workers", ["worker", "compute", "exchange", "waiting"], _workers(run)))
    total = max(1, sum(run.staleness.values()))
    bins = [[name, f"{n:,}", share(n / total)] for name, n in staleness_bins(run.staleness)]
    tables.append(Table("Staleness", ["pushes of others in between", "pushes", "share"], bins))
    messages = [[kind, f"{run.messages.get(kind, 0):,}", size(nbytes)] for kind, nbytes in run.sent.items()]
    tables.append(Table("Messages", ["kind", "number", "bytes"], messages))
    return tables


def _lengths(run: Simulation) -> str:
    lengths = [rows for _, rows in run.phase_rows]
    if len(lengths) < 2:
        return f"{lengths[0]:,} rows" if lengths else ""
    return f"{lengths[0]:,} to {lengths[-1]:,} rows, the last from {seconds(run.phase_rows[-1][0])} on"


def _evictions(run: Simulation) -> str:
    reasons = [why for _, why in run.evictions]
    return ", ".join(f"{reasons.count(why)} x {why}" for why in dict.fromkeys(reasons)) or "none"


def _workers(run: Simulation) -> list[list[str]]:
    """Shares by worker; of many the ones that wait least and most."""
    rows = []
    for name, parts in run.shares.items():
        whole = sum(parts) or 1.0
        rows.append([name, *(share(part / whole) for part in parts)])
    if len(rows) <= _MOST_WORKERS:
        return rows
    order = sorted(range(len(rows)), key=lambda k: list(run.shares.values())[k][2])
    few = _MOST_WORKERS // 4
    gap = [f"... {len(rows) - 2 * few:,} between", "", "", ""]
    return [*(rows[k] for k in order[:few]), gap, *(rows[k] for k in order[-few:])]


def simulation_parts(run: Simulation) -> list[Part]:
    """Tables and plots for a report."""
    summary, *others = simulation_tables(run)
    parts: list[Part] = [summary]
    if run.losses:
        parts.append(
            Lines("Loss against virtual time", "virtual time (s)", "mean loss", {"mean loss": _columns(run.losses)})
        )
    if run.throughput:
        throughput = _columns(run.throughput)
        parts.append(Lines("Throughput", "virtual time (s)", "rows/s", {"rows/s": throughput}, from_zero=True))
    if run.staleness:
        parts.append(Bars("Staleness of pushes", "pushes", dict(staleness_bins(run.staleness))))
    largest = _largest(run)
    parts.append(Bars("Bytes sent", "MB", {kind: nbytes / 1e6 for kind, nbytes in largest.items()}))
    wanted = ("Loss", "Workers", "Messages")
    return parts + [table for table in others if table.heading in wanted]


def _columns(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _largest(run: Simulation, n: int = 7) -> dict[str, int]:
    """Bytes by kind, what is little put together."""
    kinds = sorted(run.sent.items(), key=lambda pair: -pair[1])
    shown = dict(kinds[:n])
    if len(kinds) > n:
        shown["others"] = sum(nbytes for _, nbytes in kinds[n:])
    return shown


# ------------------------------------------------------------------------------------------------ plot


def plot_simulation(run: Simulation, path: str | os.PathLike[str]) -> None:
    """Draw loss against virtual time, throughput, staleness and bytes into one picture.

    Parameters
    ----------
    run : Simulation
    path : str or path-like
        The extension, ``.png`` or ``.svg``, says of which kind.

    Raises
    ------
    ImportError
        Without Matplotlib.
    ValueError
        If the extension is another one.
    """
    kind = os.path.splitext(os.fspath(path))[1].lower().removeprefix(".")
    if kind not in ("png", "svg"):
        raise ValueError(f"{os.fspath(path)}: found the extension {kind!r}, expected .png or .svg")
    _require_matplotlib()
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), write_whole(path) as file:
        figure = Figure(figsize=SIZE, dpi=150, layout="constrained")
        axes = figure.subplots(2, 2)
        _draw_loss(axes[0, 0], run)
        _draw_throughput(axes[0, 1], run)
        _draw_staleness(axes[1, 0], run)
        _draw_bytes(axes[1, 1], run)
        scenario = run.scenario
        figure.suptitle(f"{scenario.workers:,} workers, {scenario.shards} shards, {scenario.consistency}", fontsize=13)
        figure.savefig(file, format=kind, metadata={"Software": None} if kind == "png" else {"Date": None})


def _scaled(points: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray, str]:
    """Columns of a curve, the times in a unit that suits them."""
    x, y = map(np.array, _columns(points))
    short = len(x) and x[-1] < 1
    return x * 1000 if short else x, y, "virtual time (ms)" if short else "virtual time (s)"


def _draw_loss(axes: Axes, run: Simulation) -> None:
    if not run.losses:  # without data: how the time was spent
        names = ["compute", "exchange", "waiting"]
        bars = axes.barh(
            names, [100 * part for part in run.share], color=[COLOURS[0], COLOURS[4], COLOURS[1]], height=0.6
        )
        axes.bar_label(bars, fmt="{:.1f} %", padding=4)
        axes.set(xlim=(0, 118), xlabel="share of the workers' time (%)", title="Time of the workers")
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        return
    x, y, label = _scaled(run.losses)
    axes.plot(x, y, color=COLOURS[0], linewidth=1.8)
    axes.set(xlabel=label, ylabel="mean loss", title="Loss of the shards' model")
    axes.set_xlim(left=0)


def _draw_throughput(axes: Axes, run: Simulation) -> None:
    from matplotlib.ticker import StrMethodFormatter

    x, y, label = _scaled(run.throughput)
    millions = len(y) and y.max() >= 1e6
    axes.plot(x, y / 1e6 if millions else y, color=COLOURS[2], linewidth=1.2, drawstyle="steps-pre")
    mean = run.rows_per_second / (1e6 if millions else 1)
    axes.axhline(mean, color="#666666", linewidth=1, linestyle="--")
    title = f"Throughput, mean {run.rows_per_second:,.0f} rows/s"
    axes.set(xlabel=label, ylabel="million rows/s" if millions else "rows/s", title=title)
    if not millions and len(y) and y.max() >= 10_000:
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)


def _draw_staleness(axes: Axes, run: Simulation) -> None:
    bins = staleness_bins(run.staleness)
    total = max(1, sum(n for _, n in bins))
    places = np.arange(len(bins))
    axes.bar(places, [100 * n / total for _, n in bins], color=COLOURS[3], width=0.8)
    every = -(-len(bins) // 7) if bins and max(len(name) for name, _ in bins) > 3 else 1
    axes.set_xticks(places[::every], [name for name, _ in bins][::every])
    axes.set(
        xlabel="pushes of others between pull and push",
        ylabel="share of the pushes (%)",
        title=f"Staleness, mean {run.mean_staleness:,.3g}",
    )
    axes.grid(visible=False, axis="x")


def _draw_bytes(axes: Axes, run: Simulation) -> None:
    kinds = {kind: nbytes for kind, nbytes in _largest(run, 5).items() if nbytes}
    bars = axes.barh(list(kinds), [nbytes / 1e6 for nbytes in kinds.values()], color=COLOURS[0], height=0.6)
    axes.bar_label(bars, [size(nbytes) for nbytes in kinds.values()], padding=4)
    largest = max(kinds.values(), default=0) / 1e6
    axes.set(xlim=(0, largest * 1.3 or 1), xlabel="MB", title=f"Sent, {size(sum(run.sent.values()))} in all")
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def plan_table(found: Any) -> Table:
    """Table of a plan, best first."""
    rows = []
    for each in (*found.candidates, found.alone):
        phases = f"{each.phase_rows:,}" if each.phase_rows else f"chosen: {each.last_phase_rows:,}"
        rows.append(
            [
                f"{each.workers:,}" + (" (alone)" if each is found.alone else ""),
                repr(each.consistency),
                phases,
                each.why or ("never" if each.seconds_to_goal is None else seconds(each.seconds_to_goal)),
                "" if each.why else seconds(each.seconds),
                "" if each.why else f"{each.loss:.5f}",
                f"{each.rows_per_second:,.0f}",
                size(each.nbytes),
                share(each.exchange),
                share(each.waiting),
            ]
        )
    names = ["workers", "consistency", "phase rows", f"to loss {found.goal:.4g}", "all epochs", "loss then"]
    title = f"{found.rows:,} rows, {found.epochs} epochs, in virtual time"
    return Table(title, [*names, "rows/s", "sent", "exchange", "waiting"], rows)
