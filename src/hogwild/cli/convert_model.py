"""``hogwild convert-model``: models of the service and of the original as one another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hogwild.cli.options import Quiet
from hogwild.cli.terminal import needing


def command(
    model: Annotated[Path, typer.Argument(metavar="IN", help="Model of hogwild serve or Jubatus.", show_default=False)],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="File to write; *.jubatus is one of Jubatus.", show_default=False)
    ],
    jubatus: Annotated[
        str,
        typer.Option(
            "--jubatus-version", metavar="X.Y.Z", help="Whose file it is to be: Jubatus reads those of its own version."
        ),
    ] = "1.1.1",
    quiet: Quiet = False,
) -> None:
    """Write a model of a server as a file of hogwild, or of Jubatus where OUT ends in .jubatus.

    Either kind may be read. Models of Jubatus: linear classifiers and regressions, classifiers by cosine and euclidean,
    recommenders by inverted index, weight.
    """
    with needing("online"):
        from hogwild.cli.converting_models import run

    run(model, output, jubatus, quiet=quiet)
