"""``hogwild``: the commands, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from hogwild.cli import (
    aliases,
    cache,
    cluster,
    convert,
    convert_model,
    demo,
    evaluate,
    ffm_predict,
    ffm_train,
    inspect,
    predict,
    proxy,
    report,
    reproduce,
    serve,
    simulate,
    train,
)
from hogwild.cli.terminal import CommandError, one_line, say_error, say_warning

INTERRUPTED = 130  # 128 + SIGINT, as shells count

_USAGE = (typer.BadParameter.__base__.__base__,)  # Click's exception, wherever this version of Typer keeps Click


class Commands(TyperGroup):
    """All commands: an error that a user can mend is one line, and the exit status says what kind it was."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> None:
        """Run a command line and exit: 0, 1 for an error, 2 for wrong usage, 130 after Ctrl-C."""
        try:
            status = super().main(*args, standalone_mode=False, **extra)
        except _USAGE as error:
            context = getattr(error, "ctx", None)
            say_error(error.format_message().rstrip("."), f"see {context.command_path} --help" if context else None)
            status = error.exit_code
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: typer.Context) -> Any:
        """Run a command; warnings are lines as well."""
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.filterwarnings("ignore", category=ResourceWarning)
            warnings.showwarning = lambda message, *_: say_warning(str(message))
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt as interrupt:
                say_error(str(interrupt) or "interrupted")
                raise typer.Exit(INTERRUPTED) from None
            except BrokenPipeError:  # `| head` has seen enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(1) from None
            except (CommandError, OSError, ValueError, ImportError, MemoryError) as error:
                if os.environ.get("HOGWILD_TRACEBACK"):
                    raise
                say_error(one_line(error))
                raise typer.Exit(1) from None


app = typer.Typer(
    name="hogwild",
    cls=Commands,
    help="Linear models on large sparse data by lock-free stochastic gradient descent.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _module in (
    train,
    predict,
    evaluate,
    inspect,
    cache,
    convert,
    ffm_train,
    ffm_predict,
    simulate,
    serve,
    proxy,
    convert_model,
    aliases,
    reproduce,
    report,
    demo,
):
    _name = _module.__name__.rpartition(".")[2].replace("_", "-")
    app.command(_name, cls=getattr(_module, "Command", None))(_module.command)
app.add_typer(cluster.app, name="cluster")


def _version(wanted: bool) -> None:
    if wanted:
        from hogwild import __version__

        typer.echo(f"hogwild {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
