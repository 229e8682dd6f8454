"""One writer: order, durability before answers, errors that stay where they belong."""

import asyncio

import pytest
from online.service.fakes import Counting, Noting, counting_service, datum, until

from hogwild.online.service.journal import pack_record, unpack_record
from hogwild.online.service.service import Service, StoppingError, UnknownMethodError
from hogwild.online.service.settings import ServiceSettings
from hogwild.online.wire import WrongTypeError

A = [("a", datum(t="x"))]
BAD = [("bad", datum(t="x"))]


def test_calls_are_answered():
    async def main():
        service, _ = counting_service()
        assert await service.call("train", (A * 3,)) == 3
        assert await service.call("get_labels", ()) == {"a": 3}
        assert await service.call("classify", ([datum()],)) == [[("a", 3.0)]]
        assert await service.call("get_config", ()) == "{}"
        status = (await service.call("get_status", ()))[service.node]
        assert status["update_count"] == "3" and status["labels"] == "1" and status["last_saved_path"] == ""
        assert all(isinstance(value, str) for value in status.values())
        for method in ("dummy", "do_mix", "train2"):
            with pytest.raises(UnknownMethodError, match=method):
                await service.call(method, ())
        with pytest.raises(WrongTypeError):
            await service.call("train", (1,))
        with pytest.raises(WrongTypeError):
            await service.call("get_status", (1,))
        assert service.figures.errors == {"?": 3, "train": 1, "get_status": 1}
        assert sum(service.figures.latency.counts) == service.figures.calls.total() == 10

    asyncio.run(main())


def test_calls_wait_for_the_learner_and_those_without_do_not():
    async def main():
        service = Service("stat", '{"window_size": 2}')
        pushes = [asyncio.create_task(service.call("push", ("k", float(value)))) for value in range(3)]
        assert await service.call("get_config", ()) == '{"window_size": 2}'
        with pytest.raises(UnknownMethodError):
            await service.call("dummy", ())
        assert (await service.call("get_status", ()))[service.node]["learner"] == "loading"
        assert not any(push.done() for push in pushes)
        await service.load_learner()
        assert await asyncio.gather(*pushes) == [True] * 3
        assert await service.call("sum", ("k",)) == 3.0

    asyncio.run(main())


def test_a_learner_that_cannot_be_loaded_fails_the_calls():
    async def main():
        service = Service("stat", '{"window_size": 0}')
        waiting = asyncio.create_task(service.call("push", ("k", 1.0)))
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="window_size"):
            await service.load_learner()
        for call in (waiting, service.call("push", ("k", 1.0))):
            with pytest.raises(RuntimeError, match=r"cannot be loaded.*window_size"):
                await call

    asyncio.run(main())


def test_updates_are_durable_before_they_are_answered():
    async def main():
        journal = Noting()
        service, learner = counting_service(journal=journal)
        journal.durable.clear()
        calls = [asyncio.create_task(service.call("train", (A,))) for _ in range(5)]
        bad = asyncio.create_task(service.call("train", (BAD,)))
        await until(lambda: journal.commits)
        assert learner.labels == {"a": 5}
        assert await service.call("get_labels", ()) == {"a": 5}  # answers go on
        with pytest.raises(ValueError, match="bad"):  # has changed nothing that could be lost
            await bad
        assert not any(call.done() for call in calls)
        journal.durable.set()
        assert await asyncio.gather(*calls) == [1] * 5
        assert journal.committed == len(journal.records)
        assert journal.commits < 5  # one for all that came together

    asyncio.run(main())


def test_the_log_holds_what_was_applied_in_that_order():
    async def main():
        journal = Noting()
        service, learner = counting_service(journal=journal, settings=ServiceSettings(slice=0.0))
        work = [
            service.call("train", (A * 100,)),
            service.call("set_label", ("b",)),
            service.exclusive(lambda: learner.runs.append(("change", None)), pack_record(("mix", 1))),
            service.call("train", (BAD,)),
            service.call("train", ([("c", datum())],)),
        ]
        await asyncio.gather(*work, return_exceptions=True)
        logged = [unpack_record(record) for record in journal.records]
        assert [name for kind, name, *_ in logged if kind == "call" and name != "train"] == ["set_label"]
        assert sum(len(rest[0][0]) for kind, _, *rest in logged if rest and rest[0] and rest[0][0] != "b") == 101
        kinds = [kind for kind, *_ in logged]
        assert kinds.index("mix") == len(kinds) - 2

        replica, again = counting_service(journal=journal)
        from hogwild.online.service.learner import _replay

        replayed = []
        replica.replays["mix"] = lambda driver, rest: replayed.append((driver, rest))
        assert _replay(replica, again)
        assert replayed == [(again, [1])]
        assert again.labels == learner.labels

    asyncio.run(main())


