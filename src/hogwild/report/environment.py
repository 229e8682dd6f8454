"""What a run ran on: the machine and the versions that its figures depend on."""

from __future__ import annotations

import functools
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("numpy", "scipy", "numba", "scikit-learn")


def describe_environment(ping_pong: bool = True) -> dict[str, str]:
    """Return what figures depend on, as names and texts: processor, cores, cache-line time, system, versions.

    Parameters
    ----------
    ping_pong : bool, default=True
        Whether to measure how long a cache line takes from one core to another and back (some 10 ms, and the time to
        compile once).

    Returns
    -------
    dict of str to str
        Names no host, user or path.

    Examples
    --------
    >>> from hogwild.report.environment import describe_environment
    >>> sorted(describe_environment(ping_pong=False))
    ['Python', 'cores', 'hogwild', 'packages', 'processor', 'system']
    """
    from hogwild import __version__
    from hogwild.engine.pool import usable_cores

    cores = usable_cores()
    found = {"processor": _processor(), "cores": str(cores)}
    if ping_pong and cores > 1:
        from hogwild.engine.pingpong import ping_pong_ns

        found["cache line there and back"] = f"{ping_pong_ns():.0f} ns"
    return found | {
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "packages": ", ".join(filter(None, map(_version, _PACKAGES))),
        "hogwild": __version__,
    }


def command_line() -> str:
    """Return the command that is running, as it is typed in a shell."""
    import shlex

    program = os.path.basename(sys.argv[0])
    return shlex.join([program if program not in ("__main__.py", "main.py") else "hogwild", *sys.argv[1:]])


@functools.cache
def _processor() -> str:
    """Name of the processor, as far as the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() == "model name" and value.strip():
                    return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""
