"""Arguments and options that the commands share, with the names of losses and schedules but not their slow modules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Loss = Literal[
    "hinge",
    "log_loss",
    "modified_huber",
    "squared_hinge",
    "perceptron",
    "squared_error",
    "huber",
    "epsilon_insensitive",
    "squared_epsilon_insensitive",
    "quantile",
    "poisson",
]
MultiClass = Literal["ovr", "crammer_singer", "multinomial"]
Schedule = Literal[
    "constant",
    "optimal",
    "invscaling",
    "search",
    "adaptive",
    "epoch_decay",
    "pa1",
    "pa2",
    "adagrad",
    "ftrl",
]
EngineName = Literal[
    "auto",
    "sequential",
    "replicas",
    "shared",
    "atomic",
    "processes",
    "locked",
    "round_robin",
    "delayed",
    "batch",
    "minibatch",
]
Penalty = Literal["l2", "l1", "elasticnet", "none"]
Task = Literal["auto", "classification", "regression"]
Metric = Literal["log_loss", "auc", "accuracy", "mae", "rmse", "r2"]

FormatName = Literal["auto", "svmlight", "libffm", "vw", "csv", "tsv", "criteo", "jsonl", "text", "arrow", "hog"]

Data = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA...",
        help="Rows: files, folders, patterns, URLs, - for standard input; also .gz .bz2 .xz .zst.",
        show_default=False,
    ),
]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A file that `hogwild train` wrote.", show_default=False)]


_ROWS = "Rows"
Format = Annotated[
    FormatName,
    typer.Option("--format", "-f", help="auto: by the extension, else the first line.", rich_help_panel=_ROWS),
]
LabelColumn = Annotated[
    str | None, typer.Option("--label", help="Column of the label (tables).", show_default=False, rich_help_panel=_ROWS)
]
WeightColumn = Annotated[
    str | None, typer.Option("--weight", help="Column of the row's weight.", show_default=False, rich_help_panel=_ROWS)
]
Numeric = Annotated[
    str | None,
    typer.Option(help="Columns of numbers, by commas, * matches any.", show_default=False, rich_help_panel=_ROWS),
]
Categorical = Annotated[
    str | None, typer.Option(help="Columns of categories.", show_default=False, rich_help_panel=_ROWS)
]
Ignore = Annotated[str | None, typer.Option(help="Columns to leave out.", show_default=False, rich_help_panel=_ROWS)]
Cross = Annotated[
    list[str] | None,
    typer.Option(
        help="Pair of columns or namespaces to cross, as A*B; may be repeated.",
        show_default=False,
        rich_help_panel=_ROWS,
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(min=1, max=31, help="Names are hashed to 2^bits features.", show_default="20", rich_help_panel=_ROWS),
]
Transform = Annotated[
    Literal["none", "log", "bins"] | None,
    typer.Option(help="What becomes of numbers in tables.", show_default="none", rich_help_panel=_ROWS),
]
FormatOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="Any other option of the format, as header=false or zero_based=true.",
        show_default=False,
        rich_help_panel=_ROWS,
    ),
]
BadLines = Annotated[
    Literal["error", "skip"], typer.Option(help="Stop at a bad line, or count and report them.", rich_help_panel=_ROWS)
]


def format_options(
    label: str | None = None,
    weight: str | None = None,
    numeric: str | None = None,
    categorical: str | None = None,
    ignore: str | None = None,
    cross: list[str] | None = None,
    bits: int | None = None,
    transform: str | None = None,
    others: list[str] | None = None,
) -> dict[str, Any]:
    """Return the options of a format that the command line gives."""
    found: dict[str, Any] = {"label": label, "weight": weight, "bits": bits, "transform": transform}
    for name, patterns in (("numeric", numeric), ("categorical", categorical), ("ignore", ignore)):
        found[name] = tuple(filter(None, patterns.split(","))) if patterns is not None else None
    found["crosses"] = tuple(map(_pair, cross)) if cross else None
    for pair in others or ():
        key, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"found {pair!r}, expected KEY=VALUE", param_hint="--option")
        found[key.strip().replace("-", "_")] = _value(value)
    return {key: value for key, value in found.items() if value is not None}


def seconds(text: str) -> float:
    """Return the seconds that ``30s``, ``5m``, ``1.5h`` or a number stand for."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in ("s", "m", "h") else (text, "s")
    try:
        found = float(number) * {"s": 1, "m": 60, "h": 3600}[unit]
    except ValueError:
        found = -1.0
    if not found >= 0:
        raise typer.BadParameter(f"found {text!r}, expected a time such as 30s, 5m or 1h", param_hint="--every")
    return found


def _pair(text: str) -> tuple[str, ...]:
    """Return the two sides of ``A*B``; in ``I**C*`` the wildcards stay: the bar of ``I*|C*`` separates as well."""
    sides = text.split("|") if "|" in text else text.split("*")
    if len(sides) != 2 or not all(sides):
        raise typer.BadParameter(f"found {text!r}, expected A*B (A|B where they hold *)", param_hint="--cross")
    return tuple(sides)


def _value(text: str) -> Any:
    """Return a JSON value, or the text itself where it is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return tuple(value) if isinstance(value, list) else value


def _threads(value: int | None) -> int | None:
    if value == 0:
        raise typer.BadParameter("0 threads do nothing: 1 is exact, leave it out for all usable cores")
    return value


Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", callback=_threads, help="Threads; 1 is exact and reproducible.", show_default="all"),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")]
