"""One server of a group that its parent process coordinates: ``python -m hogwild.online.group.child FD``.

Standard input has its settings; the file descriptor is its end of the pipe.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec

from hogwild.online.group.pipe import PipeCoordination
from hogwild.online.running import serve
from hogwild.online.settings import ServeSettings


def packed_settings(settings: ServeSettings) -> bytes:
    """Return settings as they go to a child."""
    return msgspec.json.encode(settings, enc_hook=str)


def unpacked_settings(data: bytes) -> ServeSettings:
    """Return the settings that `packed_settings` packed."""
    return msgspec.json.decode(data, type=ServeSettings, dec_hook=_path)


def _path(kind: type, value: Any) -> Any:
    return Path(value) if kind is Path else value


def _say(line: str) -> None:
    print(line, flush=True)


def _end() -> None:
    """Stop as on SIGTERM."""
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Be that server, and leave no thread to wait for."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    settings = unpacked_settings(sys.stdin.buffer.read())
    end = socket.socket(fileno=int(sys.argv[1]))
    end.setblocking(False)
    try:
        status = asyncio.run(serve(settings, _say, PipeCoordination(end, _end)))
    except (OSError, ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
