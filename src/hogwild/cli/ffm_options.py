"""What `hogwild ffm-train` and `hogwild ffm-predict` share: usage errors as libffm's, and the rows' options."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

_USAGE = (typer.BadParameter.__base__.__base__,)  # Click's exception, wherever this version of Typer keeps Click


class FfmCommand(TyperCommand):
    """A command that exits as libffm's programs do: 1 for wrong usage, and the help where nothing is given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        if not args:
            typer.echo(ctx.get_help())
            raise typer.Exit(1)
        try:
            return super().parse_args(ctx, args)
        except _USAGE as error:
            error.exit_code = 1
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command, which may find that options do not go together."""
        try:
            return super().invoke(ctx)
        except _USAGE as error:
            error.exit_code = 1
            raise


def above_zero(what: str) -> Any:
    """Return the check of an option that has to be above 0; its message is libffm's."""

    def check(value: float) -> float:
        if not value > 0 or value == float("inf"):
            raise typer.BadParameter(f"{what} should be greater than zero, found {value:g}")
        return value

    return check


def not_negative(value: float) -> float:
    """Check lambda; the message is libffm's."""
    if not 0 <= value < float("inf"):
        raise typer.BadParameter(f"regularization cost should not be smaller than zero, found {value:g}")
    return value
