"""Members on real connections: no update is lost or counted twice, and all models are equal in the end."""

from __future__ import annotations

import asyncio

import pytest
from online.group.town import SETTINGS, Learner, Memory, Town, client_of

from hogwild.cluster.mix.protocol import Diff, PutDiff
from hogwild.online.group.settings import LinkSettings
from hogwild.online.service.client import RpcError


async def group(town, servers, **options):
    for _ in range(servers):
        await town.start(**options)
    await town.all_active()
    return town.all()


def test_a_lone_server_is_active_and_mixes():
    async def run():
        async with Town() as town:
            (server,) = await group(town, 1)
            await server.push("a")
            client = await client_of(server)
            assert await client.call("do_mix", [""]) is True
            assert server.table.master["counts"] == {"a": 1}
            client.close()

    asyncio.run(run())


def test_updates_on_all_servers_are_mixed_by_count_and_time():
    async def run():
        async with Town() as town:
            servers = await group(town, 3)
            version = servers[0].machine.version
            for number in range(SETTINGS.interval_count):
                await servers[1].push(f"k{number % 7}")
            await town.until(lambda: servers[2].machine.version > version)
            await servers[0].push("b")
            await town.until(lambda: servers[2].table.master["counts"].get("b") == 1)  # by time
            await town.quiet()
            assert town.counts() == town.learnt

    asyncio.run(run())


def test_status_and_figures():
    async def run():
        async with Town() as town:
            servers = await group(town, 2)
            await servers[0].push("a")
            client = await client_of(servers[0])
            assert await client.call("do_mix", [""])
            status = (await client.call("get_status", [""]))[servers[0].node]
            figures = servers[0].member.figures
            assert status["mix.version"] == str(servers[0].machine.version) == str(figures.version)
            assert status["mix.active"] == "1" and figures.active
            assert sorted(status["mix.members"].split(",")) == sorted(town.servers) == sorted(figures.actives)
            assert int(status["mix.last"]) > 0 and figures.mixed
            rounds = [server.member.figures.rounds for server in servers]
            assert sum(rounds) > 0 and all(server.member.figures.failed == 0 for server in servers)
            client.close()

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_amid_lost_and_doubled_messages(seed):
    async def run():
        async with Town(seed, drop=0.15, double=0.15) as town:
            servers = await group(town, 4)
            for _ in range(20):
                await asyncio.gather(
                    *(server.push(f"k{town.chance.randrange(9)}") for server in servers for _ in "abcd")
                )
                await asyncio.sleep(0.02)
            await town.quiet()
            assert town.counts() == town.learnt

    asyncio.run(run())


def test_a_master_is_killed_amid_its_round():
    async def run():
        async with Town() as town:
            servers = await group(town, 4)
            for server in servers:
                await server.push(f"of {server.node}")
            killed = []

            def keep(source, to, message):
                if isinstance(message, PutDiff) and not killed:
                    killed.append(source)
                    asyncio.get_running_loop().create_task(town.kill(town.servers[source]))
                return source not in killed

            town.filters.append(keep)
            mixing = asyncio.create_task(servers[0].member.mix())
            await town.until(lambda: len(town.servers) == 3)
            town.filters.clear()
            await town.quiet()
            await mixing
            lost = {f"of {killed[0]}"}
            assert {key: n for key, n in town.counts().items() if key not in lost} == {
                key: n for key, n in town.learnt.items() if key not in lost
            }

    asyncio.run(run())


def test_a_server_that_is_added_later_gets_everything():
    async def run():
        async with Town() as town:
            servers = await group(town, 2)
            for number in range(120):
                await servers[number % 2].push(f"k{number % 5}")
            late = await town.start()
            assert not late.machine.active
            await late.push("late")
            await town.quiet()
            assert town.counts() == town.learnt and late.member.figures.fetched

    asyncio.run(run())


