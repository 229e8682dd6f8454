"""The calls of a type of server as routes: ``POST /train`` with ``{"examples": [...]}``, and all the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
from fastapi import FastAPI, Request, Response

from hogwild.online.http.bodies import read_body
from hogwild.online.http.names import arguments_of, members_of
from hogwild.online.http.plain import Codec, WrongValueError
from hogwild.online.http.problems import TYPE, ProblemError, encoded
from hogwild.online.http.settings import HttpSettings
from hogwild.online.http.states import RETRY, refuse_unready
from hogwild.online.http.values import array_schema, codec, object_schema, read_members
from hogwild.online.methods import COMMON, Method, methods_of
from hogwild.online.service.service import StoppingError, UnknownMethodError
from hogwild.online.wire import WrongTypeError

WITHOUT_LEARNER = ("get_config", "get_status")

STATUSES = {
    400: "The body is no JSON, or the call failed: its arguments are of the right types, but cannot be.",
    403: "The page of another site may not call this server.",
    404: "The method is not served here now: `do_mix` outside of a group.",
    408: "The body did not come in time.",
    409: "The call failed: what it names is not there.",
    413: "The body is too large.",
    415: "The body is compressed.",
    422: "An argument is not of its type: `place` says which.",
    500: "The server failed.",
    503: "The server is loading or going down.",
}


class Call(NamedTuple):
    """A method and how its arguments and its result look in JSON."""

    name: str
    method: Method
    arguments: tuple[str, ...]
    takes: tuple[Codec, ...]
    gives: Codec

    def read(self, body: bytes) -> list[Any]:
        """Return the arguments as they travel.

        Raises
        ------
        ProblemError
            They are no JSON, or not these arguments.
        """
        if not body and not self.arguments:
            return []
        try:
            return read_members(decoded(body), self.arguments, self.takes)
        except WrongValueError as error:
            raise ProblemError(422, str(error), place=f"${error.place}") from None


def decoded(body: bytes) -> Any:
    """Return what a JSON text holds.

    Raises
    ------
    ProblemError
        It is no JSON.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(400, f"expected JSON: {error}") from None


def calls_of(kind: str) -> dict[str, Call]:
    """Return all calls of a type of server."""
    members = members_of(kind)
    return {
        name: Call(
            name,
            method,
            arguments_of(kind, name),
            tuple(codec(one, members) for one in method.takes),
            codec(method.gives, members),
        )
        for name, method in methods_of(kind).items()
    }


async def answer(service: Any, method: str, arguments: list[Any]) -> Any:
    """Call the service.

    Raises
    ------
    ProblemError
        It failed.
    """
    refuse_unready(service, learner=method not in WITHOUT_LEARNER)
    try:
        return await service.call(method, arguments)
    except UnknownMethodError:
        raise ProblemError(404, f"{method!r} is not served here; it may be in a group") from None
    except (StoppingError, TimeoutError) as error:
        raise ProblemError(503, str(error), RETRY) from None
    except WrongTypeError as error:
        raise ProblemError(422, str(error)) from None
    except LookupError as error:
        raise ProblemError(409, str(error.args[0] if error.args else error)) from None
    except ValueError as error:
        raise ProblemError(400, str(error)) from None
    except FileNotFoundError as error:
        raise ProblemError(409, str(error)) from None
    except OSError as error:
        raise ProblemError(500, str(error)) from None


def add_calls(app: FastAPI, service: Any, settings: HttpSettings) -> None:
    """Give an application the routes of its service's calls."""
    for call in calls_of(service.kind).values():
        app.add_api_route(
            f"/{call.name}",
            _endpoint(service, call, settings),
            methods=["POST"],
            operation_id=call.name,
            summary=call.method.about,
            tags=["common" if call.name in COMMON else service.kind],
            response_class=Response,
            responses=described({200: json_content(call.gives.schema)}),
            openapi_extra={"requestBody": _body(call)},
        )


def _endpoint(service: Any, call: Call, settings: HttpSettings) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        arguments = call.read(await read_body(request, settings))
        result = await answer(service, call.name, arguments)
        return Response(encoded(call.gives.write(result)), media_type="application/json")

    return endpoint


def json_content(schema: dict[str, Any], description: str = "The result.") -> dict[str, Any]:
    """Return the description of an answer in JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def described(responses: dict[int, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """Add the answers that say what went wrong."""
    problem = {"content": {TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return {**responses, **{status: {"description": about, **problem} for status, about in STATUSES.items()}}


def _body(call: Call) -> dict[str, Any]:
    forms = [object_schema(call.arguments, call.takes), array_schema(call.takes)]
    return {"required": bool(call.takes), "content": {"application/json": {"schema": {"oneOf": forms}}}}
