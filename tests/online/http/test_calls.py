"""Calls, right and wrong."""

from __future__ import annotations

import asyncio
import json

import pytest

from hogwild.online.http.settings import HttpSettings
from hogwild.online.methods import TYPES, methods_of
from hogwild.online.service.service import Service

EXAMPLES = [{"label": "a", "datum": {"x": 1}}, ["b", {"text": "y"}], {"label": "a", "datum": [[], [["x", 2]]]}]


def problem(answer):
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["type"] == "about:blank" and body["title"]
    return body


def test_calls_take_named_and_placed_arguments(serve, calling):
    async def go():
        service = serve()
        async with calling(service) as client:
            assert (await client.post("/train", json={"examples": EXAMPLES})).json() == 3
            assert (await client.post("/train", json=[EXAMPLES[:1]])).json() == 1
            scores = (await client.post("/classify", json={"data": [{}]})).json()
            assert scores == [[{"label": "a", "score": 3.0}, {"label": "b", "score": 1.0}]]
            for kwargs in ({}, {"json": {}}, {"json": []}):
                assert (await client.post("/get_labels", **kwargs)).json() == {"a": 3, "b": 1}
        assert service.figures.learnt == 4

    asyncio.run(go())


def test_content_types_are_not_looked_at(serve, ask):
    answer = ask(serve(), "POST", "/classify", content=b"[[{}]]", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_every_method_has_a_route(kind, serve, calling):
    async def go():
        async with calling(serve(kind)) as client:
            for method in methods_of(kind):
                body = problem(await client.post(f"/{method}", content=b"[0, 0, 0, 0]"))
                assert body["status"] == 422 and body["place"] == "$", method

    asyncio.run(go())


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/nothing", b"", 404, "nothing is served at '/nothing'"),
        ("/estimate", b"[[]]", 404, "nothing is served"),
        ("/do_mix", b"", 404, "'do_mix' is not served here"),
        ("/train", b"", 400, "expected JSON: Input data was truncated"),
        ("/train", b"[", 400, "expected JSON"),
        ("/train", b"[" * 100_000, 400, "expected JSON"),
        ("/train", b'"\xff"', 400, "expected JSON"),
        ("/train", b"[NaN]", 400, "expected JSON"),
        ("/train", b"[[]] x", 400, "expected JSON"),
        ("/train", b'{"data": []}', 422, "expected examples in an object or array, found an object with data"),
        ("/train", b"[[], []]", 422, "found 2 values"),
        ("/get_labels", b"[1]", 422, "expected nothing, found 1 values"),
        ("/train", b'[[["a", {"x": "NaN"}]]]', 200, ""),
        ("/train", b'[[["a", [[], [["x", "NaN"]]]]]]', 400, "NaN is no number to learn"),
        ("/delete_label", b'["c"]', 409, "no label 'c'"),
        ("/set_label", b'["c"]', 500, "the server failed"),
        ("/load", b'["../x"]', 400, ""),
    ],
)
def test_errors_have_their_status(path, body, status, said, serve, ask):
    answer = ask(serve(), "POST", path, content=body)
    assert answer.status_code == status
    if status != 200:
        assert said in problem(answer)["detail"]


def test_the_place_is_named(serve, ask):
    body = {"examples": [*EXAMPLES, {"label": "a", "datum": {"x": [1]}}]}
    assert problem(ask(serve(), "POST", "/train", json=body))["place"] == "$.examples[3].datum.x"


def test_other_verbs_are_not_allowed(serve, ask):
    answer = ask(serve(), "GET", "/train")
    assert problem(answer)["status"] == 405 and answer.headers["allow"] == "POST"


def test_while_it_loads_only_what_needs_no_learner_is_answered(ask):
    service = Service("classifier", '{"a": 1}')
    for path in ("/train", "/ready"):
        answer = ask(service, "POST" if path == "/train" else "GET", path, content=b"[[]]")
        assert problem(answer)["detail"] == "the learner is loading"
        assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
    assert ask(service, "POST", "/get_config").json() == '{"a": 1}'
    assert ask(service, "POST", "/get_status").json()[service.node]["learner"] == "loading"
    assert ask(service, "GET", "/health").status_code == 200
    assert "hogwild_ready 0.0" in ask(service, "GET", "/metrics").text


def test_a_server_that_stops_says_so(serve, ask):
    service = serve()
    service.draining = True
    for verb, path in (("POST", "/get_labels"), ("POST", "/get_config"), ("GET", "/ready")):
        assert "going down" in problem(ask(service, verb, path))["detail"]


def test_ready_means_active_in_the_group(serve, group, ask):
    service = serve()
    assert ask(service, "GET", "/ready").status_code == 200
    service.group = group(active=False)
    assert "not active" in problem(ask(service, "GET", "/ready"))["detail"]
    assert ask(service, "POST", "/get_labels").status_code == 200
    service.group = group(active=True)
    assert ask(service, "GET", "/ready").status_code == 200


@pytest.mark.parametrize("whole", [True, False], ids=["with length", "in pieces"])
def test_large_bodies_are_refused(whole, serve, ask):
    async def pieces():
        for _ in range(20):
            yield b" " * 100

    settings = HttpSettings(body=1000)
    answer = ask(serve(), "POST", "/train", settings, content=b" " * 1001 if whole else pieces())
    assert problem(answer)["status"] == 413
    assert ask(serve(), "POST", "/train", settings, content=b"[[]]" + b" " * 996).json() == 0


def test_compressed_bodies_are_refused(serve, ask):
    answer = ask(serve(), "POST", "/train", content=b"x", headers={"Content-Encoding": "gzip"})
    assert problem(answer)["status"] == 415


def test_a_body_that_does_not_come_is_given_up(serve, ask):
    async def never():
        yield b"["
        await asyncio.Event().wait()

    for path in ("/train", "/train.jsonl"):
        answer = ask(serve(), "POST", path, HttpSettings(seconds=0.01), content=never())
        assert problem(answer)["status"] == 408


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 421),
        ({"Host": "[::1"}, 421),
        ({"Host": ""}, 421),
    ],
)
def test_pages_of_other_sites_may_not_call(headers, status, serve, ask):
    settings = HttpSettings(hosts=frozenset({"here", "localhost"}))
    answer = ask(serve(), "POST", "/clear" if status != 200 else "/get_labels", settings, headers=headers)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_labels_that_are_no_utf8_are_escaped(serve, ask):
    service = serve()
    service.driver.labels["\udcff"] += 1
    answer = ask(service, "POST", "/get_labels")
    assert json.loads(answer.content) == {"\udcff": 1}
