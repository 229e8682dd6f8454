"""Training in bulk."""

from __future__ import annotations

import asyncio
import json

import pytest

from hogwild.online.http.settings import HttpSettings


def lines_of(count):
    return [json.dumps({"label": f"l{number % 3}", "datum": {"x": number}}).encode() for number in range(count)]


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
def test_examples_are_learnt_however_the_body_is_cut(size, serve, ask):
    body = b"\n\r\n".join(lines_of(1500))

    async def pieces():
        for place in range(0, len(body), size):
            yield body[place : place + size]

    service = serve()
    assert ask(service, "POST", "/train.jsonl", content=pieces()).json() == {"learnt": 1500}
    assert service.figures.learnt == 1500 and service.driver.labels == {"l0": 500, "l1": 500, "l2": 500}


def test_examples_are_learnt_while_they_come(serve, calling):
    service = serve()

    async def pieces():
        yield b"\n".join(lines_of(600)) + b"\n"
        while service.figures.learnt < 512:
            await asyncio.sleep(0)
        yield b"\n".join(lines_of(100))

    async def go():
        async with calling(service) as client, asyncio.timeout(60):
            return (await client.post("/train.jsonl", content=pieces())).json()

    assert asyncio.run(go()) == {"learnt": 700}


@pytest.mark.parametrize(
    ("wrong", "status", "place"),
    [(b"{", 400, None), (b'["x", 1]', 422, "$[1]"), (b'["x", [[], [["y", "NaN"]]]]', 400, None), (b"\xff", 400, None)],
)
def test_what_comes_before_a_wrong_line_is_learnt(wrong, status, place, serve, ask):
    service = serve()
    lines = lines_of(511)
    answer = ask(service, "POST", "/train.jsonl", content=b"\n".join([*lines, wrong, *lines]))
    body = answer.json()
    assert answer.status_code == status and body.get("place") == place
    if b"NaN" not in wrong:  # found with its batch
        assert (body["line"], body["learnt"], service.figures.learnt) == (512, 511, 511)


def test_lines_are_bounded_and_bodies_are_not(serve, ask):
    settings = HttpSettings(line=100, body=100)
    service = serve()
    assert ask(service, "POST", "/train.jsonl", settings, content=b"\n".join(lines_of(100))).json() == {"learnt": 100}
    long = json.dumps(["x", {"y": "z" * 100}]).encode()
    for body in (long, long + b"\n", b'["x", {}]\n' + long):
        answer = ask(service, "POST", "/train.jsonl", settings, content=body)
        assert answer.status_code == 413


def test_only_what_learns_from_examples_has_it(serve, ask):
    assert ask(serve("regression"), "POST", "/train.jsonl", content=b"[1, {}]\n[2, {}]").json() == {"learnt": 2}
    assert ask(serve("stat"), "POST", "/train.jsonl", content=b"").status_code == 404
    assert ask(serve(), "POST", "/train.jsonl", content=b"").json() == {"learnt": 0}
