"""Errors as HTTP has them: problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import Response

TYPE = "application/problem+json"


class ProblemError(Exception):
    """A request cannot be served.

    Parameters
    ----------
    status : int
    detail : str
        What was found and what was expected.
    headers : mapping, optional
    **members
        Further members of the answer: ``place``, ``line``, ``learnt``.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.members = members

    def response(self) -> Response:
        """Return the answer that says so."""
        title = HTTPStatus(self.status).phrase
        body = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail} | self.members
        return Response(encoded(body), self.status, self.headers, TYPE)


def encoded(value: Any) -> bytes:
    """Return a value as JSON.

    Texts that are no UTF-8 hold lone surrogates, which only JSON's escapes can carry.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        import json

        return json.dumps(value).encode("ascii")


SCHEMA: dict[str, Any] = {
    "description": "What went wrong (RFC 9457).",
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was found and what was expected."},
        "place": {"type": "string", "description": "Where in the arguments: $.examples[2].label"},
        "line": {"type": "integer", "description": "Of a bulk request, counted from 1."},
        "learnt": {"type": "integer", "description": "Examples of a bulk request that were learnt all the same."},
    },
    "required": ["type", "title", "status", "detail"],
}
