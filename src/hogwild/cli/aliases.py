"""``hogwild aliases``: programs under the names of those that commands of ours replace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def command(
    replaced: Annotated[
        Literal["libffm", "jubatus"], typer.Argument(metavar="NAME", help="libffm, jubatus.", show_default=False)
    ],
    into: Annotated[Path, typer.Option("--into", metavar="FOLDER", help="Where to write them.", show_default=False)],
) -> None:
    """Write programs with the original names, which call ours, into a folder.

    For libffm: ffm-train and ffm-predict. For Jubatus: jubaclassifier and the other servers, their proxies
    (jubaclassifier_proxy, ...), jubaconfig and jubactl. Files of the same names that hogwild did not write are left
    alone.
    """
    from hogwild.cli.aliasing import run

    run(replaced, into)
