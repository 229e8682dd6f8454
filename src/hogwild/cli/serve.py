"""``hogwild serve``: a learner behind calls, for clients of Jubatus and over HTTP."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Literal

import typer

from hogwild.cli.serve_options import OPTIONS, Option, settings_of, shown_default
from hogwild.cli.terminal import needing

Kind = Literal["classifier", "regression", "recommender", "nearest_neighbor", "anomaly", "stat", "weight"]


def command(kind: Kind, **values: Any) -> None:
    """Serve a learner to clients of Jubatus, over MessagePack-RPC, and over HTTP (--http).

    It listens on the loopback address unless told otherwise (-b), and has no passwords: whoever reaches it may use it.
    SIGTERM and Ctrl-C end it once all calls that it took are answered.
    """
    with needing("serve"):
        from hogwild.cli.serving import run

    fields = {_word(option): option for option in OPTIONS}
    found = {fields[word].field: value for word, value in values.items()}
    raise typer.Exit(run(settings_of(kind, found), found["logdir"]))


def _word(option: Option) -> str:
    return option.field.replace(".", "_")


def _parameter(option: Option) -> inspect.Parameter:
    """Return what Typer makes an option of."""

    def read(text: str) -> Any:
        try:
            return option.read(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    about = typer.Option(
        *option.names,
        parser=read,
        metavar=option.metavar,
        help=option.about,
        rich_help_panel=option.panel,
        show_default=shown_default(option) or False,
    )
    return inspect.Parameter(
        _word(option), inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[Any, about]
    )


_KIND = inspect.Parameter(
    "kind",
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    annotation=Annotated[Kind, typer.Argument(metavar="TYPE", help=", ".join(Kind.__args__), show_default=False)],
)
_PARAMETERS = [_KIND, *map(_parameter, OPTIONS)]
command.__signature__ = inspect.Signature(_PARAMETERS)
command.__annotations__ = {one.name: one.annotation for one in _PARAMETERS}
