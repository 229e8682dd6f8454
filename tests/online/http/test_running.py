"""HTTP on a real port, beside RPC."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from hogwild.online.http.running import start_http
from hogwild.online.http.settings import HttpSettings
from hogwild.online.service.client import RpcClient
from hogwild.online.service.rpc import RpcServer


def running(service, go, settings=None, host="127.0.0.1"):
    """Run `go` with a client of a server."""

    async def serve():
        server = await start_http(service, host, 0, settings)
        try:
            async with asyncio.timeout(120), httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
                return await go(client, server)
        finally:
            await server.close()

    return asyncio.run(serve())


def test_calls_of_http_and_rpc_meet_in_one_learner(serve):
    service = serve()

    async def go(client, server):
        rpc = RpcServer(service)
        port = await rpc.start()

        async def over_http(number):
            for _ in range(10):
                answer = await client.post("/train", json=[[[f"h{number}", {"x": number}]] * 3])
                assert answer.json() == 3
            lines = b'["lines", {}]\n' * 100
            assert (await client.post("/train.jsonl", content=lines)).json() == {"learnt": 100}

        async def over_rpc(number):
            async with RpcClient("127.0.0.1", port) as caller:
                for _ in range(20):
                    assert await caller.call("train", ("", [(f"r{number}", ([], [("x", 1.0)]))] * 2)) == 2

        await asyncio.gather(*(over_http(number) for number in range(40)), *(over_rpc(number) for number in range(20)))
        labels = (await client.post("/get_labels")).json()
        await rpc.close()
        return labels

    expected = {f"h{number}": 30 for number in range(40)} | {f"r{number}": 40 for number in range(20)} | {"lines": 4000}
    assert running(service, go) == expected
    assert service.figures.learnt == sum(expected.values())


def test_on_loopback_it_answers_to_loopback_names_only(serve):
    async def go(client, server):
        statuses = []
        for host in ("localhost", "127.0.0.1", f"localhost:{server.port}", "[::1]:80", "evil.example"):
            statuses.append((await client.get("/health", headers={"Host": host})).status_code)
        return statuses

    assert running(serve(), go) == [200, 200, 200, 200, 421]
    assert running(serve(), go, host="0.0.0.0") == [200] * 5
    assert running(serve(), go, HttpSettings(hosts=frozenset({"evil.example"}))) == [421] * 4 + [200]


def test_signals_are_left_alone(serve):
    def handlers():
        return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    async def go():
        before = handlers()
        server = await start_http(serve(), "127.0.0.1", 0)
        during = handlers()
        await server.close()
        return before == during == handlers()

    assert asyncio.run(go())


def test_closing_answers_what_is_under_way(serve):
    service = serve()
    service.driver, learner = None, service.driver

    async def go():
        server = await start_http(service, "127.0.0.1", 0)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
            asked = asyncio.create_task(client.post("/get_labels"))
            while not service._questions:
                await asyncio.sleep(0)
            closing = asyncio.create_task(server.close())
            await asyncio.sleep(0)
            service.driver = learner
            service._wake()
            assert (await asked).json() == {}
            await closing
            with pytest.raises(httpx.TransportError):
                await client.get("/health")
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left

    asyncio.run(go())


def test_a_port_in_use_is_an_error(serve):
    async def go(client, server):
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{server.port} for HTTP"):
            await start_http(serve(), "127.0.0.1", server.port)

    running(serve(), go)


def talk(port, sent):
    """Return all that a server answers until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
        wire.sendall(sent)
        found = b""
        with contextlib.suppress(ConnectionResetError):  # where it closed before it had read all
            while piece := wire.recv(65536):
                found += piece
        return found


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x94\x00\x01\xa5train\x90\r\n\r\n", b"400"),
        (b"POST /train HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n", b"413"),
        (b"POST /train HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /train HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n[", b"408"),
        (b"POST /train.jsonl HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", b"408"),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 50_000, b""),
    ],
)
def test_hostile_bytes_close_their_connection_only(sent, status, serve):
    async def go(client, server):
        answer = await asyncio.to_thread(talk, server.port, sent)
        assert answer.removeprefix(b"HTTP/1.1 ").startswith(status)
        assert (await client.get("/health")).status_code == 200

    running(serve(), go, HttpSettings(seconds=0.2))


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHost:", b"second"], ids=["nothing", "half", "second"])
def test_heads_that_do_not_come_are_not_waited_for(sent, serve):
    async def go(client, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        if sent == b"second":
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"alive")
        writer.write(sent)
        assert b"HTTP" not in await reader.read()
        writer.close()
        assert (await client.get("/health")).status_code == 200

    running(serve(), go, HttpSettings(seconds=0.2))


def test_slow_answers_are_waited_for(serve):
    service = serve()
    learner, service.driver = service.driver, None

    async def go(client, server):
        asked = asyncio.create_task(client.post("/get_labels"))
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await reader.read() == b""  # this one came later and sent nothing
        writer.close()
        service.driver = learner
        service._wake()
        return (await asked).json()

    assert running(service, go, HttpSettings(seconds=0.1)) == {}


def test_too_many_connections_are_refused(serve):
    async def go(client, server):
        async with asyncio.TaskGroup() as group:
            answers = [group.create_task(client.get("/health")) for _ in range(20)]
        return {answer.result().status_code for answer in answers}

    assert 503 in running(serve(), go, HttpSettings(connections=2))


def test_starting_is_light():
    code = """
import sys
import hogwild.online.http.running
heavy = {"numpy", "scipy", "sklearn", "numba", "fastapi", "uvicorn", "prometheus_client", "pydantic"} & set(sys.modules)
assert not heavy, heavy
import hogwild.online.http.app
assert not {"numpy", "numba"} & set(sys.modules)
print("light")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "light\n", done.stderr


def test_history_is_kept_while_it_runs(serve):
    async def go(client, server):
        while not (status := json.loads((await client.get("/status.json")).content))["history"]["life"]["time"]:
            await asyncio.sleep(0)
        return status

    assert running(serve(), go)["history"]["life"]["learnt"] == [0]
