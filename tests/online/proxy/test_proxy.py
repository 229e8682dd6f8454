"""The proxy before servers that are made up."""

from __future__ import annotations

import asyncio
import collections

import msgpack
import pytest
from online.proxy.fake_servers import DROPS, HANGS, FakeServer, RefusalError, behind_proxy

from hogwild.online.methods import TYPES, methods_of
from hogwild.online.proxy.links import Links, UnreachedError
from hogwild.online.proxy.members import FixedMembers
from hogwild.online.proxy.ring import Ring
from hogwild.online.proxy.settings import ProxySettings
from hogwild.online.service.client import RpcError

DATUM = ((("text", "some words"),), (("n", 1.5),), ())


def own_name(node, method, params):
    return node


def calls_of(servers) -> list[tuple[str, list]]:
    return [call for server in servers for call in server.asked]


class TestRandom:
    def test_each_call_goes_to_one_server_and_all_have_their_share(self):
        async def main():
            async with behind_proxy("classifier", [own_name] * 3) as (servers, client):
                answers = [await client.call("classify", ("spam", (DATUM,))) for _ in range(60)]
                assert len(calls_of(servers)) == 60
                assert collections.Counter(answers).keys() == {server.node for server in servers}

        asyncio.run(main())

    def test_calls_and_answers_pass_as_they_are(self):
        raw = "\udcff\udc80 no UTF-8"

        async def main():
            def answer(node, method, params):
                return params

            async with behind_proxy("classifier", [answer]) as (servers, client):
                params = ("spam", ((("label " * 20), ((("k", raw),), (("n", 0.1), ("m", 2.0)), ())),))
                answer = await client.call("train", params)
                assert answer == params and servers[0].asked == [
                    ("train", msgpack.unpackb(pack(params), unicode_errors="surrogateescape"))
                ]
                assert isinstance(answer[1][0][1][1][1][1], float)

        def pack(value):
            return msgpack.packb(value, unicode_errors="surrogateescape")

        asyncio.run(main())

    def test_answers_are_packed_as_old_clients_read_them(self):
        """No text of the newer kind "str 8", which clients of that time do not know."""

        async def main():
            async with behind_proxy("classifier", [lambda *_: "x" * 100]) as (_, client):
                reader, writer = await asyncio.open_connection("127.0.0.1", client._port)
                writer.write(msgpack.packb((0, 7, "get_config", ("spam",)), use_bin_type=False))
                data = await reader.readexactly(4 + 3 + 100)
                assert data == b"\x94\x01\x07\xc0" + b"\xda\x00\x64" + b"x" * 100
                writer.close()

        asyncio.run(main())

    def test_a_question_is_asked_again_where_a_server_is_gone_and_the_gone_one_is_left_alone_for_a_while(self):
        async def main():
            async with behind_proxy("classifier", [own_name] * 3) as (servers, client):
                gone, *rest = servers
                await gone.stop()
                for _ in range(30):
                    assert await client.call("classify", ("spam", ())) in {server.node for server in rest}

        asyncio.run(main())

    def test_a_question_whose_server_is_lost_over_it_goes_to_another(self):
        async def main():
            async with behind_proxy("classifier", [lambda *_: DROPS, own_name]) as (servers, client):
                for _ in range(20):
                    assert await client.call("classify", ("spam", ())) == servers[1].node

        asyncio.run(main())

    def test_an_update_whose_server_is_lost_over_it_is_not_sent_again(self):
        async def main():
            async with behind_proxy("classifier", [lambda *_: DROPS] * 3) as (servers, client):
                for count in range(1, 6):
                    with pytest.raises(RpcError, match="lost"):
                        await client.call("train", ("spam", ()))
                    assert len(calls_of(servers)) == count

        asyncio.run(main())

    def test_an_update_whose_server_is_not_even_reached_goes_to_another(self):
        async def main():
            async with behind_proxy("classifier", [own_name] * 2) as (servers, client):
                await servers[0].stop()
                for _ in range(20):
                    assert await client.call("train", ("spam", ())) == servers[1].node
                assert len(calls_of(servers)) == 20

        asyncio.run(main())

    def test_a_server_that_does_not_answer_is_an_error_after_a_while(self):
        async def main():
            async with behind_proxy("classifier", [lambda *_: HANGS] * 2, timeout=0.05) as (servers, client):
                for method in ("classify", "train"):
                    with pytest.raises(RpcError, match=r"127\.0\.0\.1_\d+: no answer within 0\.05 s"):
                        await client.call(method, ("spam", ()))
                assert len(calls_of(servers)) == 2

        asyncio.run(main())

    def test_no_server_at_all_is_an_error_that_names_one(self):
        async def main():
            async with behind_proxy("classifier", [own_name] * 2) as (servers, client):
                for server in servers:
                    await server.stop()
                for method in ("classify", "train", "get_status", "save"):
                    with pytest.raises(RpcError, match=r"127\.0\.0\.1_\d+: not reached"):
                        await client.call(method, ("spam", ""))

        asyncio.run(main())

    def test_a_server_that_is_back_is_used_again(self):
        async def main():
            async with behind_proxy("classifier", [own_name]) as ((server,), client):
                await client.call("train", ("spam", ()))
                await server.stop()
                with pytest.raises(RpcError):
                    await client.call("classify", ("spam", ()))
                await server.start()
                assert await client.call("train", ("spam", ())) == server.node

        asyncio.run(main())

    def test_many_calls_go_over_one_connection_to_a_server_at_the_same_time(self):
        async def main():
            async with behind_proxy("classifier", [own_name]) as ((server,), client):
                await asyncio.gather(*(client.call("classify", ("spam", ())) for _ in range(50)))
                assert len(server._writers) == 1 and len(server.asked) == 50

        asyncio.run(main())


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "result"), [(1, "classify"), (2, "argument 1: expected a list"), ("no such label: 'x'", None)]
    )
    def test_a_servers_error_passes_as_it_is(self, error, result):
        def refuse(node, method, params):
            raise RefusalError(error, result)

        async def main():
            for kind, method, params in (
                ("classifier", "classify", ("spam", ())),
                ("classifier", "clear", ("spam",)),
                ("stat", "push", ("spam", "key", 1.0)),
            ):
                async with behind_proxy(kind, [refuse] * 2) as (_, client):
                    with pytest.raises(RpcError) as raised:
                        await client.call(method, params)
                    assert (raised.value.error, raised.value.result) == (error, result)

        asyncio.run(main())

    def test_a_method_that_does_not_exist_is_error_1_and_asks_nobody(self):
        async def main():
            async with behind_proxy("stat", [own_name]) as (servers, client):
                for method in ("dummy", "train"):
                    with pytest.raises(RpcError) as raised:
                        await client.call(method, ("spam",))
                    assert (raised.value.error, raised.value.result) == (1, method)
                assert calls_of(servers) == []

        asyncio.run(main())

    @pytest.mark.parametrize("params", [(), (1,), ("spam",), ("spam", 5, 1.0)])
    def test_without_a_name_or_a_key_it_is_error_2(self, params):
        async def main():
            async with behind_proxy("stat", [own_name]) as (servers, client):
                with pytest.raises(RpcError) as raised:
                    await client.call("push", params)
                assert raised.value.error == 2
                assert calls_of(servers) == []

        asyncio.run(main())


