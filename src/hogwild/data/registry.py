"""The formats by name: which class reads each, how a file's format is recognised, options as JSON."""

from __future__ import annotations

import dataclasses
import importlib
import re
from typing import Any

from hogwild.data.columns import Columns
from hogwild.data.locations import STANDARD_INPUT, sample, suffix
from hogwild.data.parts import BOM

# name: (module, class, options that the name stands for)
TEXT_FORMATS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "svmlight": ("hogwild.data.svmlight_lines", "Svmlight", {}),
    "libffm": ("hogwild.data.libffm", "Libffm", {}),
    "vw": ("hogwild.data.vw", "VowpalWabbit", {}),
    "csv": ("hogwild.data.delimited", "Delimited", {"separator": ","}),
    "tsv": ("hogwild.data.delimited", "Delimited", {"separator": "\t", "quote": None}),
    "jsonl": ("hogwild.data.jsonl", "JsonLines", {}),
    "text": ("hogwild.data.text", "Text", {}),
}
OTHER_FORMATS = ("arrow", "hog")
NAMES = (*TEXT_FORMATS, "criteo", *OTHER_FORMATS)

EXTENSIONS = {
    ".svm": "svmlight",
    ".svmlight": "svmlight",
    ".libsvm": "svmlight",
    ".ffm": "libffm",
    ".libffm": "libffm",
    ".vw": "vw",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "arrow",
    ".feather": "arrow",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".arrows": "arrow",
    ".hog": "hog",
}
_SVMLIGHT = re.compile(rb"[^\s:|,]+([ \t]+qid:\d+)?([ \t]+\d+:[^\s:|]+)+[ \t]*(#.*)?")
_LIBFFM = re.compile(rb"[^\s:|,]+([ \t]+\d+:\d+:[^\s:|]+)+\s*")
_CRITEO = re.compile(rb"[01](\t-?\d*){13}(\t[0-9a-f]{0,8}){26}")
_VW = re.compile(rb"[^|,]*\|.*")


def detect(locations: list[str]) -> str:
    """Return the name of the files' format: by the extension, else by the first line."""
    names = {EXTENSIONS.get(suffix(location)) for location in locations}
    first = locations[0]
    if len(names) == 1 and None not in names:
        name = names.pop() or ""
        return "criteo" if name == "tsv" and _CRITEO.fullmatch(_first_line(first)) else name
    if len(names) > 1:
        raise ValueError(f"found files of several formats ({', '.join(map(str, names))}), expected one: say format=...")
    line = _first_line(first)
    if _LIBFFM.fullmatch(line):
        return "libffm"
    if _SVMLIGHT.fullmatch(line) or (first == STANDARD_INPUT and not line):
        return "svmlight"
    if line.startswith(b"{"):
        return "jsonl"
    if _VW.fullmatch(line) and line.count(b"|") < 8:
        return "vw"
    if _CRITEO.fullmatch(line):
        return "criteo"
    if b"\t" in line:
        return "tsv"
    if b"," in line:
        return "csv"
    return "svmlight"  # whose errors say what a line should look like


def _first_line(location: str) -> bytes:
    lines = sample(location, 1 << 16).removeprefix(BOM).splitlines()
    return next((line for line in lines if line.strip() and not line.startswith(b"#")), b"")


def format_class(name: str) -> type:
    """Return the class that reads the text format `name`."""
    module, kind, _ = TEXT_FORMATS[name]
    return getattr(importlib.import_module(module), kind)


def make(name: str, options: dict[str, Any]) -> Any:
    """Make a text format from options; those of `Columns` stand among the others.

    Raises
    ------
    ValueError
        For an unknown format or option, naming those that there are.
    """
    if name == "criteo":
        from hogwild.data.delimited import criteo_columns

        return criteo_columns(**options)
    if name not in TEXT_FORMATS:
        raise ValueError(f"found format {name!r}, expected one of {', '.join(NAMES)}")
    kind, given = format_class(name), {**TEXT_FORMATS[name][2], **options}
    fields = {field.name for field in dataclasses.fields(kind) if field.init}
    schema = (
        {field.name for field in dataclasses.fields(Columns)} if "columns" in fields and takes_columns(kind) else set()
    )
    unknown = given.keys() - fields - schema
    if unknown:
        known = sorted((fields | schema) - ({"columns"} if schema else set()))
        raise ValueError(f"format {name} has no option {sorted(unknown)[0]!r}; it has {', '.join(known)}")
    if schema and "columns" not in options:
        columns = Columns(**{key: given.pop(key) for key in schema & given.keys()})
        return kind(columns, **given)
    return kind(**given)


def takes_columns(kind: type) -> bool:
    """Whether a format's options include a table's schema."""
    return kind.__name__ in ("Delimited", "JsonLines")


def to_json(text_format: Any) -> dict[str, Any]:
    """Return options of a format as values that JSON can hold."""
    found = {}
    for field in dataclasses.fields(text_format):
        value = getattr(text_format, field.name)
        if field.init and field.metadata.get("json", True):
            found[field.name] = dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value
    return found


def from_json(name: str, options: dict[str, Any]) -> Any:
    """Make the format again that `to_json` described."""
    options = dict(options)
    if takes_columns(format_class(name)):
        options["columns"] = Columns(**options["columns"])
    kind = format_class(name)
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in options.items()})


def arrow_rows(locations: list[str], **options: Any) -> Any:
    """Open Parquet, Feather and Arrow IPC files."""
    from hogwild.data.other_rows import ArrowRows

    return ArrowRows(locations, **options)


def hog_rows(locations: list[str], *, n_jobs: int | None = None, bad_lines: str = "error", **options: Any) -> Any:
    """Open a cache file or its shards."""
    from hogwild.data.hog import open_hog

    return open_hog(locations, **options)


OPENERS = {"arrow": arrow_rows, "hog": hog_rows}
