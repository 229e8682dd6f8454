"""The adapter against a real ZooKeeper."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest
from online.zookeeper_server import ZooKeeperServer, zookeeper  # noqa: F401

pytest.importorskip("kazoo")

from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionDropped

from hogwild.cluster.mix import protocol as say
from hogwild.cluster.mix.coordination import MixCoordination
from hogwild.cluster.protocol import Lost, Recv
from hogwild.online.group import zookeeper as adapter
from hogwild.online.group.coordination import CoordinationError
from hogwild.online.group.zookeeper import ZooKeeperCoordination
from hogwild.online.group.zookeeper_paths import GroupPaths, digest, places

PATHS = GroupPaths.of("classifier", "spam")
A, B, C = "127.0.0.1_9199", "127.0.0.1_9200", "127.0.0.1_9201"
pytestmark = pytest.mark.slow


class Link:
    """A server's end: keeps all that it is told."""

    def __init__(self, hosts: str, node: str, incarnation: int = 1, timeout: float = 1.0, patience: float = 5.0):
        self.node, self.incarnation = node, incarnation
        self.coordination = ZooKeeperCoordination(hosts, "classifier", "spam", node, timeout=timeout, patience=patience)
        self.told: list = []
        self._news = asyncio.Event()

    def _tell(self, answer) -> None:
        self.told.append(answer)
        self._news.set()

    async def start(self) -> Link:
        await self.coordination.start(self._tell)
        return self

    async def join(self) -> Link:
        self.send(say.Register(self.node, self.incarnation))
        await self.until(lambda told: isinstance(told, say.Group) and self.node in told.members)
        return self

    def send(self, message) -> None:
        self.coordination.send(message)

    async def until(self, condition: Callable) -> object:
        """Wait for an answer, which is taken from the list with all before it."""
        async with asyncio.timeout(20):
            while True:
                for place, told in enumerate(self.told):
                    if condition(told):
                        del self.told[: place + 1]
                        return told
                self._news.clear()
                await self._news.wait()

    async def kind(self, kind: type) -> object:
        return await self.until(lambda told: isinstance(told, kind))

    async def lock(self, above: int = 0) -> say.Locked:
        """Ask until the lock is got."""
        while True:
            self.send(say.TryLock(self.node, above))
            answer = await self.until(lambda told: isinstance(told, (say.Locked, say.Busy)))
            if isinstance(answer, say.Locked):
                return answer
            await asyncio.sleep(0.02)

    async def passed(self) -> None:
        """Wait until all that was sent has been carried out."""
        self.send(say.Register(self.node, self.incarnation))
        await self.coordination._idle.wait()


@asynccontextmanager
async def linked(hosts: str, *nodes: str, **options):
    links = [await Link(hosts, node, **options).start() for node in nodes]
    try:
        for link in links:
            await link.join()
        yield links
    finally:
        for link in links:
            await link.coordination.close()


@pytest.fixture
def look(zookeeper: ZooKeeperServer):  # noqa: F811
    """Somebody else with a client of their own."""
    client = KazooClient(zookeeper.hosts)
    client.start()
    yield client
    client.stop()
    client.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def silence(link: Link) -> None:
    """Have nothing be heard of a server any more, as if it was killed: its session goes on for a while."""
    kazoo = link.coordination._client._kazoo
    kazoo._stopped.set()
    kazoo._connection._socket.shutdown(socket.SHUT_RDWR)


def steal(link: Link) -> None:
    """End a session as the service does when it has not heard of a server for long."""
    kazoo = link.coordination._client._kazoo

    def hold(*_) -> None:
        time.sleep(0.01)
        raise ConnectionDropped("held back")

    kazoo._connection._connect = hold  # or both clients would fight for the connection
    host, port = kazoo.hosts[0]
    other = KazooClient(f"{host}:{port}", client_id=(kazoo._session_id, kazoo._session_passwd))
    other.start()
    other.stop()
    other.close()
    del kazoo._connection._connect


