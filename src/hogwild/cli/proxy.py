"""``hogwild proxy``: one address for the servers of a group."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hogwild.cli.serve_options import seconds
from hogwild.cli.terminal import needing

Kind = Literal["classifier", "regression", "recommender", "nearest_neighbor", "anomaly", "stat", "weight"]
_WITHOUT_DEFAULT: Any = {"show_default": False}


def _time(text: str | float) -> float:
    try:
        return seconds(str(text))  # defaults come as they are
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def command(
    kind: Annotated[Kind, typer.Argument(metavar="TYPE", help=", ".join(Kind.__args__), **_WITHOUT_DEFAULT)],
    zookeeper: Annotated[
        str | None,
        typer.Option("--zookeeper", "-z", metavar="HOSTS", help="host:2181,...: it has the groups' active servers."),
    ] = None,
    members: Annotated[
        str, typer.Option(metavar="HOST:PORT,...", help="Without ZooKeeper: the servers.", **_WITHOUT_DEFAULT)
    ] = "",
    port: Annotated[
        int, typer.Option("--rpc-port", "-p", min=0, max=65535, metavar="PORT", help="0: any that is free.")
    ] = 9199,
    host: Annotated[
        str, typer.Option("--listen_addr", "-b", metavar="ADDRESS", help="Address to listen at; 0.0.0.0: all.")
    ] = "127.0.0.1",
    idle: Annotated[
        float, typer.Option("--timeout", "-t", parser=_time, metavar="TIME", help="Close idle clients; 0: never.")
    ] = 10.0,
    timeout: Annotated[
        float,
        typer.Option("--interconnect_timeout", "-I", parser=_time, metavar="TIME", help="Of servers; 0: for ever."),
    ] = 10.0,
    logdir: Annotated[
        Path | None,
        typer.Option("--logdir", "-l", metavar="FOLDER", help="Write messages to a file there, not to standard error."),
    ] = None,
) -> None:
    """Pass calls of Jubatus' clients on to the active servers of a group.

    The group is the one that the client names, in ZooKeeper (-z), or fixed servers (--members). Calls go to any server,
    to all, or to those that a key falls to, as the method has it. A question is asked again elsewhere when a server is
    gone; an update is never sent twice.
    """
    with needing("online"):
        from hogwild.cli.proxying import members_of, run
        from hogwild.online.proxy.settings import ProxySettings
        from hogwild.online.service.settings import Limits

    settings = ProxySettings(kind, zookeeper, members_of(members), host, port, timeout, Limits(idle=idle))
    raise typer.Exit(run(settings, logdir))
