"""The work of `hogwild proxy`, and of the `juba..._proxy` programs, which start without Typer."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hogwild.cli.juba_words import command
from hogwild.cli.serve_options import count, seconds
from hogwild.cli.serving import say, start_logging
from hogwild.online.methods import TYPES
from hogwild.online.proxy.running import run_proxy
from hogwild.online.proxy.settings import ProxySettings
from hogwild.online.service.settings import Limits


def run(settings: ProxySettings, logdir: Path | None = None) -> int:
    """Pass calls on, and return the exit status."""
    start_logging(f"{settings.kind}_proxy_{settings.port}", logdir)
    return asyncio.run(run_proxy(settings, say))


def members_of(text: str) -> tuple[str, ...]:
    """Return the addresses in ``"host:port,..."``."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def main(words: Sequence[str] | None = None) -> int:
    """Be ``juba<type>_proxy``: read the type and the options, pass calls on, and return the exit status."""
    kind, *options = sys.argv[1:] if words is None else words
    if kind not in TYPES:
        print(f"error: found the type {kind!r}, expected one of {', '.join(TYPES)}", file=sys.stderr)
        return 2
    return command(_parser(kind), options, lambda found: run(_settings(kind, found), found.logdir))


def _parser(kind: str) -> argparse.ArgumentParser:
    from hogwild import __version__

    name = f"juba{kind}_proxy"
    parser = argparse.ArgumentParser(prog=name, description="See hogwild proxy.", allow_abbrev=False)
    parser.add_argument("--version", "-v", action="version", version=f"{name} (hogwild {__version__})")
    option = parser.add_argument
    option("--zookeeper", "-z", metavar="HOSTS", help="host:2181,...: it has the groups' active servers")
    option("--members", type=members_of, default=(), metavar="HOST:PORT,...", help="without ZooKeeper: the servers")
    option("--rpc-port", "-p", type=_read(count(0, 65535)), default=9199, metavar="PORT", help="0: any that is free")
    option("--listen_addr", "-b", default="127.0.0.1", metavar="ADDRESS", help="0.0.0.0: all")
    option("--timeout", "-t", type=_read(seconds), default=10.0, metavar="TIME", help="of idle clients; 0: never")
    option("--interconnect_timeout", "-I", type=_read(seconds), default=10.0, metavar="TIME", help="of servers")
    option("--logdir", "-l", type=Path, metavar="FOLDER", help="write messages to a file there")
    for names in (("--thread", "-c"), ("--zookeeper_timeout", "-Z"), ("--pool_expire", "-E")):
        option(*names, dest="unused", help="taken, and not used")
    option("--pool_size", "-S", dest="unused", help="taken, and not used")
    return parser


def _read(reader: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return reader(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def _settings(kind: str, found: argparse.Namespace) -> ProxySettings:
    return ProxySettings(
        kind,
        zookeeper=found.zookeeper,
        members=found.members,
        host=found.listen_addr,
        port=found.rpc_port,
        timeout=found.interconnect_timeout,
        limits=Limits(idle=found.timeout),
    )


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