def test_a_log_that_fails_refuses_updates():
    async def main():
        journal = Noting()
        service, learner = counting_service(journal=journal)
        journal.failure = OSError(28, "No space left on device")
        for call in (service.call("train", (A,)), service.exclusive(lambda: 1)):
            with pytest.raises(OSError, match="No space"):
                await call
        assert learner.labels == {}
        assert await service.call("get_labels", ()) == {}

    asyncio.run(main())


def test_a_change_has_its_place_among_the_updates():
    async def main():
        service, learner = counting_service()
        told = []
        service.on_updates.append(told.append)
        first = asyncio.create_task(service.call("train", (A * 2,)))
        await asyncio.sleep(0)
        change = asyncio.create_task(service.exclusive(lambda: dict(learner.labels)))
        await asyncio.sleep(0)
        last = asyncio.create_task(service.call("train", (A,)))
        assert await change == {"a": 2}
        assert (await first, await last) == (2, 1)
        assert sum(told) == 3
        with pytest.raises(ZeroDivisionError):
            await service.exclusive(lambda: 1 / 0)

    asyncio.run(main())


def test_clear_is_in_order_and_can_be_the_groups():
    async def main():
        journal = Noting()
        service, learner = counting_service(journal=journal)
        cleared = []
        learner.parts.clear = lambda: cleared.append(True)
        assert await service.call("clear", ()) is True
        assert cleared == [True] and len(journal.records) == 1

        async def replace(change):
            cleared.append("group")
            change()

        service.replace = replace
        assert await service.call("clear", ()) is True
        assert cleared == [True, "group", True] and len(journal.records) == 1

    asyncio.run(main())


def test_extra_calls_and_status():
    async def main():
        service, _ = counting_service()

        async def mix(arguments):
            if arguments:
                raise ValueError("no arguments")
            return True

        service.extra["do_mix"] = mix
        service.status_sources.append(lambda: {"mix_count": "3"})
        assert await service.call("do_mix", ()) is True
        with pytest.raises(ValueError, match="no arguments"):
            await service.call("do_mix", (1,))
        assert (await service.call("get_status", ()))[service.node]["mix_count"] == "3"

    asyncio.run(main())


def test_draining_finishes_what_was_taken():
    async def main():
        journal = Noting()
        service, learner = counting_service(journal=journal, settings=ServiceSettings(slice=0.0))
        calls = [asyncio.create_task(service.call("train", (A * 50,))) for _ in range(20)]
        await asyncio.sleep(0)
        draining = asyncio.create_task(service.drain())
        await until(lambda: service.draining)
        with pytest.raises(StoppingError):
            await service.call("train", (A,))
        with pytest.raises(StoppingError):
            await service.exclusive(lambda: 1)
        assert await asyncio.gather(*calls) == [50] * 20
        await draining
        assert learner.labels == {"a": 1000}
        assert journal.closed and journal.committed == len(journal.records)

    # the state of what drains is kept by the storage's own tests
    from hogwild.online.service import service as module

    real, module.Service._snapshot = module.Service._snapshot, lambda self: asyncio.sleep(0)
    try:
        asyncio.run(main())
    finally:
        module.Service._snapshot = real


def test_a_server_that_is_about_to_stop_answers_and_learns_no_more():
    async def main():
        service, learner = counting_service()
        service.draining = True
        with pytest.raises(StoppingError):
            await service.call("train", (A,))
        assert await service.call("get_labels", ()) == {}
        await service.exclusive(lambda: learner.labels.update(a=1))
        assert learner.labels == {"a": 1}

    asyncio.run(main())


def test_progressive_accuracy_is_that_of_examples_not_learnt_yet():
    async def main():
        service, learner = counting_service(settings=ServiceSettings(try_every=4))
        for _ in range(16):
            await service.call("train", (A,))
        trials = service.figures.trials
        assert (trials.count, trials.total) == (4, 4.0)
        assert trials.mean == trials.recent_mean == 1.0
        learner.labels = {"b": 100}
        await service.call("train", (A * 4,))
        assert (trials.count, trials.total) == (5, 4.0)

    asyncio.run(main())


@pytest.mark.parametrize("name", ["", "a/b", "ä", "a\n", "x" * 300])
def test_names_of_models_lead_nowhere_else(name):
    async def main():
        service, _ = counting_service()
        for method in ("save", "load"):
            with pytest.raises(ValueError, match="model's id"):
                await service.call(method, (name,))

    asyncio.run(main())


def test_a_missing_model_is_named(tmp_path):
    async def main():
        service, _ = counting_service(datadir=tmp_path)
        with pytest.raises(FileNotFoundError, match=r"127.0.0.1_9199_classifier_x.hogwild"):
            await service.call("load", ("x",))

    asyncio.run(main())


def test_warming_calls_everything_and_hides_what_fails():
    from hogwild.online.service.warming import warm

    learner = Counting()
    warm("classifier", learner)
    assert {name for name, _ in learner.runs} == {"train", "classify", "get_labels", "set_label", "delete_label"}
    assert learner.labels["a"] > 0