class TestGroup:
    def test_members_and_actives_are_told_to_all_and_written_where_jubatus_has_them(self, zookeeper, look):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A, B) as (a, b):
                await a.until(lambda told: told == say.Group((A, B), {}, 0))
                b.send(say.Announce(B, 7))
                for link in (a, b):
                    await link.until(lambda told: told == say.Group((A, B), {B: 7}, 0))
                assert look.get_children("/jubatus/actors/classifier/spam/nodes") == [A, B]
                assert look.get_children("/jubatus/actors/classifier/spam/actives") == [B]
                await b.passed()
                ring = "/jubatus/actors/classifier/spam/cht"
                assert sorted(look.get_children(ring)) == sorted(places(B))
                assert look.get(f"{ring}/{digest(f'{B}_7')}")[0] == B.encode()
                b.send(say.Withdraw(B))
                await a.until(lambda told: told == say.Group((A, B), {}, 0))
                await b.passed()
                assert look.get_children(ring) == []
                b.send(say.Deregister(B))
                await a.until(lambda told: told == say.Group((A,), {}, 0))

        asyncio.run(main())

    def test_a_server_that_ends_without_a_word_goes_when_its_session_does(self, zookeeper):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A, B) as (a, b):
                b.send(say.Announce(B, 0))
                await a.until(lambda told: told == say.Group((A, B), {B: 0}, 0))
                silence(b)
                await a.until(lambda told: told == say.Group((A,), {}, 0))

        asyncio.run(main())

    def test_registering_twice_is_answered_twice_and_changes_nothing(self, zookeeper, look):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A) as (a,):
                a.send(say.Announce(A, 3))
                await a.until(lambda told: told == say.Group((A,), {A: 3}, 0))
                before = look.get(f"{PATHS.members}/{A}")[1].czxid
                a.send(say.Register(A, 1))
                await a.until(lambda told: told == say.Group((A,), {A: 3}, 0))
                assert look.get(f"{PATHS.members}/{A}")[1].czxid == before

        asyncio.run(main())

    def test_a_new_life_takes_over_the_name_and_frees_what_the_old_one_held(self, zookeeper):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, B) as (b,):
                former = await (await Link(zookeeper.hosts, A, timeout=60.0).start()).join()
                former.send(say.Announce(A, 0))
                number = (await former.lock()).round
                silence(former)  # its session lasts a minute
                async with linked(zookeeper.hosts, A, incarnation=2) as (a,):
                    group = a.coordination._view()
                    assert group.members == (A, B) and group.actives == {}
                    assert (await b.lock()).round > number

        asyncio.run(main())

    def test_the_name_of_a_server_on_another_machine_is_refused(self, zookeeper, monkeypatch):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A):
                monkeypatch.setattr(adapter, "this_machine", lambda: "elsewhere/1")
                with pytest.raises(CoordinationError, match=r"127\.0\.0\.1_9199 is a server on .*--listen_addr"):
                    await Link(zookeeper.hosts, A, patience=0.5).start()

        asyncio.run(main())


class TestOriginals:
    def test_a_group_with_an_original_server_is_refused_before_anything_is_changed(self, zookeeper, look):  # noqa: F811
        look.create(f"{PATHS.members}/10.0.0.1_9199", b"", ephemeral=True, makepath=True)
        before = look.get_children("/jubatus/actors/classifier/spam")

        async def main():
            with pytest.raises(CoordinationError, match="original servers and ours cannot mix in one group"):
                await Link(zookeeper.hosts, A).start()

        asyncio.run(main())
        assert look.get_children("/jubatus/actors/classifier/spam") == before == ["nodes"]
        assert look.get_children(PATHS.members) == ["10.0.0.1_9199"]

    @pytest.mark.parametrize(("version", "there"), [((1, 1), True), ((1, 2), False), ((2, 0), False)])
    def test_one_minor_version_of_difference_works_and_no_major_one(self, zookeeper, look, version, there):  # noqa: F811
        entry = json.dumps({"program": "hogwild", "protocol": version, "machine": "m", "incarnation": 1, "later": 1})
        look.create(f"{PATHS.members}/{B}", entry.encode(), ephemeral=True, makepath=True)

        async def main():
            if there:
                async with linked(zookeeper.hosts, A) as (a,):
                    assert (await a.lock()).members == (A, B)
            else:
                with pytest.raises(CoordinationError, match=f"{B} mixes by protocol {version[0]}.{version[1]}, this"):
                    await Link(zookeeper.hosts, A).start()

        asyncio.run(main())

    def test_one_that_comes_later_is_no_member(self, zookeeper, look):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A) as (a,):
                look.create(f"{PATHS.members}/10.0.0.1_9199", b"", ephemeral=True)
                look.create(f"{PATHS.actives}/10.0.0.1_9199", b"", ephemeral=True)
                await until(lambda: "original Jubatus server" in str(a.coordination.trouble))
                locked = await a.lock()
                assert locked.members == (A,) and locked.actives == {}

        asyncio.run(main())