def test_a_server_that_is_not_active_answers():
    async def run():
        async with Town() as town:
            town.desk.receive = lambda *_: None
            server = await town.start()
            await server.push("a")
            assert await server.service.call("sum", ["a"]) == 1.0 and not server.machine.active

    asyncio.run(run())


def test_a_fold_that_did_not_arrive_is_no_success():
    async def run():
        async with Town() as town:
            servers = await group(town, 3)
            deaf = servers[2].node
            town.filters.append(lambda source, to, message: to != deaf or not isinstance(message, PutDiff))
            await servers[2].push("a")
            await servers[0].push("b")
            await asyncio.gather(*(server.member.mix() for server in servers[:2]))
            await town.until(lambda: not servers[2].machine.active)
            assert sum(server.member.figures.failed for server in servers) > 0
            await town.quiet()
            assert town.counts() == town.learnt

    asyncio.run(run())


def test_what_is_learnt_during_a_round_is_kept():
    async def run():
        async with Town() as town:
            servers = await group(town, 2)

            def keep(source, to, message):  # between question and fold
                if isinstance(message, Diff):
                    server = town.servers[source]
                    server.table.change("counts", "meanwhile", 1)
                    town.learnt["meanwhile"] += 1
                return True

            town.filters.append(keep)
            await servers[0].push("a")
            await asyncio.gather(*(server.member.mix() for server in servers))
            town.filters.clear()
            for server in servers:
                await server.push("b")
            await town.quiet()
            assert town.learnt["meanwhile"] and town.counts() == town.learnt

    asyncio.run(run())


def test_a_server_that_stops_hands_over_what_it_learnt():
    async def run():
        async with Town() as town:
            servers = await group(town, 3)
            await servers[1].push("last words")
            await servers[1].member.leave()
            await town.kill(servers[1])
            assert servers[1].node not in town.desk.service._sessions
            await town.quiet()
            assert town.counts() == town.learnt

    asyncio.run(run())


def test_the_last_server_stops_at_once():
    async def run():
        async with Town() as town:
            (server,) = await group(town, 1)
            await server.push("a")
            await asyncio.wait_for(server.member.leave(), 5)
            assert not town.desk.service._sessions
            with pytest.raises(RuntimeError, match="no group any more"):
                await server.service.call("do_mix", [""])

    asyncio.run(run())


def test_large_models_travel_in_parts():
    async def run():
        async with Town(links=LinkSettings(chunk=1000, timeout=2.0)) as town:
            servers = await group(town, 2)
            for number in range(400):
                await servers[0].push(f"a long name of a feature {number}")
            late = await town.start()
            await town.quiet()
            assert town.counts() == town.learnt and late.member.figures.received > 10_000

    asyncio.run(run())


def test_a_model_that_is_too_large_is_not_sent_and_the_server_lives():
    async def run():
        async with Town(links=LinkSettings(largest=2000, timeout=2.0)) as town:
            servers = await group(town, 2)
            for number in range(400):
                await servers[0].service.call("push", [f"a long name of a feature {number}", 1.0])
            await town.until(lambda: servers[0].member.figures.dropped + servers[1].member.figures.dropped > 0)
            assert await servers[0].service.call("sum", ["a long name of a feature 1"]) == 1.0

    asyncio.run(run())


def test_servers_of_other_configurations_do_not_mix():
    async def run():
        async with Town() as town:
            (server,) = await group(town, 1)
            other = await town.start(configuration='{"window_size": 3}')
            await town.until(lambda: other.member.figures.refused)
            (why,) = other.member.figures.refused.values()
            assert "not of this group" in why and "stat//" in why
            assert not other.machine.active and server.machine.active

    asyncio.run(run())


@pytest.mark.parametrize("method", ["get_diff", "put_diff", "get_model"])
def test_original_servers_are_refused(method):
    async def run():
        async with Town() as town:
            (server,) = await group(town, 1)
            client = await client_of(server)
            with pytest.raises(RpcError, match="hogwild servers only"):
                await client.call(method, [1])
            client.close()

    asyncio.run(run())


