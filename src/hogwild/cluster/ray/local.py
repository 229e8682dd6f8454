"""Ray itself: a cluster that is there, or one on this machine that is started and shut down again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import ray
from ray._private import ray_constants

_OWN = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on every system this is what keeps Ray on the loopback address
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_max_direct_call_object_size": "1048576",  # larger arguments take a way through shared memory, twice as long
}
_STORE = 1 << 30  # bytes of shared memory at most: messages and Ray Data blocks pass through it


@contextlib.contextmanager
def connected(address: str | None = None, cores: int | None = None) -> Iterator[bool]:
    """Connect to a cluster for as long as the context lasts; yields whether it is one of our own.

    Parameters
    ----------
    address : str, optional
        Of a started cluster, ``"auto"`` for the one on this machine. Default: what this process is connected to, else
        ``RAY_ADDRESS``, else a cluster of this machine alone that is shut down at the end.
    cores : int, optional
        Of a cluster of our own; default: those that this process may use.

    Raises
    ------
    ConnectionError
        If there is no cluster at that address.
    """
    if ray.is_initialized():
        yield False
        return
    address = address or os.environ.get("RAY_ADDRESS")
    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    if address and address != "local":
        try:
            ray.init(address, **quiet)
        except (ConnectionError, ValueError) as error:
            raise ConnectionError(f"found no Ray cluster at {address}: {' '.join(str(error).split())}") from None
        try:
            yield False
        finally:
            ray.shutdown()
        return
    from hogwild.engine import usable_cores

    with _loopback():
        ray.init(
            "local",
            num_cpus=cores or usable_cores(),
            num_gpus=0,
            include_dashboard=False,
            object_store_memory=_store_size(),
            **quiet,
        )
        try:
            yield True
        finally:
            ray.shutdown()


def _store_size() -> int:
    """Bytes for Ray's object store: beyond half of what /dev/shm has left it would go to disk, which is slow."""
    with contextlib.suppress(OSError):
        found = os.statvfs("/dev/shm")
        return int(max(100 << 20, min(_STORE, found.f_bavail * found.f_frsize // 2)))
    return _STORE


@contextlib.contextmanager
def _loopback() -> Iterator[None]:
    """Keep a cluster of our own to this machine, quiet, and out of the environment afterwards."""
    before, enabled = {name: os.environ.get(name) for name in _OWN}, ray_constants.ENABLE_RAY_CLUSTER
    os.environ.update(_OWN)
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = enabled
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