class TestLock:
    def test_one_of_two_gets_it_and_numbers_only_grow(self, zookeeper):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A, B) as links:
                rounds, holders = [], []

                async def compete(link: Link, times: int) -> None:
                    for _ in range(times):
                        number = (await link.lock()).round
                        holders.append(link)
                        assert len(holders) == 1
                        rounds.append(number)
                        await asyncio.sleep(0.001)
                        holders.remove(link)
                        link.send(say.Unlock(link.node, number, floor=number - 1))

                await asyncio.gather(*(compete(link, 10) for link in links))
                assert rounds == sorted(set(rounds)) and len(rounds) == 20
                for link in links:
                    await link.until(lambda told: isinstance(told, say.Group) and told.floor == rounds[-1] - 1)

        asyncio.run(main())

    def test_the_number_is_above_what_the_server_has_heard_of(self, zookeeper):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A) as (a,):
                assert (await a.lock(above=40)).round == 41
                assert (await a.lock(above=40)).round == 41  # held: the same round
                a.send(say.Unlock(A, 41))
                assert (await a.lock(above=3)).round == 42

        asyncio.run(main())

    def test_locked_names_all_that_were_there_before(self, zookeeper):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A, B) as (a, b):
                for version in range(10):
                    b.send(say.Announce(B, version))
                    await b.passed()
                    locked = await a.lock()
                    assert locked.members == (A, B) and set(locked.actives) == {B}
                    a.send(say.Unlock(A, locked.round))
                    b.send(say.Withdraw(B))
                    await b.passed()
                    locked = await a.lock()
                    assert locked.actives == {}
                    a.send(say.Unlock(A, locked.round))

        asyncio.run(main())

    def test_a_lost_session_frees_it_and_its_former_holder_moves_neither_number_nor_floor(self, zookeeper, look):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A, B) as (a, b):
                first = (await a.lock()).round
                steal(a)
                second = (await b.lock()).round
                assert second > first
                a.send(say.Unlock(A, first, floor=100))
                await a.kind(say.SessionLost)
                await a.join()
                a.send(say.Unlock(A, first, floor=100))
                a.send(say.TryLock(A, 0))
                await a.kind(say.Busy)
                progress = look.get(PATHS.progress)[0]
                assert progress == b'{"round":%d,"floor":0}' % second

        asyncio.run(main())

    def test_progress_that_cannot_be_read_is_trouble_and_not_a_new_beginning(self, zookeeper, look):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A) as (a,):
                number = (await a.lock(above=11)).round
                a.send(say.Unlock(A, number, floor=9))
                await a.passed()
                kept = look.get(PATHS.progress)[0]
                look.set(PATHS.progress, b"?")
                a.send(say.TryLock(A, 0))
                await until(lambda: "expected round and floor as JSON, found b'?'" in str(a.coordination.trouble))
                look.set(PATHS.progress, kept)
                assert (await a.kind(say.Locked)).round == number + 1

        asyncio.run(main())

    def test_numbers_and_floor_outlast_all_sessions(self, zookeeper):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A) as (a,):
                number = (await a.lock(above=11)).round
                a.send(say.Unlock(A, number, floor=9))
                await a.passed()
            zookeeper.restart()
            async with linked(zookeeper.hosts, B, incarnation=5) as (b,):
                locked = await b.lock()
                assert locked.round == number + 1 and locked.floor == 9

        asyncio.run(main())


class TestExpel:
    def test_the_struck_one_is_told_and_leaves_the_actives(self, zookeeper):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A, B) as (a, b):
                b.send(say.Announce(B, 4))
                await b.until(lambda told: told == say.Group((A, B), {B: 4}, 0))
                a.send(say.Expel(B, 5))
                assert await b.kind(say.Expelled) == say.Expelled(5)
                await b.until(lambda told: told == say.Group((A, B), {}, 0))
                b.send(say.Announce(B, 4))
                assert await b.kind(say.Expelled) == say.Expelled(5)
                b.send(say.Announce(B, 5))
                await a.until(lambda told: told == say.Group((A, B), {B: 5}, 0))

        asyncio.run(main())

    def test_one_that_has_gone_on_meanwhile_is_left_alone(self, zookeeper, look):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A, B) as (a, b):
                b.send(say.Announce(B, 5))
                await a.until(lambda told: told == say.Group((A, B), {B: 5}, 0))
                a.send(say.Expel(B, 5))
                a.send(say.Expel("10.0.0.9_9199", 5))  # who has left
                await a.passed()
                assert look.get_children(PATHS.actives) == [B]
                assert not any(isinstance(told, say.Expelled) for told in b.told)

        asyncio.run(main())


