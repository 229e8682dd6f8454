"""Links between servers: bounded, in order, back after a while; whoever refuses is named."""

from __future__ import annotations

import asyncio
import contextlib

from hogwild.cluster.mix.protocol import GetDiff, Model
from hogwild.online.group.figures import MixFigures
from hogwild.online.group.links import METHOD, Inbox, Post
from hogwild.online.group.settings import LinkSettings
from hogwild.online.service.rpc import RpcServer
from hogwild.online.service.service import Service
from hogwild.online.service.settings import Limits

SETTINGS = LinkSettings(queue=4, timeout=5.0, least_pause=0.01, most_pause=0.04)
DEADLINE = 20.0


@contextlib.asynccontextmanager
async def peer(port=0, limits=None, known=True):
    """A server that notes what messages it is sent."""
    service, got = Service("stat", "{}"), []
    inbox = Inbox("g", SETTINGS, MixFigures())

    async def heard(arguments):
        received = inbox.take(arguments)
        if received is not None:
            got.append(received)
        return True

    if known:
        service.extra[METHOD] = heard
    server = RpcServer(service, port=port, limits=limits)
    await server.start()
    try:
        yield f"127.0.0.1_{server.port}", got, server
    finally:
        await server.close()


async def until(condition):
    end = asyncio.get_running_loop().time() + DEADLINE
    while not condition():
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.005)


def post(figures, chunk=1 << 20, group="g"):
    return Post("127.0.0.1_1", group, SETTINGS, figures, chunk)


def test_messages_arrive_in_order_and_whole():
    async def run():
        figures = MixFigures()
        async with peer() as (node, got, _):
            sender, large = post(figures, chunk=100), Model("n", 1, "x" * 5000, {}, 0)
            sender.send(node, GetDiff(1))
            sender.send(node, large)
            sender.send(node, GetDiff(2))
            await sender.close(DEADLINE)
            assert got == [("127.0.0.1_1", GetDiff(1)), ("127.0.0.1_1", large), ("127.0.0.1_1", GetDiff(2))]
            assert figures.sent > 5000 and not figures.dropped

    asyncio.run(run())


def test_what_is_too_much_is_dropped():
    async def run():
        figures = MixFigures()
        async with peer() as (node, got, _):
            sender = post(figures)
            for number in range(10):
                sender.send(node, GetDiff(number))
            await sender.close(DEADLINE)
            assert [message.round for _, message in got] == [0, 1, 2, 3] and figures.dropped == 6

    asyncio.run(run())


def test_a_server_that_is_away_and_comes_back():
    async def run():
        figures = MixFigures()
        async with peer() as (node, _, server):
            port = server.port
        sender = post(figures)
        for number in range(3):
            sender.send(node, GetDiff(number))
        await until(lambda: figures.dropped == 3)
        async with peer(port) as (node, got, _):

            def sent():
                if not got:
                    sender.send(node, GetDiff(2))
                return got

            await until(sent)
        await sender.close()

    asyncio.run(run())


def test_a_connection_that_was_idle_for_too_long_is_made_anew():
    async def run():
        figures = MixFigures()
        async with peer(limits=Limits(idle=0.05)) as (node, got, server):
            sender = post(figures)
            for number in range(3):
                sender.send(node, GetDiff(number))
                await until(lambda number=number: len(got) == number + 1)
                await until(lambda: not server.connections)
            await sender.close()
            assert not figures.dropped

    asyncio.run(run())


def test_an_original_server_is_named():
    async def run():
        figures = MixFigures()
        async with peer(known=False) as (node, _, _server):
            sender = post(figures)
            sender.send(node, GetDiff(1))
            await until(lambda: figures.refused)
            assert "no hogwild server" in figures.refused[node]
            sender.keep([])
            assert not figures.refused

    asyncio.run(run())


def test_a_server_of_another_group_is_named_and_forgiven():
    async def run():
        figures = MixFigures()
        async with peer() as (node, got, _):
            foreign = post(figures, group="h")
            foreign.send(node, GetDiff(1))
            await until(lambda: figures.refused)
            assert "not of this group" in figures.refused[node] and not got
            await foreign.close()

    asyncio.run(run())


def test_a_message_that_waits_is_not_sent_twice():
    async def run():
        async with peer() as (node, got, _):
            sender, diff = post(MixFigures()), GetDiff(1)
            for version in (1, 2):
                sender.send(node, Model("n", version, "x", {}, 0))
                sender.send(node, diff)
            await sender.close(DEADLINE)
            assert [message for _, message in got] == [Model("n", 1, "x", {}, 0), diff]

    asyncio.run(run())
