"""Makes docs/benchmarks.md, the table of rivals in README.md and its picture from benchmarks/results.

``make bench*`` runs it after the programs; ``python benchmarks/page.py`` alone draws what was recorded before.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from hogwild.report.plots import STYLE

HERE = Path(__file__).resolve().parent
RESULTS, ROOT = HERE / "results", HERE.parent
PAGE, README, PICTURE = ROOT / "docs" / "benchmarks.md", ROOT / "README.md", ROOT / "docs" / "speedup.svg"
BEGIN, END = "<!-- rivals: made by benchmarks/page.py -->", "<!-- end of rivals -->"

INTRODUCTION = """\
# Benchmarks

This page is made by `benchmarks/page.py` from what the programs in `benchmarks/` recorded; each section names its
command, its day and its machine. `make bench`, `bench-data`, `bench-linear`, `bench-factorisation`, `bench-cluster`
and `bench-online` run them on yours and make this page anew. Rivals run in the same run as ours, in turn; ratios vary
by some 5 % from run to run, and by more where a machine is shared.
"""


_LABEL = {"va": "center", "fontsize": 8, "color": "#222222"}


class Section(NamedTuple):
    """One program's place on the page."""

    program: str
    heading: str


class Chapter(NamedTuple):
    """A heading over several programs, and the target that runs them."""

    heading: str
    target: str
    sections: tuple[Section, ...]


CHAPTERS = (
    Chapter("Training in memory", "bench", (Section("core", "Beside scikit-learn"),)),
    Chapter("Data of any size", "bench-data", (Section("data", "Reading, Vowpal Wabbit, beyond memory"),)),
    Chapter(
        "Linear models",
        "bench-linear",
        (
            Section("linear_dual", "Dual solvers: time to within 0.1 % of the optimum"),
            Section("linear_settings", "Many settings in one pass"),
            Section("linear_own_step", "A step of one's own"),
            Section("linear_engines", "Every engine on the same problem"),
            Section("linear_torch", "PyTorch modules"),
        ),
    ),
    Chapter(
        "Models of factors",
        "bench-factorisation",
        (
            Section("factorisation_ffm", "Field-aware factorisation machines beside libffm"),
            Section("factorisation_fm", "Factorisation machines"),
            Section("factorisation_matrix", "Matrix factorisation"),
            Section("factorisation_cut", "Graph cuts"),
        ),
    ),
    Chapter(
        "Several machines",
        "bench-cluster",
        (
            Section("cluster_ray", "Beside one process"),
            Section("cluster_merging", "Merge rules"),
            Section("cluster_rules", "Merge rules, more workers (simulated, real steps)"),
            Section("cluster_stragglers", "Stragglers (simulated, real steps)"),
            Section("cluster_ray_stragglers", "Stragglers on Ray"),
            Section("cluster_faults", "Killed processes"),
            Section("cluster_simulation", "The simulator"),
        ),
    ),
    Chapter(
        "The online service",
        "bench-online",
        (Section("online", "Beside the original's core"), Section("online_mix", "Mixing")),
    ),
)


def main() -> None:
    """Write the page, the table and the picture."""
    records = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}
    order = [section.program for chapter in CHAPTERS for section in chapter.sections]
    headlines = [each for program in order if program in records for each in records[program].get("headlines", [])]
    PAGE.write_text(page(records, headlines), encoding="utf-8")
    readme = README.read_text(encoding="utf-8")
    before, after = readme.split(BEGIN)[0], readme.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n{rivals(headlines)}\n{END}{after}", encoding="utf-8")
    draw(headlines, PICTURE)


def page(records: dict[str, dict[str, Any]], headlines: list[dict[str, Any]]) -> str:
    """Return the page in Markdown."""
    found = [INTRODUCTION, "## Beside what people use today\n", "![Times faster than the rivals](speedup.svg)\n"]
    found.append(rivals(headlines) + "\n")
    for chapter in CHAPTERS:
        sections = [section for section in chapter.sections if section.program in records]
        if sections:
            found.append(f"## {chapter.heading}\n\n`make {chapter.target}`\n")
        for section in sections:
            record = records[section.program]
            found += [f"### {section.heading}\n", _description(section.program) + "\n"]
            found.append(f"`{record['command']}`, {record['date']}: {_machine(record['machine'])}.\n")
            found += [_part(part) for part in record["parts"]]
    return "\n".join(found).rstrip() + "\n"


