"""The runtime with machines that need no data: messages, jobs, timers, snapshots; nodes that die."""

import os
import signal

import numpy as np
import pytest

pytest.importorskip("ray")

from cluster.ray.toys import SHARD, Counting, Make

from hogwild.cluster.ray.crew import Nursery
from hogwild.cluster.ray.host import JobError
from hogwild.cluster.ray.job import Job
from hogwild.cluster.ray.places import Places

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


def job_of(make, workers=2, rounds=None, nursery=None, **extra):
    nursery = nursery or {}
    return Job(
        Counting(workers, rounds or make.rounds),
        Nursery({"worker": make, "shard": make}, **nursery),
        [SHARD],
        Places(workers),
        **extra,
    )


def nothing(what):
    return None


@pytest.mark.parametrize("size", [3, 200_000])  # the larger ones travel through Ray's shared memory
def test_runs_to_its_end(cluster, size):
    job = job_of(Make(rounds=20, size=size))
    seen = []
    (values,), interrupted = job.run(seen.append)
    assert not interrupted and values["total"].tolist() == [40.0] * 3
    assert values["total"].flags.owndata
    assert {node: figures.sent > 0 for node, figures in job.figures.items()} == {
        SHARD: True,
        "worker/0": True,
        "worker/1": True,
    }
    assert job.figures["worker/0"].sent_bytes >= 20 * size * 8
    assert ("worker/1", 20) in seen


def test_a_worker_that_is_killed_starts_again(cluster):
    job = job_of(Make(rounds=30, seconds=0.01))
    killed = []

    def told(what):
        if what == ("worker/1", 3) and not killed:
            killed.append(job.pids["worker/1"])
            os.kill(killed[0], signal.SIGKILL)

    (values,), _ = job.run(told)
    # its successor begins with clock 1 again, which the shard has had: each is added once
    assert job.coordinator.lost == ["worker/1"] and values["total"].tolist() == [60.0] * 3
    assert job.pids["worker/1"] != killed[0]


class InMemoryFolder:
    """Snapshots as files of NumPy, for machines that need no more."""

    def __init__(self, folder) -> None:
        self.folder = str(folder)

    def write(self, node, number, about, arrays):
        path = os.path.join(self.folder, node.replace("/", "-") + ".npz")
        with open(path + ".new", "wb") as file:
            np.savez(file, about=np.array([about], object), **arrays)
        os.replace(path + ".new", path)

    def restore(self, node):
        path = os.path.join(self.folder, node.replace("/", "-") + ".npz")
        if not os.path.exists(path):
            return None
        found = dict(np.load(path, allow_pickle=True))
        return found.pop("about")[0], found


def test_a_shard_that_is_killed_comes_back_from_its_snapshot(cluster, tmp_path):
    folder = InMemoryFolder(tmp_path)
    job = job_of(
        Make(rounds=30, seconds=0.01, persists=True), nursery={"checkpoints": folder, "restore": folder.restore}
    )
    killed = []

    def told(what):
        if what == ("worker/0", 10) and not killed:
            killed.append(job.pids[SHARD])
            os.kill(killed[0], signal.SIGKILL)

    (values,), _ = job.run(told)
    assert job.coordinator.lost == [SHARD] and values["total"].tolist() == [60.0] * 3


def test_a_callback_ends_the_job(cluster):
    job = job_of(Make(rounds=10_000, seconds=0.001))
    _, interrupted = job.run(lambda what: what == ("worker/0", 5))
    assert job.coordinator.stopped and not interrupted


def test_ctrl_c_ends_the_job_in_order(cluster):
    job = job_of(Make(rounds=10_000, seconds=0.001))

    def told(what):
        if what == ("worker/0", 5):
            os.kill(os.getpid(), signal.SIGINT)

    values, interrupted = job.run(told)
    assert job.coordinator.stopped and interrupted and values[0]["total"][0] >= 5


def test_an_exception_of_a_job_is_the_drivers(cluster):
    with pytest.raises(ArithmeticError, match="found nonsense"):
        job_of(Make(rounds=3, trouble="raises")).run(nothing)


def test_a_node_that_always_dies_is_given_up(cluster):
    with pytest.raises(JobError, match=r"worker/\d died 5 times within"):
        job_of(Make(rounds=3, trouble="dies")).run(nothing)


def test_an_exception_of_a_callback_ends_everything(cluster):
    job = job_of(Make(rounds=10_000, seconds=0.001))

    def told(what):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        job.run(told)


def test_a_worker_may_come_later(cluster):
    job = job_of(Make(rounds=200, seconds=0.002), workers=1, rounds=200)
    later = []

    def told(what):
        if what == ("worker/0", 10) and not later:
            later.append(True)
            job.coordinator._workers = 2
            job.add_worker()

    (values,), _ = job.run(told)
    assert values["total"].tolist() == [400.0] * 3