# ------------------------------------------------------------------------------------------------ logs and files


def test_a_server_comes_back_from_its_log():
    async def run():
        async with Town() as town:
            log = Memory()
            servers = [await town.start(journal=log), await town.start(), await town.start()]
            await town.all_active()
            for number in range(130):
                await servers[number % 3].push(f"k{number % 5}")
            await town.quiet()
            town.filters.append(lambda source, to, message: False)
            await servers[0].push("nobody heard of this")
            port = servers[0].rpc.port
            await town.kill(servers[0])
            town.filters.clear()
            await servers[1].push("meanwhile")
            assert await servers[1].member.mix()
            back = await town.start(journal=log, port=port)
            assert back.table.view["counts"]["nobody heard of this"] == 1
            await town.quiet()
            assert town.counts() == town.learnt

    asyncio.run(run())


def test_a_group_comes_back_from_its_logs():
    async def run():
        async with Town() as town:
            logs = [Memory() for _ in range(3)]
            servers = [await town.start(journal=log) for log in logs]
            await town.all_active()
            for number in range(130):
                await servers[number % 3].push(f"k{number % 5}")
            await town.quiet()
            for server in servers:
                await server.push(f"of {server.node} alone")
            ports = [server.rpc.port for server in servers]
            for server in servers:
                await town.kill(server)
            town.desk.service.__init__(round=1000)  # the parent as well, which takes no number twice
            for log, port in zip(logs, ports, strict=True):
                await town.start(journal=log, port=port)
            await town.quiet()
            assert town.counts() == town.learnt

    asyncio.run(run())


def test_the_log_is_enough_after_a_snapshot():
    async def run():
        async with Town() as town:
            log = Memory()
            servers = [await town.start(journal=log), await town.start()]
            await town.all_active()
            for number in range(60):
                await servers[number % 2].push(f"k{number % 5}")
            await servers[0].push("early")
            log.durable.clear()  # a snapshot stands for all of that
            for keep in servers[0].service.on_snapshot:
                keep()
            await servers[0].push("late")
            port = servers[0].rpc.port
            await town.kill(servers[0])
            await town.start(journal=log, port=port)
            await town.quiet()
            assert town.counts() == town.learnt

    asyncio.run(run())


def test_load_and_clear_change_everybodys_model():
    async def run():
        async with Town() as town:
            servers = await group(town, 3)
            for server in servers:
                await server.push("old")
            client = await client_of(servers[1])
            assert await client.call("clear", [""]) is True
            town.learnt.clear()
            await servers[0].push("new")
            await town.quiet()
            assert "old" not in servers[1].table.view["counts"]
            await asyncio.gather(*(server.service.call("clear", []) for server in servers))  # as a proxy has it
            await town.quiet()
            assert not town.counts()
            client.close()

    asyncio.run(run())


def test_a_load_that_fails_changes_nothing():
    async def run():
        async with Town() as town:
            servers = await group(town, 2)
            await servers[0].push("a")

            def change():
                raise ValueError("no such model")

            with pytest.raises(ValueError, match="no such model"):
                await servers[0].member.replace(change)
            await town.quiet()
            assert town.counts() == town.learnt

    asyncio.run(run())


def test_load_puts_a_saved_model_in_everybodys_place(tmp_path):
    async def run():
        async with Town() as town:
            servers = await group(town, 3)
            for server in servers:
                server.service.datadir = tmp_path
                await server.push("saved")
            await town.quiet()
            await asyncio.gather(*(server.service.call("save", ["x"]) for server in servers))
            saved = dict(town.learnt)
            await servers[2].push("unsaved")
            await asyncio.gather(*(server.service.call("load", ["x"]) for server in servers))
            await town.quiet()
            assert town.counts() == saved
            with pytest.raises(FileNotFoundError):
                await servers[0].service.call("load", ["y"])

    asyncio.run(run())