class TestSessions:
    def test_a_lost_session_is_told_once_and_the_next_one_begins(self, zookeeper):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A, B) as (a, b):
                a.send(say.Announce(A, 2))
                await b.until(lambda told: told == say.Group((A, B), {A: 2}, 0))
                steal(a)
                await a.kind(say.SessionLost)
                await b.until(lambda told: told == say.Group((B,), {}, 0))
                a.send(say.Announce(A, 2))  # of the old session: dropped
                await a.join()
                await b.until(lambda told: told == say.Group((A, B), {}, 0))
                assert not any(isinstance(told, say.SessionLost) for told in a.told)

        asyncio.run(main())

    def test_an_entry_that_is_deleted_by_hand_is_a_lost_session(self, zookeeper, look):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A) as (a,):
                await a.lock()
                look.delete(f"{PATHS.members}/{A}")
                await a.kind(say.SessionLost)
                await a.join()
                assert (await a.lock()).round == 2

        asyncio.run(main())

    def test_a_restart_within_the_timeout_changes_nothing(self, zookeeper):  # noqa: F811
        async def main():
            async with linked(zookeeper.hosts, A, B, timeout=20.0) as (a, b):
                a.send(say.Announce(A, 2))
                number = (await a.lock()).round
                await b.until(lambda told: told == say.Group((A, B), {A: 2}, 0))
                zookeeper.stop()
                await until(lambda: not a.coordination.connected)
                a.send(say.Unlock(A, number, floor=1))  # carried out later
                for _ in range(3):
                    b.send(say.TryLock(B, 0))
                zookeeper.start()
                locked = await b.lock()
                assert locked == say.Locked(number + 1, (A, B), {A: 2}, 1)
                assert not any(isinstance(told, say.SessionLost) for told in a.told + b.told)

        asyncio.run(main())

    def test_a_service_that_was_away_for_long_and_forgot_all_is_joined_anew(self, tmp_path, zookeeper):  # noqa: F811
        """All sessions end, the numbers too: who has heard of later rounds says so."""

        async def main():
            async with linked(zookeeper.hosts, A) as (a,):
                zookeeper.stop()
                await until(lambda: not a.coordination.connected)
                forgetful = ZooKeeperServer(tmp_path)
                forgetful._configuration.write_text(
                    forgetful._configuration.read_text().replace(forgetful.hosts[10:], zookeeper.hosts[10:])
                )
                forgetful._port = zookeeper._port
                forgetful.start()
                try:
                    await a.kind(say.SessionLost)
                    await a.join()
                    assert (await a.lock(above=30)).round == 31
                finally:
                    forgetful.stop()

        asyncio.run(main())

    def test_without_service_start_gives_up_waiting_and_joins_when_it_is_there(self, zookeeper):  # noqa: F811
        async def main():
            zookeeper.stop()
            link = await Link(zookeeper.hosts, A, patience=0.2).start()
            for _ in range(5):
                link.send(say.Register(A, 1))
            zookeeper.start()
            assert await link.kind(say.Group) == say.Group((A,), {}, 0)
            await link.coordination.close()

        asyncio.run(main())


class TestTwin:
    """The same requests, one after the other, to ZooKeeper and to the machine of a parent process."""

    NODES = (A, B, C)

    @pytest.mark.parametrize("seed", range(3))
    def test_groups_locks_and_numbers_are_those_of_the_machine(self, zookeeper, seed):  # noqa: F811
        draw = random.Random(seed)

        async def main():
            machine = MixCoordination()
            told: dict[str, list] = {node: [] for node in self.NODES}
            async with linked(zookeeper.hosts, *self.NODES) as links:
                by_node = dict(zip(self.NODES, links, strict=True))

                def ask(node: str, message) -> None:
                    for effect in machine.handle(0.0, Recv(node, message)):
                        told[effect.to].append(effect.message)

                for node in self.NODES:
                    ask(node, say.Register(node, 1))
                for _ in range(60):
                    node, other = draw.choice(self.NODES), draw.choice(self.NODES)
                    if draw.random() < 0.1:  # the session ends, and the next one begins
                        by_node[node].told.clear()
                        steal(by_node[node])
                        await by_node[node].kind(say.SessionLost)
                        machine.handle(0.0, Lost(node))
                        ask(node, say.Register(node, 1))
                        await by_node[node].join()
                    message = draw.choice(
                        (
                            say.Announce(node, draw.randrange(machine.round + 1)),
                            say.Announce(node, machine.round),
                            say.Withdraw(node),
                            say.TryLock(node, draw.randrange(machine.round + 3)),
                            say.TryLock(node, 0),
                            say.Unlock(node, machine.round, draw.randrange(machine.round + 1)),
                            say.Unlock(node, machine.round - 1, machine.round + 5),
                            say.Expel(other, machine.round),
                        )
                    )
                    for link in links:
                        await link.passed()
                        link.told.clear()
                    told[node].clear()
                    ask(node, message)
                    by_node[node].send(message)
                    await by_node[node].passed()
                    for kind in (say.Locked, say.Busy):
                        assert _of(kind, by_node[node].told) == _of(kind, told[node]), (message, kind)
                    ask(node, say.Register(node, 1))
                    await by_node[node].passed()
                    seen, expected = _of(say.Group, by_node[node].told)[-1], _of(say.Group, told[node])[-1]
                    assert set(seen.members) == set(expected.members), message
                    assert (seen.actives, seen.floor) == (expected.actives, expected.floor), message

        asyncio.run(main())


def _of(kind: type, told: list) -> list:
    found = [one for one in told if type(one) is kind]
    return [one._replace(members=tuple(sorted(one.members))) for one in found] if kind is say.Locked else found
