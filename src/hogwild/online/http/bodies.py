"""Bodies of requests, bounded in size and in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import Request

from hogwild.online.http.problems import ProblemError
from hogwild.online.http.settings import HttpSettings

_CLOSE = {"Connection": "close"}  # what else the client sends is not read


async def read_body(request: Request, settings: HttpSettings) -> bytes:
    """Return a whole body.

    Raises
    ------
    ProblemError
        It is larger than allowed, takes too long, or is compressed.
    """
    try:
        async with asyncio.timeout(settings.seconds):
            body = bytearray()
            _refuse_early(request, settings.body)
            async for piece in request.stream():
                body += piece
                if len(body) > settings.body:
                    raise _too_large(settings.body)
            return bytes(body)
    except TimeoutError:
        raise ProblemError(408, f"the body did not come within {settings.seconds:g} s", _CLOSE) from None


async def read_lines(request: Request, settings: HttpSettings) -> AsyncIterator[list[bytes]]:
    """Yield the lines of a body, as many at once as have come.

    Raises
    ------
    ProblemError
        A line is longer than allowed, the next piece takes too long, or the body is compressed.
    """
    _refuse_early(request, None)
    pieces = request.stream()
    rest = b""
    while True:
        try:
            async with asyncio.timeout(settings.seconds):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise ProblemError(408, f"nothing came for {settings.seconds:g} s", _CLOSE) from None
        if piece is None:
            break
        *lines, rest = (rest + piece).split(b"\n")
        if max(map(len, (*lines, rest))) > settings.line:
            raise ProblemError(413, f"a line may have {settings.line} bytes", _CLOSE)
        if lines:
            yield lines
    if rest:
        yield [rest]


def _refuse_early(request: Request, limit: int | None) -> None:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        detail = f"bodies are not compressed here, found {encoding[:40]!r}"
        raise ProblemError(415, detail, {"Accept-Encoding": "identity"} | _CLOSE)
    length = request.headers.get("content-length", "")
    if limit is not None and length.isdigit() and int(length) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> ProblemError:
    return ProblemError(413, f"a body may have {limit} bytes", _CLOSE)
