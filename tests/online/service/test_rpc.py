"""The protocol on the wire: what Jubatus' clients rely on, and limits."""

import asyncio

import msgpack
import pytest
from online.service.fakes import Noting, counting_service, datum, served, until

from hogwild.online.service.client import RpcClient, RpcError
from hogwild.online.service.rpc import RpcServer
from hogwild.online.service.settings import Limits, ServiceSettings
from hogwild.online.service.unserved import Unserved

A = [("a", datum(t="x"))]


def old(*message) -> bytes:
    return msgpack.packb(message, use_bin_type=False)


async def exchange(port: int, data: bytes, answers: int = 1) -> list:
    """Send bytes and return answers as an old client reads them: all texts as bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    unpacker, found = msgpack.Unpacker(raw=True, use_list=True), []
    while len(found) < answers and (came := await asyncio.wait_for(reader.read(1 << 16), 20)):
        unpacker.feed(came)
        found += list(unpacker)
    writer.close()
    return found


async def is_closed(port: int, data: bytes) -> bool:
    """Whether the server closes a connection that sends this, without an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 20) == b""
    except ConnectionError:
        return True
    finally:
        writer.close()


def test_requests_and_errors():
    async def main():
        service, _ = counting_service()
        async with served(service) as (rpc, _):
            for message, answer in (
                ((0, 7, "train", ["name", A]), [1, 7, None, 1]),
                ((0, 8, "train", ["", A * 2]), [1, 8, None, 2]),
                ((0, 9, "get_labels", ["name"]), [1, 9, None, {b"a": 3}]),
                ((0, 2**32 - 1, "dummy", []), [1, 2**32 - 1, 1, b"dummy"]),
                ((0, 1, "dummy", ["name", 1, 2]), [1, 1, 1, b"dummy"]),
                ((0, 1, "do_mix", ["name"]), [1, 1, 1, b"do_mix"]),
                ((0, 1, "train", ["name", 1]), [1, 1, 2, b"argument 1: expected list<[string, datum]>, found int"]),
                ((0, 1, "train", ["name"]), [1, 1, 2, b"expected 1 arguments, found 0"]),
                ((0, 1, "train", []), [1, 1, 2, b"expected the group's name, and arguments; found nothing"]),
                ((0, 1, "train", ["", [("bad", datum())]]), [1, 1, b"a bad label", None]),
                ((0, 1, b"get_config", [b"\xff"]), [1, 1, None, b"{}"]),
            ):
                assert await exchange(rpc.port, old(*message)) == [answer]

    asyncio.run(main())


def test_doubles_travel_as_doubles():
    async def main():
        service, _ = counting_service()
        async with served(service) as (rpc, _):
            await exchange(rpc.port, old(0, 1, "train", ["", A]))
            reader, writer = await asyncio.open_connection("127.0.0.1", rpc.port)
            writer.write(old(0, 1, "classify", ["", [datum()]]))
            assert await reader.readexactly(17) == b"\x94\x01\x01\xc0\x91\x91\x92\xa1a\xcb\x3f\xf0" + b"\0" * 5
            writer.close()

    asyncio.run(main())


def test_bytes_that_are_no_text_come_back_as_they_came():
    async def main():
        service, _ = counting_service()
        async with served(service) as (rpc, _):
            label = b"\xe9t\xff"
            assert await exchange(rpc.port, old(0, 1, "train", ["", [[label, [[], [], []]]]])) == [[1, 1, None, 1]]
            assert await exchange(rpc.port, old(0, 1, "get_labels", [""])) == [[1, 1, None, {label: 1}]]

    asyncio.run(main())


