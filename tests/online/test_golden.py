"""Calls of the original core, replayed: in process, and through the server."""

from __future__ import annotations

import asyncio
import json

import golden_calls
import pytest

from hogwild.online.driver import make_driver
from hogwild.online.methods import TYPES
from hogwild.online.service.client import RpcClient
from hogwild.online.service.rpc import RpcServer
from hogwild.online.service.service import Service
from hogwild.online.wire import read_all

pytestmark = pytest.mark.skipif(not golden_calls.CASES, reason="the original's calls are not here")
CASES = [pytest.param(case, id=name) for name, case in golden_calls.of_types(*TYPES)]


def wire(result):
    """As results travel: data as their columns."""
    return [list(map(list, column)) for column in result.wire()] if hasattr(result, "wire") else result


@pytest.mark.parametrize("case", CASES)
def test_a_learner_answers_as_the_original(case):
    driver = make_driver(case["type"], case["config"])
    for method, arguments, expected in case["calls"]:
        got = driver.run(method, read_all(TYPES[case["type"]][method].takes, arguments))
        golden_calls.check(method, expected, wire(got))


@pytest.mark.parametrize("case", CASES)
def test_a_server_answers_as_the_original(case):
    asyncio.run(replayed(case))


async def replayed(case):
    service = Service(case["type"], json.dumps(case["config"]))
    server = RpcServer(service)
    port = await server.start()
    client = RpcClient("127.0.0.1", port)
    loading = asyncio.create_task(service.load_learner())
    try:
        await client.connect()
        for method, arguments, expected in case["calls"]:
            golden_calls.check(method, expected, await client.call(method, ["", *arguments], timeout=120))
    finally:
        client.close()
        await server.close()
        await loading
        await service.drain()


def test_all_calls_are_replayed():
    assert sum(len(case.values[0]["calls"]) for case in CASES) == 1687