class TestBroadcast:
    @pytest.mark.parametrize(
        ("method", "answers", "joined"),
        [
            ("clear", (True, True), True),
            ("clear", (True, False), False),
            ("load", (False, True), False),
            ("delete_label", (False, True), True),
            ("delete_label", (False, False), False),
            ("save", ({"a": "x"}, {"b": "y"}), {"a": "x", "b": "y"}),
            ("get_status", ({"a": {"pid": "1"}}, {"b": {"pid": "2"}}), {"a": {"pid": "1"}, "b": {"pid": "2"}}),
        ],
    )
    def test_all_are_asked_and_their_answers_joined(self, method, answers, joined):
        async def main():
            ways = [lambda *_, answer=answer: answer for answer in answers]
            async with behind_proxy("classifier", ways) as (servers, client):
                takes = ("id",) if methods_of("classifier")[method].takes else ()
                assert await client.call(method, ("spam", *takes)) == joined
                assert [len(server.asked) for server in servers] == [1, 1]

        asyncio.run(main())

    def test_one_that_is_gone_is_missing_from_the_status_and_an_error_elsewhere(self):
        async def main():
            async with behind_proxy("classifier", [lambda node, *_: {node: {"pid": "1"}}] * 2) as (servers, client):
                await servers[0].stop()
                assert await client.call("get_status", ("spam",)) == {servers[1].node: {"pid": "1"}}
                with pytest.raises(RpcError, match=f"{servers[0].node}: not reached"):
                    await client.call("save", ("spam", "id"))

        asyncio.run(main())


