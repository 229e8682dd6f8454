"""The configurations of groups, kept in ZooKeeper."""

from __future__ import annotations

from typing import Any

import msgspec
from kazoo.exceptions import NodeExistsError, NoNodeError

from hogwild.online.configuration import ConfigurationError, parsed, read
from hogwild.online.group.zookeeper_client import connected, names_in
from hogwild.online.group.zookeeper_paths import CONFIGURATIONS, configuration_path


class _Outline(msgspec.Struct):
    """What the configurations of all types have alike."""

    method: str | None = None
    parameter: dict[str, Any] | None = None
    converter: dict[str, Any] | None = None


def read_configuration(hosts: str, kind: str, name: str) -> str:
    """Return the text of a group's configuration.

    Raises
    ------
    ConfigurationError
        There is none.
    OSError
        ZooKeeper is not reached.
    """
    path = configuration_path(kind, name)
    with connected(hosts) as client:
        try:
            return client.get(path)[0].decode("utf-8", "surrogateescape")
        except NoNodeError:
            raise _missing(hosts, path) from None


def write_configuration(hosts: str, kind: str, name: str, text: str) -> None:
    """Write a group's configuration; servers that run already keep theirs.

    Raises
    ------
    ConfigurationError
        The text is not a JSON object, or not of the form that all types have.
    OSError
        ZooKeeper is not reached.
    """
    path, data = configuration_path(kind, name), text.encode("utf-8", "surrogateescape")
    read(_Outline, parsed(data))
    with connected(hosts) as client:
        try:
            client.create(path, data, makepath=True)
        except NodeExistsError:
            client.set(path, data)


def delete_configuration(hosts: str, kind: str, name: str) -> None:
    """Delete a group's configuration.

    Raises
    ------
    ConfigurationError
        There is none.
    OSError
        ZooKeeper is not reached.
    """
    path = configuration_path(kind, name)
    with connected(hosts) as client:
        try:
            client.delete(path)
        except NoNodeError:
            raise _missing(hosts, path) from None


def list_configurations(hosts: str) -> list[tuple[str, str]]:
    """Return the types and names of all groups that have a configuration.

    Raises
    ------
    OSError
        ZooKeeper is not reached.
    """
    with connected(hosts) as client:
        kinds = names_in(client, CONFIGURATIONS)
        return [(kind, name) for kind in kinds for name in names_in(client, f"{CONFIGURATIONS}/{kind}")]


def _missing(hosts: str, path: str) -> ConfigurationError:
    return ConfigurationError(f"ZooKeeper at {hosts}: found no {path}, expected a configuration (jubaconfig -c write)")
