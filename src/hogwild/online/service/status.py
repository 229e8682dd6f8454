"""``get_status``: what Jubatus' users and tools look for, and more."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hogwild.online.service.service import Service

_PAGE = os.sysconf("SC_PAGE_SIZE") >> 10  # KiB


def status_of(service: Service) -> dict[str, str]:
    """Return everything about a server as texts."""
    from hogwild import __version__

    figures, trials = service.figures, service.figures.trials
    now = time.time()
    status = {
        "PROGNAME": f"juba{service.kind}",
        "VERSION": __version__,
        "pid": str(os.getpid()),
        "user": os.environ.get("USER", str(os.getuid())),
        "type": service.kind,
        "name": service.name,
        "is_standalone": str(int(service.group is None and not service.name)),
        "rpc_port": str(service.address[1]),
        "datadir": str(service.datadir),
        "clock_time": str(int(now)),
        "start_time": str(int(figures.started)),
        "uptime": str(int(now - figures.started)),
        "last_saved": str(int(figures.last_saved)),
        "last_saved_path": figures.last_saved_path,
        "last_loaded": str(int(figures.last_loaded)),
        "last_loaded_path": figures.last_loaded_path,
        "update_count": str(figures.learnt),
        "connections": str(figures.connections),
        "calls": str(figures.calls.total()),
        "errors": str(figures.errors.total()),
        "learner": "loading" if service.driver is None else "ready",
        **_memory(),
    }
    if trials.count:
        status["progressive.examples"] = str(trials.count)
        status["progressive.mean"] = f"{trials.mean:.6g}"
        status["progressive.recent_mean"] = f"{trials.recent_mean:.6g}"
    if service.journal is not None:
        status["log.failure"] = str(service.journal.failure or "")
    if service.driver is not None:
        status |= service.driver.status()
    for source in service.status_sources:
        status |= source()
    return status


def _memory() -> dict[str, str]:
    """Return KiB, as Jubatus has them; where the kernel does not say, the most that was resident."""
    try:
        virtual, resident, shared = (int(pages) * _PAGE for pages in Path("/proc/self/statm").read_text().split()[:3])
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"RSS": str(most >> 10 if sys.platform == "darwin" else most)}
    return {"VIRT": str(virtual), "RSS": str(resident), "SHR": str(shared)}