class TestHash:
    def test_a_key_is_changed_on_as_many_servers_as_it_has_copies(self):
        async def main():
            async with behind_proxy("recommender", [lambda *_: True] * 4) as (servers, client):
                ring = Ring(server.node for server in servers)
                for key in map(str, range(40)):
                    for server in servers:
                        server.asked.clear()
                    assert await client.call("update_row", ("spam", key, DATUM)) is True
                    asked = {server.node for server in servers if server.asked}
                    assert asked == set(ring.servers(key)[:2]) and len(calls_of(servers)) == 2

        asyncio.run(main())

    def test_a_question_about_a_key_goes_to_its_first_server_and_to_its_copy_where_that_is_gone(self):
        async def main():
            async with behind_proxy("recommender", [own_name] * 4) as (servers, client):
                first, second, *_ = Ring(server.node for server in servers).servers("row")
                assert await client.call("decode_row", ("spam", "row")) == first
                await next(server for server in servers if server.node == first).stop()
                assert await client.call("decode_row", ("spam", "row")) == second

        asyncio.run(main())

    def test_what_one_of_the_copies_took_is_done(self):
        async def main():
            async with behind_proxy("recommender", [lambda *_: True] * 3) as (servers, client):
                nodes = Ring(server.node for server in servers).servers("row")
                by_node = {server.node: server for server in servers}
                await by_node[nodes[1]].stop()
                assert await client.call("update_row", ("spam", "row", DATUM)) is True
                await by_node[nodes[0]].stop()
                assert await client.call("update_row", ("spam", "row", DATUM)) is True
                assert len(by_node[nodes[2]].asked) == 1

        asyncio.run(main())

    def test_an_update_that_is_lost_everywhere_is_an_error_and_not_sent_on(self):
        async def main():
            async with behind_proxy("stat", [lambda *_: DROPS] * 3) as (servers, client):
                with pytest.raises(RpcError, match="lost"):
                    await client.call("push", ("spam", "key", 1.0))
                assert len(calls_of(servers)) == 1

        asyncio.run(main())


class TestStatus:
    def test_of_the_proxy_itself(self):
        async def main():
            async with behind_proxy("stat", [lambda *_: 1.0]) as (servers, client):
                await client.call("sum", ("spam", "key"))
                with pytest.raises(RpcError):
                    await client.call("dummy", ("spam",))
                ((node, status),) = (await client.call("get_proxy_status", ("spam",))).items()
                assert node == f"127.0.0.1_{client._port}" and status["type"] == "stat"
                assert (status["request.total"], status["request.errors"]) == ("3", "1")
                assert all(isinstance(value, str) for value in status.values())
                assert len(calls_of(servers)) == 1

        asyncio.run(main())


@pytest.mark.parametrize("kind", TYPES)
def test_every_method_of_every_type_finds_its_servers(kind):
    """As the table of methods says, with answers that fit each way of joining."""
    joined = {"all": True, "any": True, "merge": {}, "pass": 1}

    async def main():
        methods = methods_of(kind)
        async with behind_proxy(kind, [lambda _, method, __: joined[methods[method].joining]] * 3) as (servers, client):
            for name, method in methods.items():
                await client.call(name, ("group", "key", *(() for _ in method.takes[1:])))
                expected = {
                    "random": 1,
                    "broadcast": 3,
                    "hash": method.copies if method.changes else 1,
                }[method.routing]
                assert [one for one, _ in calls_of(servers)] == [name] * expected
                for server in servers:
                    server.asked.clear()

    asyncio.run(main())


class TestLinks:
    def test_those_who_wait_for_the_same_connection_share_it(self):
        async def main():
            server = await FakeServer(own_name).start()
            links = Links(5.0)
            answers = await asyncio.gather(*(links.call(server.node, "classify", ()) for _ in range(20)))
            assert answers == [server.node] * 20 and len(server._writers) == 1
            await links.close()
            await server.stop()

        asyncio.run(main())

    def test_one_who_gives_up_waiting_leaves_the_others_theirs(self):
        async def main():
            server = await FakeServer(own_name).start()
            links = Links(5.0)
            first, second = (asyncio.ensure_future(links.call(server.node, "classify", ())) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            assert await second == server.node
            await links.close()
            await server.stop()

        asyncio.run(main())

    def test_who_is_not_reached_is_avoided(self):
        async def main():
            links = Links(5.0)
            server = await FakeServer(own_name).start()
            await server.stop()
            with pytest.raises(UnreachedError):
                await links.call(server.node, "classify", ())
            assert links.avoided(server.node)
            await server.start()
            await links.call(server.node, "classify", ())
            assert not links.avoided(server.node)
            await links.close()
            await server.stop()

        asyncio.run(main())

    def test_a_connection_that_was_idle_for_long_is_not_used_again(self, monkeypatch):
        async def main():
            server = await FakeServer(own_name).start()
            links = Links(5.0)
            await links.call(server.node, "train", ())
            monkeypatch.setattr("hogwild.online.proxy.links._KEPT", -1.0)
            await links.call(server.node, "train", ())
            assert len(server._writers) == 2
            await links.close()
            await server.stop()

        asyncio.run(main())


class TestSettings:
    def test_members_come_from_one_source(self):
        for source in ({}, {"zookeeper": "127.0.0.1:2181", "members": ("127.0.0.1:9199",)}):
            with pytest.raises(ValueError, match="either ZooKeeper"):
                ProxySettings("stat", **source)

    @pytest.mark.parametrize("address", ["127.0.0.1", ":9199", "host:port", "host:0", "host:65536", ""])
    def test_a_member_is_an_address(self, address):
        with pytest.raises(ValueError, match="a member is HOST:PORT"):
            FixedMembers([address])
