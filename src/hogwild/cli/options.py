"""Arguments and options that the commands share, with the names of losses and schedules but not their slow modules."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

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


def names_of(choice: Any) -> str:
    """Names of a choice for its help text: in the narrow column of types they would be broken in the middle."""
    return ", ".join(get_args(choice)) + "."


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
    typer.Option(
        "--format",
        "-f",
        metavar="NAME",
        help=f"{names_of(FormatName)} auto: by the extension, else the first line.",
        rich_help_panel=_ROWS,
    ),
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
    typer.Option(
        metavar="N",
        min=1,
        max=31,
        help="Names are hashed to 2^bits features.",
        show_default="20",
        rich_help_panel=_ROWS,
    ),
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


def numbers(text: str, option: str, *, above_zero: bool = False) -> tuple[float, ...]:
    """Return the numbers of ``1e-4``, ``1e-6,1e-5`` or ``1e-8,...,1e-3`` (all powers of ten between)."""
    expected = "a number, numbers by commas, or powers of ten such as 1e-8,...,1e-3"
    words = [word.strip() for word in text.split(",")]
    found: list[float] = []
    for place, word in enumerate(words):
        if word in ("...", "\u2026") and 0 < place < len(words) - 1:
            found.extend(_powers(found[-1], _number(words[place + 1], text, option, expected), text, option))
            continue
        number = _number(word, text, option, expected)
        if number < 0 or (above_zero and number == 0):
            raise typer.BadParameter(
                f"found {word}, expected numbers {'above' if above_zero else 'from'} 0", param_hint=option
            )
        if number not in found:
            found.append(number)
    return tuple(found)


def _number(word: str, text: str, option: str, expected: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise typer.BadParameter(f"found {text!r}, expected {expected}", param_hint=option)
    return number


def _powers(first: float, last: float, text: str, option: str) -> list[float]:
    """The powers of ten between two numbers, both left out."""
    steps = math.log10(last / first) if first > 0 and last > 0 else math.nan
    count = round(steps) if math.isfinite(steps) else 0
    if not count or abs(steps - count) > 1e-9:
        raise typer.BadParameter(
            f"found {text!r}: what stands around ... has to be powers of ten apart, as in 1e-8,...,1e-3",
            param_hint=option,
        )
    sign = 1 if count > 0 else -1
    return [float(f"{first * 10.0 ** (sign * k):.12g}") for k in range(1, abs(count))]


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


def check_seed(value: int) -> int:
    """Return a seed that NumPy takes; a range beside the option would make the column of types twice as wide."""
    if not 0 <= value < 2**32:
        raise typer.BadParameter(f"{value} is not in the range 0<=x<=4294967295")
    return value


def _threads(value: int | None) -> int | None:
    if value == 0:
        raise typer.BadParameter("0 threads do nothing: 1 is exact, leave it out for all usable cores")
    return value


Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", callback=_threads, help="Threads; 1 is exact and reproducible.", show_default="all"),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")]