def test_servers_that_start_with_a_files_model(tmp_path):
    async def run():
        async with Town() as town:
            (server,) = await group(town, 1)
            server.service.datadir = tmp_path
            await server.push("filed")
            (path,) = (await server.service.call("save", ["x"])).values()
            await town.kill(server)
            for _ in range(3):
                await town.start(model=path)
            await town.all_active()
            await town.all()[1].push("later")
            await town.quiet()
            assert town.counts() == {"filed": 1, "later": 1}
            await town.start(model=path)  # the group has a model
            await town.quiet()
            assert town.counts() == {"filed": 1, "later": 1}

    asyncio.run(run())


# ------------------------------------------------------------------------------------------------ trouble


def fragile(method):
    """Return a learner whose model fails in a method, if that is asked for by its name."""

    class Part(Learner.part):
        failing = False

    def fail(self, *arguments):
        if self.failing:
            raise RuntimeError("broken")
        return getattr(Learner.part, method)(self, *arguments)

    setattr(Part, method, fail)
    return type("Fragile", (Learner,), {"part": Part})


def test_a_fold_that_fails_ends_its_round_only():
    async def run():
        async with Town(kind=fragile("fold")) as town:
            servers = await group(town, 2)
            for server in servers:
                server.table.failing = True
            await servers[0].push("a")
            assert not await servers[0].member.mix()
            assert sum(server.member.figures.faults for server in servers) > 0
            for server in servers:
                server.table.failing = False
            await town.quiet()
            assert town.counts() == town.learnt

    asyncio.run(run())


def test_a_model_that_breaks_leaves_the_group_to_the_others():
    async def run():
        async with Town(kind=fragile("apply")) as town:
            servers = await group(town, 3)
            servers[1].table.failing = True
            await servers[0].push("a")
            mixing = asyncio.create_task(servers[0].member.mix())
            broken = servers[1].member.figures
            await town.until(lambda: broken.fault)
            assert broken.fault == "RuntimeError: broken" and not broken.active
            assert (await servers[1].service.call("get_status", []))[servers[1].node]["mix.fault"]
            with pytest.raises(RuntimeError, match="no group any more"):
                await servers[1].member.mix()
            await mixing
            await town.kill(servers[1])
            await town.quiet()
            assert town.counts() == town.learnt

    asyncio.run(run())


def test_the_coordination_service_is_started_anew():
    async def run():
        async with Town() as town:
            servers = await group(town, 3)
            for server in servers:
                await server.push("a")
            await servers[0].member.mix()
            old = town.desk.service
            town.desk.service = type(old)(old.round, old.floor)
            await servers[1].push("b")
            await town.until(lambda: len(town.desk.service._sessions) == 3)
            await town.quiet()
            assert town.counts() == town.learnt

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(3))
def test_servers_come_and_go_amid_lost_messages(seed):
    async def run():
        async with Town(seed, drop=0.1, double=0.1) as town:
            logs = {}

            async def start(log=None, port=0):
                log = log or Memory()
                server = await town.start(journal=log, port=port)
                logs[server.node] = log, server.rpc.port

            for _ in range(3):
                await start()
            for _ in range(12):
                pushes = [server.push(f"k{town.chance.randrange(9)}") for server in town.all() for _ in range(8)]
                await asyncio.gather(*pushes)
                dice = town.chance.random()
                if dice < 0.3 and len(town.servers) > 1:
                    masters = [server for server in town.all() if server.machine.leads]
                    await town.kill(town.chance.choice(masters or town.all()))
                elif dice < 0.6 and logs.keys() > town.servers.keys():
                    await start(*logs[town.chance.choice(sorted(logs.keys() - town.servers.keys()))])
                elif dice < 0.7:
                    await start()
                await asyncio.sleep(0.05)
            for node in sorted(logs.keys() - town.servers.keys()):
                await start(*logs[node])
            await town.quiet()
            assert town.counts() == town.learnt

    asyncio.run(run())
