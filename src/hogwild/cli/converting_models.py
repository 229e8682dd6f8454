"""The work of `hogwild convert-model`."""

from __future__ import annotations

import re
import time
from pathlib import Path

import typer

from hogwild.cli.memory import shown_size
from hogwild.cli.terminal import check_output, print_pairs
from hogwild.online.storage.files import read_model, write_model

SUFFIX = ".jubatus"


def run(model: Path, output: Path, jubatus: str, *, quiet: bool) -> None:
    """Write a model as another kind of file."""
    found = re.fullmatch(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})", jubatus)
    if found is None:
        raise typer.BadParameter(f"found {jubatus!r}, expected three numbers: 1.1.1", param_hint="--jubatus-version")
    check_output(output)
    about, states = read_model(model)
    if output.suffix.lower() == SUFFIX:
        from hogwild.online.storage.jubatus_files import write_jubatus
        from hogwild.online.storage.jubatus_models import file_of

        version = tuple(map(int, found.groups()))
        write_jubatus(output, file_of(about, states, model, version))
        kind = f"Jubatus {jubatus}"
    else:
        write_model(output, states, about)
        kind = "hogwild"
    if not quiet:
        saved = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(about.saved))
        print_pairs(
            [
                ("model", f"{about.type}, saved {saved}" + (f" as {about.id}" if about.id else "")),
                ("written", f"{output}: a file of {kind}, {shown_size(output.stat().st_size)}"),
            ]
        )
