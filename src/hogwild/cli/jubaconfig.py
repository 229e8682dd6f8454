"""``jubaconfig``: configurations of groups, in ZooKeeper."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hogwild.cli.juba_words import command, required, zookeeper_of


def main(words: Sequence[str] | None = None) -> int:
    """Read the command line, do what it says, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="jubaconfig", description="Keep configurations of groups in ZooKeeper.", allow_abbrev=False
    )
    parser.add_argument("--cmd", "-c", choices=("write", "read", "delete", "list"), required=True, help="what to do")
    parser.add_argument("--file", "-f", type=Path, metavar="FILE", help="the configuration to write: JSON")
    parser.add_argument("--type", "-t", dest="kind", metavar="TYPE", help="type of the servers: classifier, ...")
    parser.add_argument("--name", "-n", metavar="NAME", help="name of the group")
    parser.add_argument("--zookeeper", "-z", metavar="HOSTS", help="host:2181,... [the environment's ZK]")
    parser.add_argument("--debug", "-d", action="store_true", help="taken, and not used")
    return command(parser, words, _run)


def _run(found: argparse.Namespace) -> int:
    from hogwild.online.group import zookeeper_configuration as kept

    hosts = zookeeper_of(found)
    if found.cmd == "list":
        for kind, name in kept.list_configurations(hosts):
            print(f"{kind}/{name}")
        return 0
    kind, name = required(found, "kind", "--type"), required(found, "name", "--name")
    if found.cmd == "write":
        path = required(found, "file", "--file")
        data = path.read_bytes()
        try:
            kept.write_configuration(hosts, kind, name, data.decode())
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: byte {error.start}: expected UTF-8") from None
        except kept.ConfigurationError as error:
            raise ValueError(f"{path}: {str(error).removeprefix('configuration: ')}") from None
    elif found.cmd == "read":
        sys.stdout.write(kept.read_configuration(hosts, kind, name))
    else:
        kept.delete_configuration(hosts, kind, name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
