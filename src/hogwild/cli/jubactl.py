"""``jubactl``: start, stop and look after the servers of a group in ZooKeeper."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hogwild.cli.juba_words import command, required, zookeeper_of

if TYPE_CHECKING:
    from hogwild.online.group.zookeeper_members import Seen

FIRST_PORT = 9199
_PATIENCE = 60.0  # seconds that a server may take to come or to go
_PAUSE = 0.1
_PASSED_ON = {  # to servers that are started, by their names here
    "listen_addr": ("-B", "--listen_if"),
    "thread": ("-C", "--thread"),
    "timeout": ("-T", "--timeout"),
    "datadir": ("-D", "--datadir"),
    "logdir": ("-L", "--logdir"),
    "mixer": ("-X", "--mixer"),
    "interval_sec": ("-S", "--interval_sec"),
    "interval_count": ("-I", "--interval_count"),
}


def main(words: Sequence[str] | None = None) -> int:
    """Read the command line, do what it says, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="jubactl",
        description="Start, stop and look after the servers of a group in ZooKeeper. Servers are started and stopped "
        "on this machine only: there is no agent (jubavisor) on others.",
        allow_abbrev=False,
    )
    parser.add_argument("--cmd", "-c", choices=tuple(_COMMANDS), required=True, help="what to do")
    parser.add_argument("--server", "-s", metavar="PROGRAM", help="what to start: jubaclassifier, ...")
    parser.add_argument("--name", "-n", metavar="NAME", help="name of the group")
    parser.add_argument("--type", "-t", dest="kind", metavar="TYPE", help="type of the servers: classifier, ...")
    parser.add_argument("--zookeeper", "-z", metavar="HOSTS", help="host:2181,... [the environment's ZK]")
    parser.add_argument("--num", "-N", type=int, default=1, metavar="N", help="how many servers to start [1]")
    parser.add_argument("--id", "-i", metavar="ID", help="of the model to save or to load")
    for field, names in _PASSED_ON.items():
        parser.add_argument(*names, dest=field, help="for the servers that are started")
    parser.add_argument("--debug", "-d", action="store_true", help="taken, and not used")
    return command(parser, words, _run)


def _run(found: argparse.Namespace) -> int:
    found.zookeeper = zookeeper_of(found)
    required(found, "kind", "--type")
    required(found, "name", "--name")
    return _COMMANDS[found.cmd](found)


def _members(found: argparse.Namespace) -> list[Seen]:
    from hogwild.online.group.zookeeper_members import read_members

    return read_members(found.zookeeper, found.kind, found.name)


# ------------------------------------------------------------------------------------------------ start and stop


def _start(found: argparse.Namespace) -> int:
    from hogwild.online.group.zookeeper_configuration import read_configuration
    from hogwild.online.methods import methods_of

    methods_of(found.kind)
    if found.server not in (None, f"juba{found.kind}"):
        raise ValueError(f"found --server {found.server!r}, expected juba{found.kind}, which serves that type")
    if found.num < 1:
        raise ValueError(f"found --num {found.num}, expected at least 1")
    read_configuration(found.zookeeper, found.kind, found.name)
    for _ in range(found.num):
        node, process = _start_one(found)
        print(f"{node}: started (process {process})")
    return 0


def _start_one(found: argparse.Namespace) -> tuple[str, int]:
    host = found.listen_addr or "127.0.0.1"
    port = _free_port(host)
    words = ["-n", found.name, "-z", found.zookeeper, "-p", str(port), "-b", host]
    for field in _PASSED_ON:
        value = getattr(found, field)
        if value is not None and field != "listen_addr":
            words += [f"--{field}", value]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "hogwild.cli.serving", found.kind, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        node = _wait(
            lambda: next(
                (seen.node for seen in _members(found) if seen.node.endswith(f"_{port}") and _here(seen)), None
            ),
            lambda: process.poll() is not None,
        )
        if node is None:
            process.terminate()
            said.seek(0)
            last = said.read().decode(errors="replace").strip().rpartition("\n")[2].removeprefix("error: ")
            raise ValueError(f"juba{found.kind} at {host}:{port} did not join the group: {last or 'it said nothing'}")
    return node, process.pid


def _free_port(host: str) -> int:
    for port in range(FIRST_PORT, 65536):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((host, port))
            except OverflowError:
                break
            except OSError as error:
                if isinstance(error, socket.gaierror):
                    raise ValueError(f"{host}: found no such address") from None
                continue
            return port
    raise ValueError(f"{host}: found no free port from {FIRST_PORT} on")


def _stop(found: argparse.Namespace) -> int:
    members = _members(found)
    here = [seen for seen in members if _here(seen)]
    for seen in here:
        status = _ask(seen.node, "get_status", found.name)
        os.kill(int(next(iter(status.values()))["pid"]), signal.SIGTERM)
    names = {seen.node for seen in here}
    _wait(lambda: not names & {seen.node for seen in _members(found)} or None)
    left = {seen.node for seen in _members(found)}
    for seen in here:
        if seen.node not in left:
            print(f"{seen.node}: stopped")
    if left:
        raise ValueError(
            f"not stopped: {', '.join(sorted(left))}: there is no agent (jubavisor) that stops servers on other "
            "machines: run jubactl there"
        )
    if not members:
        raise ValueError(f"found no server of {found.kind} {found.name!r}")
    return 0


def _here(seen: Seen) -> bool:
    from hogwild.online.group.zookeeper_entries import this_machine

    return seen.entry is not None and seen.entry.machine == this_machine()


def _wait(there: Callable[[], Any], given_up: Callable[[], bool] = lambda: False) -> Any:
    """Return what is there in the end; None if that takes too long, or will not come any more."""
    until = time.monotonic() + _PATIENCE
    while (value := there()) is None and time.monotonic() < until and not given_up():
        time.sleep(_PAUSE)
    return value


# ------------------------------------------------------------------------------------------------ look after


def _model(found: argparse.Namespace) -> int:
    """Have all servers save or load a model."""
    name = required(found, "id", "--id")
    members = _members(found)
    if not members:
        raise ValueError(f"found no server of {found.kind} {found.name!r}")
    for seen in members:
        answer = _ask(seen.node, found.cmd, found.name, name)
        if answer is False:
            raise ValueError(f"{seen.node}: did not {found.cmd} {name!r}")
        print(f"{seen.node}: {', '.join(map(str, answer.values())) if isinstance(answer, dict) else 'loaded'}")
    return 0


def _status(found: argparse.Namespace) -> int:
    for seen in _members(found):
        what = "active" if seen.active else "not active"
        version = "" if seen.version is None else f", version {seen.version}"
        print(f"{seen.node}: {what}{version}{'' if seen.entry else ', an original Jubatus server'}")
    return 0


def _ask(node: str, method: str, *params: Any) -> Any:
    from hogwild.online.group.coordination import address_of
    from hogwild.online.service.client import RpcClient, RpcError

    async def asked() -> Any:
        async with RpcClient(*address_of(node)) as client:
            return await client.call(method, params, _PATIENCE)

    try:
        return asyncio.run(asked())
    except RpcError as error:
        raise ValueError(f"{node}: {error}") from None
    except OSError as error:
        raise ValueError(f"{node}: {str(error) or type(error).__name__}") from None


_COMMANDS = {"start": _start, "stop": _stop, "save": _model, "load": _model, "status": _status}

if __name__ == "__main__":
    sys.exit(main())
