"""Training in bulk: one example a line, learnt while they come."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response

from hogwild.online.http.bodies import read_lines
from hogwild.online.http.calls import answer, calls_of, decoded, described, json_content
from hogwild.online.http.names import members_of
from hogwild.online.http.plain import WrongValueError
from hogwild.online.http.problems import ProblemError, encoded
from hogwild.online.http.settings import HttpSettings
from hogwild.online.http.values import codec
from hogwild.online.wire import Listed, Type

PATH = "/train.jsonl"
_BATCH = 512

_LEARNT = {"type": "object", "properties": {"learnt": {"type": "integer"}}, "required": ["learnt"]}


def add_bulk(app: FastAPI, service: Any, settings: HttpSettings) -> None:
    """Give an application the route of bulk training, where its service's type learns from examples."""
    call = calls_of(service.kind).get("train")
    if call is None:
        return
    (examples,) = call.method.takes
    assert isinstance(examples, Listed)
    item: Type = examples.item
    one = codec(item, members_of(service.kind))

    async def train(request: Request) -> Response:
        bulk = _Bulk(service, one.read)
        async for lines in read_lines(request, settings):
            for line in lines:
                await bulk.add(line)
        await bulk.learn()
        return Response(encoded({"learnt": bulk.learnt}), media_type="application/json")

    app.add_api_route(
        PATH,
        train,
        methods=["POST"],
        operation_id="train_bulk",
        summary="Learn examples, one JSON value a line, while they come; lines before a wrong one are learnt.",
        tags=[service.kind],
        response_class=Response,
        responses=described({200: json_content(_LEARNT, "How many were learnt.")}),
        openapi_extra={"requestBody": {"required": True, "content": {"application/jsonl": {"schema": one.schema}}}},
    )


class _Bulk:
    """Lines that are read, gathered and learnt.

    Attributes
    ----------
    learnt : int
        Examples so far.
    """

    def __init__(self, service: Any, read: Any) -> None:
        self._service = service
        self._read = read
        self._batch: list[Any] = []
        self._line = 0
        self.learnt = 0

    async def add(self, line: bytes) -> None:
        """Take the next line; blank ones are none."""
        self._line += 1
        if not line.strip():
            return
        try:
            self._batch.append(self._read(decoded(line)))
        except WrongValueError as error:
            await self.learn()
            raise self._failed(ProblemError(422, str(error), place=f"${error.place}")) from None
        except ProblemError as problem:
            await self.learn()
            raise self._failed(problem) from None
        if len(self._batch) == _BATCH:
            await self.learn()

    async def learn(self) -> None:
        """Learn what has been gathered."""
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        try:
            self.learnt += await answer(self._service, "train", [batch])
        except ProblemError as problem:
            raise self._failed(problem) from None

    def _failed(self, problem: ProblemError) -> ProblemError:
        """Say how far it went: a failed batch ends at that line."""
        problem.members |= {"line": self._line, "learnt": self.learnt}
        return problem