def test_pipelined_calls_and_notifications():
    async def main():
        service, learner = counting_service()
        async with served(service) as (rpc, _):
            calls = [old(0, ticket, "train", ["", A]) for ticket in range(100)]
            noted = [old(2, "train", ["", A]), old(2, "dummy", [])] * 5
            answers = await exchange(rpc.port, b"".join(calls + noted), 100)
            assert sorted(answers) == [[1, ticket, None, 1] for ticket in range(100)]
            await until(lambda: learner.labels == {"a": 105})
            assert len(learner.runs) < 50  # joined

    asyncio.run(main())


def test_a_slow_update_does_not_hold_answers():
    async def main():
        service, learner = counting_service(journal=Noting(), settings=ServiceSettings(slice=0.0))
        service.journal.durable.clear()
        async with served(service) as (_, client):
            update = asyncio.create_task(client.call("train", ("", A)))
            assert await client.call("get_config", ("",)) == "{}"
            await until(lambda: learner.labels)
            assert await client.call("get_labels", ("",)) == {"a": 1}
            assert not update.done()
            service.journal.durable.set()
            assert await update == 1

    asyncio.run(main())


def test_extra_calls_carry_no_name_and_keep_bytes():
    async def main():
        service, _ = counting_service()

        async def echo(arguments):
            return arguments

        service.extra["hogwild_echo"] = echo
        service.extra["do_mix"] = echo
        async with served(service) as (rpc, _), RpcClient("127.0.0.1", rpc.port, bins=True) as client:
            assert await client.call("hogwild_echo", (b"\xff", "a", {"k": 1.0})) == (b"\xff", "a", {"k": 1.0})
            assert await client.call("do_mix", ("name",)) == ()
            deep = ()
            for _ in range(70):
                deep = (deep,)
            with pytest.raises(ConnectionError):
                await client.call("hogwild_echo", deep)

    asyncio.run(main())


def test_an_answer_that_cannot_be_packed_is_an_error():
    async def main():
        service, _ = counting_service()

        async def odd(arguments):
            return object()

        service.extra["odd"] = odd
        async with served(service) as (_, client):
            with pytest.raises(RpcError, match="object"):
                await client.call("odd", ())
            assert await client.call("get_config", ("",)) == "{}"

    asyncio.run(main())


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        old(5),
        old(0, 1, "train"),
        old(1, 1, None, 1),
        old(0, "1", "train", []),
        old(0, True, "train", []),
        old(0, 1, 5, []),
        old(0, 1, "train", "x"),
        old(2, "train", {}),
        msgpack.packb({"a": 1}),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=range(11),
)
def test_what_is_no_call_closes_its_connection_only(data):
    async def main():
        service, _ = counting_service()
        async with served(service) as (rpc, client):
            assert await is_closed(rpc.port, data)
            assert await client.call("get_config", ("",)) == "{}"

    asyncio.run(main())


def test_long_messages_and_too_many_connections_are_refused():
    async def main():
        service, _ = counting_service()
        async with served(service, limits=Limits(message=1000, connections=2)) as (rpc, _):
            assert await is_closed(rpc.port, old(0, 1, "get_config", ["x" * 2000]))
            assert await is_closed(rpc.port, old(0, 1, "get_config", ["x" * 2000])[:1500])
            _, writer = await asyncio.open_connection("127.0.0.1", rpc.port)
            await until(lambda: len(rpc.connections) == 2)
            assert await is_closed(rpc.port, b"")
            writer.close()
            await until(lambda: len(rpc.connections) == 1)
            assert await exchange(rpc.port, old(0, 1, "get_config", [""])) == [[1, 1, None, b"{}"]]

    asyncio.run(main())


def test_idle_connections_and_half_messages_are_closed():
    async def main():
        service, _ = counting_service(journal=Noting())
        async with served(service, limits=Limits(idle=0.05, unfinished=0)) as (rpc, _):
            assert await is_closed(rpc.port, b"")
        async with served(service, limits=Limits(idle=0, unfinished=0.05)) as (rpc, client):
            assert await is_closed(rpc.port, old(0, 1, "get_config", [""])[:5])
            assert client.connected
        service.journal.durable.clear()
        async with served(service, limits=Limits(idle=0.05)) as (_, client):
            waiting = asyncio.create_task(client.call("train", ("", A)))
            await asyncio.sleep(0.3)  # longer than idle: a call is under way
            service.journal.durable.set()
            assert await waiting == 1

    asyncio.run(main())


