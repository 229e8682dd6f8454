"""A service as an HTTP application."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from hogwild.online.http.bulk import add_bulk
from hogwild.online.http.calls import add_calls
from hogwild.online.http.examples import SCHEMAS
from hogwild.online.http.guard import Guard
from hogwild.online.http.history import History
from hogwild.online.http.metrics import registry_of
from hogwild.online.http.page import page
from hogwild.online.http.problems import SCHEMA, ProblemError, encoded
from hogwild.online.http.settings import HttpSettings
from hogwild.online.http.states import RETRY, unreadiness
from hogwild.online.http.status import status_of

_ABOUT = """\
Each method takes the JSON object of its arguments, or the array of them; what has members in them may be either, too.
A double that JSON has no number for is one of the texts "NaN", "Infinity" and "-Infinity", both ways. Bytes are
{"base64": "..."}. An example is an object of texts, numbers and bytes, or three arrays of pairs; answers have the
arrays. Names that are no UTF-8 come with escaped lone surrogates, and cannot be sent here. Content types are not looked
at. Errors are problem details (RFC 9457).
"""


def make_app(service: Any, settings: HttpSettings | None = None, history: History | None = None) -> FastAPI:
    """Return the application that answers for a service.

    There is no page of the API's documentation: FastAPI's come from elsewhere in the network. ``/openapi.json`` is the
    description for whatever shows or uses it.

    Parameters
    ----------
    service : Service
    settings : HttpSettings, optional
    history : History, optional
        What the status page draws; whoever gives it has it take samples.
    """
    settings = settings or HttpSettings()
    app = FastAPI(
        title=f"hogwild {service.kind}",
        version="1",
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    answered: Counter[int] = Counter()
    app.add_middleware(Guard, answered=answered, hosts=settings.hosts)
    add_calls(app, service, settings)
    add_bulk(app, service, settings)
    _add_views(app, service, history or History(service), registry_of(service, answered))
    _add_errors(app)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def _add_views(app: FastAPI, service: Any, history: History, registry: CollectorRegistry) -> None:
    html, policy = page()

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return Response(html, media_type="text/html", headers={"Content-Security-Policy": policy})

    @app.get("/status.json", tags=["service"], summary="All that the status page shows.", response_class=Response)
    async def status() -> Response:
        return _json(status_of(service, history))

    @app.get("/metrics", tags=["service"], summary="Figures for Prometheus.", response_class=Response)
    async def metrics(request: Request) -> Response:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": media_type})

    @app.get("/health", tags=["service"], summary="Whether the process lives.", response_class=Response)
    async def health() -> Response:
        return _json({"status": "alive"})

    @app.get(
        "/ready",
        tags=["service"],
        summary="Whether calls should be sent here: the learner is loaded and, in a group, its model the newest.",
        response_class=Response,
        responses={503: {"description": "Not now."}},
    )
    async def ready() -> Response:
        reason = unreadiness(service)
        if reason is not None:
            return ProblemError(503, reason, RETRY).response()
        return _json({"status": "ready"})


def _json(value: Any) -> Response:
    return Response(encoded(value), media_type="application/json")


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ProblemError)
    async def problem(_: Request, error: ProblemError) -> Response:
        return error.response()

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> Response:
        detail = {
            404: f"nothing is served at {request.url.path[:100]!r}; /openapi.json says what is",
            405: f"{request.method[:20]} is not served at {request.url.path[:100]!r}",
        }.get(error.status_code, str(error.detail))
        return ProblemError(error.status_code, detail, error.headers).response()

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, error: ClientDisconnect) -> Response:
        return ProblemError(400, "the body ended early").response()  # nobody reads it

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return ProblemError(500, "the server failed; its log says how").response()  # raised again, and logged


def _described(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schema.setdefault("components", {}).setdefault("schemas", {}).update(SCHEMAS, Problem=SCHEMA)
        app.openapi_schema = schema
    return app.openapi_schema