def rivals(headlines: list[dict[str, Any]]) -> str:
    """Return the table of rivals in Markdown."""
    lines = ["| task | rival | | hogwild | |", "|---|---|---|---|---|"]
    for each in headlines:
        ours = [f"{name}: {_amount(value, each['unit'])}" for name, value in each["ours"].items()]
        ratios = [f"{_ratio(each, value):.1f} x" for value in each["ours"].values()]
        theirs = _amount(each["theirs"], each["unit"])
        lines.append(f"| {each['task']} | {each['rival']} | {theirs} | {'<br>'.join(ours)} | {'<br>'.join(ratios)} |")
    return "\n".join(lines)


def draw(headlines: list[dict[str, Any]], path: Path) -> None:
    """Draw the time of the best of ours beside the rival's, which is one whole width."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**STYLE, "svg.fonttype": "path"}):
        figure = Figure(figsize=(8.4, 0.3 + 0.52 * len(headlines)), layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        for place, each in enumerate(headlines):
            name, best = max(each["ours"].items(), key=lambda item: _ratio(each, item[1]))
            ratio = _ratio(each, best)
            axes.barh(place - 0.2, 1, color="#c3c9d2", height=0.36)
            axes.barh(place + 0.2, 1 / ratio, color="#1b6ca8", height=0.36)
            axes.text(
                0.99, place - 0.2, f"{each['rival']}: {_time(each['theirs'], each['unit'])}", **_LABEL, ha="right"
            )
            ours = f"hogwild, {name}: {_time(best, each['unit'])}"
            axes.text(1 / ratio + 0.01, place + 0.2, ours, **_LABEL)
            axes.text(1.02, place, f"{ratio:.1f} x", va="center", fontsize=11, fontweight="bold", color="#1b6ca8")
        axes.set_yticks(range(len(headlines)), [each["task"] for each in headlines], fontsize=9)
        axes.set_xlim(0, 1.12)
        axes.set_xticks([])
        axes.set_ylim(len(headlines) - 0.45, -0.55)
        axes.spines["bottom"].set_visible(False)
        axes.grid(visible=False)
        axes.tick_params(length=0)
        figure.savefig(path, metadata={"Date": None})


def _time(value: float, unit: str) -> str:
    """A time as it is; a rate as the time that one takes."""
    return _amount(value, unit) if unit == "s" else f"{1e6 / value:.3g} µs an {unit.removesuffix('s/s')}"


def _ratio(each: dict[str, Any], ours: float) -> float:
    return each["theirs"] / ours if each["unit"] == "s" else ours / each["theirs"]


def _amount(value: float, unit: str) -> str:
    if unit != "s":
        return f"{value:,.0f} {unit}"
    return f"{value * 1e3:,.0f} ms" if value < 1 else f"{value:.2f} s"


def _description(program: str) -> str:
    """The first paragraphs of the program's docstring, up to how it is run."""
    text = ast.get_docstring(ast.parse((HERE / f"{program}.py").read_text(encoding="utf-8"))) or ""
    kept = [part for part in text.split("\n\n") if not part.startswith(("Run by", "    ", "$"))]
    return re.sub(r"``", "`", "\n\n".join(kept))


def _machine(machine: dict[str, str]) -> str:
    cache_line = machine.get("cache line there and back")
    cores = f"{machine['cores']} cores of {machine['processor']}"
    if cache_line:
        cores += f", cache line there and back in {cache_line}"
    python = f"Python {machine['Python']}, " if "Python" in machine else ""
    return f"{cores}; {machine['system']}, {python}{machine['packages']}"


def _part(part: dict[str, Any]) -> str:
    if "text" in part:
        return part["text"] + "\n"
    columns = [column or " " for column in part["columns"]]
    numeric = [all(_is_number(row[k]) for row in part["rows"]) for k in range(len(columns))]
    lines = [f"{part['title']}\n"] if part["title"] else []
    lines += [_row(columns), "|" + "|".join("---:" if right else "---" for right in numeric) + "|"]
    return "\n".join([*lines, *map(_row, part["rows"])]) + "\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[-+]?[\d,.]*(e[-+]?\d+)?( ?(x|%|s|ms))?", cell.replace("*", "")) is not None


if __name__ == "__main__":
    main()