def test_a_backlog_is_not_read_until_there_is_room():
    async def main():
        service, learner = counting_service()
        ready, service.driver = service.driver, None  # all calls wait
        async with served(service, limits=Limits(backlog=10_000)) as (rpc, client):
            calls = [asyncio.create_task(client.call("train", ("", A))) for _ in range(500)]
            await until(lambda: len(service._updates) >= 10)
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(service._updates) < 25
            service.driver = ready
            service._wake()
            assert await asyncio.gather(*calls) == [1] * 500
            assert learner.labels == {"a": 500}
            assert rpc._backlog == 0

    asyncio.run(main())


def test_who_does_not_read_is_not_heard():
    async def main():
        service, _ = counting_service()
        service.configuration = "x" * 100_000
        async with served(service) as (rpc, client):
            _, writer = await asyncio.open_connection("127.0.0.1", rpc.port, limit=1000)
            writer.write(old(0, 1, "get_config", [""]) * 20_000)
            await until(lambda: any(not one._writable for one in rpc.connections))
            taken = service.figures.calls["get_config"]
            assert await client.call("get_labels", ("",)) == {}
            assert service.figures.calls["get_config"] <= taken < 100
            writer.transport.abort()
            await until(lambda: len(rpc.connections) == 1)

    asyncio.run(main())


def test_who_asks_for_more_than_he_reads_is_disconnected():
    async def main():
        service, learner = counting_service()
        learner.labels = {"x" * 100_000: 1}
        ready, service.driver = service.driver, None
        async with served(service, limits=Limits(unread=1 << 20)) as (rpc, client):
            _, writer = await asyncio.open_connection("127.0.0.1", rpc.port, limit=1000)
            writer.write(old(0, 1, "get_labels", [""]) * 2000)
            await until(lambda: len(service._questions) == 2000)
            service.driver = ready
            service._wake()
            await until(lambda: len(rpc.connections) == 1)
            assert await client.call("get_config", ("",)) == "{}"
            writer.close()

    asyncio.run(main())


def test_one_connection_has_so_many_calls_under_way():
    async def main():
        service, _ = counting_service()
        ready, service.driver = service.driver, None
        async with served(service, limits=Limits(pipelined=10)) as (_, client):
            calls = [asyncio.create_task(client.call("train", ("", A))) for _ in range(100)]
            await until(lambda: len(service._updates) == 10)
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(service._updates) == 10
            service.driver = ready
            service._wake()
            assert await asyncio.gather(*calls) == [1] * 100

    asyncio.run(main())


def test_unserved_types_say_so():
    async def main():
        rpc = RpcServer(Unserved("clustering"))
        await rpc.start()
        async with RpcClient("127.0.0.1", rpc.port) as client:
            for method in ("push", "get_status", "dummy"):
                with pytest.raises(RpcError, match=r"'clustering' is not served; served are anomaly, classifier"):
                    await client.call(method, ("name",))
        await rpc.close()

    asyncio.run(main())


def test_a_client_knows_when_its_server_goes():
    async def main():
        service, _ = counting_service()
        service.driver = None
        async with served(service) as (rpc, client):
            calls = [asyncio.create_task(client.call("get_labels", ("",))) for _ in range(2)]
            await until(lambda: len(service._questions) == 2)
            with pytest.raises(TimeoutError):
                await client.call("get_labels", ("",), timeout=0.01)
            for connection in list(rpc.connections):
                connection.transport.abort()
            for call in calls:
                with pytest.raises(ConnectionError):
                    await call
            assert await client.call("get_config", ("",)) == "{}"  # connects again

    asyncio.run(main())
