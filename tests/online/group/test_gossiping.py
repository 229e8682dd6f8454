"""Groups without rounds: rows come to all servers, through loss, deaths and logs."""

from __future__ import annotations

import asyncio
import json

import pytest
from online.group.town import Memory, Town

from hogwild.online.configuration import parsed
from hogwild.online.group.gossiping import MIXERS, SUITED, check_mixer
from hogwild.online.group.member import GroupError

NUMBERS = {"num_rules": [{"key": "*", "type": "num"}]}
CONFIGURATION = {"method": "euclid_lsh", "parameter": {"hash_num": 64}, "converter": NUMBERS}
GOSSIPING = MIXERS[1:]


class Rows(Town):
    """A group of nearest neighbours."""

    type = "nearest_neighbor"

    def __init__(self, mixer, **options):
        super().__init__(configuration=json.dumps(CONFIGURATION), **options)
        self.mixer = mixer

    async def set(self, server, name, value):
        assert await server.service.call("set_row", [name, ([], [("x", value), ("y", 1.0)], [])])

    async def equal(self):
        """Wait until all have the same rows; return these."""
        self.drop = self.double = 0.0
        await self.all_active()
        summaries = [server.machine.model.summary for server in self.all()]
        await self.until(lambda: all(summary() == summaries[0]() for summary in summaries))
        states = [server.service.driver.parts.state()["rows"] for server in self.all()]
        for state in states:
            assert state.about == states[0].about
            assert all((state.arrays[name] == array).all() for name, array in states[0].arrays.items())
        return await self.all()[0].service.call("get_all_rows", [])


@pytest.mark.parametrize("mixer", GOSSIPING)
def test_rows_come_to_all(mixer):
    async def main():
        async with Rows(mixer, seed=1, drop=0.2, double=0.2) as town:
            servers = [await town.start() for _ in range(4)]
            for number in range(60):
                await town.set(servers[number % 4], f"r{number % 25}", float(number))
            added = await town.start()
            await town.set(added, "added", 1.0)
            assert sorted(await town.equal()) == sorted(["added", *(f"r{number}" for number in range(25))])
            near = await servers[0].service.call("neighbor_row_from_id", ["added", 3])
            assert near == await added.service.call("neighbor_row_from_id", ["added", 3])

    asyncio.run(main())


def test_a_mix_on_demand_brings_them_at_once():
    async def main():
        async with Rows("broadcast_mixer") as town:
            first, second = await town.start(), await town.start()
            await town.all_active()
            await town.set(first, "r", 1.0)
            assert await first.service.call("do_mix", [])
            assert await second.service.call("get_all_rows", []) == ["r"]

    asyncio.run(main())


def test_a_server_comes_back_with_what_it_and_others_said():
    async def main():
        async with Rows("broadcast_mixer") as town:
            journal = Memory()
            first, second = await town.start(journal=journal), await town.start()
            await town.all_active()
            await town.set(first, "mine", 1.0)
            await town.set(second, "theirs", 2.0)
            await town.equal()
            await town.set(first, "last", 3.0)
            port = first.rpc.port
            for server in (first, second):
                await town.kill(server)
            again = await town.start(journal=journal, port=port)
            await town.set(again, "mine", 4.0)
            third = await town.start()
            assert sorted(await town.equal()) == ["last", "mine", "theirs"]
            assert await third.service.call("neighbor_row_from_id", ["mine", 1]) == [("mine", 0.0)]

    asyncio.run(main())


def test_what_cannot_be_taken_back_is_refused():
    async def main():
        async with Rows("random_mixer") as town:
            server = await town.start()
            for call in (("clear", []), ("load", ["x"])):
                with pytest.raises((GroupError, OSError, ValueError)):
                    await server.service.call(*call)

    asyncio.run(main())


@pytest.mark.parametrize("mixer", GOSSIPING)
def test_only_what_suits_is_mixed_so(mixer):
    for kind in SUITED:
        check_mixer(mixer, kind, CONFIGURATION)
        check_mixer("linear_mixer", kind, {})
    with pytest.raises(ValueError, match=rf"{mixer} suits servers that keep rows .*, a classifier takes linear_mixer"):
        check_mixer(mixer, "classifier", {})
    counted = parsed('{"converter": {"string_rules": [{"key": "*", "type": "space", "global_weight": "idf"}]}}')
    with pytest.raises(ValueError, match=f"{mixer} does not mix the document counts of idf"):
        check_mixer(mixer, "recommender", counted)
    with pytest.raises(ValueError, match="must be one of linear_mixer, random_mixer"):
        check_mixer("mixer", "recommender", {})
