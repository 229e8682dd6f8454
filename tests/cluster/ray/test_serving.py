"""The public parameter server on Ray: several processes, a lost shard, and a table that no process can hold."""

from __future__ import annotations

import os
import resource
import signal
import sys

import numpy as np
import pytest

ray = pytest.importorskip("ray")

from hogwild.cluster.server import ParameterServer, ShardLostError  # noqa: E402

pytestmark = pytest.mark.slow
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
MIB = 1 << 20


def test_pushes_of_several_processes_add_up(cluster, tmp_path):
    @ray.remote(num_cpus=1)
    def work(server, seed):
        rng = np.random.default_rng(seed)
        for k in range(40):
            keys = rng.integers(0, 1_000, 50)
            server.push("w", np.ones((50, 2)), keys, wait=k % 3 == 0)
            server.push({"b": 1.0})
        server.flush()
        return float(server.pull("b"))

    with ParameterServer.start({"w": np.zeros((1_000, 2), np.float32), "b": np.zeros(())}, shards=3) as server:
        seen = ray.get([work.remote(server, seed) for seed in range(3)])
        assert max(seen) <= 120 and min(seen) >= 40
        assert server.pull("b") == 120 and server.pull("w").sum() == 3 * 40 * 50 * 2
        big = np.random.default_rng(0).normal(size=(1_000, 2)).astype(np.float32)
        before = server.pull("w")
        server.push("w", big)  # rides in shared memory
        np.testing.assert_allclose(server.pull("w"), before + big, rtol=1e-6)
        with pytest.raises(IndexError, match="found key 1000 of w, expected 0 to 999"):
            server.pull("w", [1_000])
        server.save(str(tmp_path))
        kept = server.pull()
    with ParameterServer.restore(str(tmp_path)) as again:
        for name, values in again.pull().items():
            np.testing.assert_array_equal(values, kept[name])


def test_a_lost_shard_is_named_and_a_checkpoint_brings_it_back(cluster, tmp_path):
    with ParameterServer.start(keys=100, shards=2) as server:
        server.push(np.arange(100), 1.0)
        server.save(str(tmp_path))
        pid = ray.get(server._transport._actors[1].call.remote("process"))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ShardLostError, match=r"shard 1 of the parameter server is lost: .+restore"):
            server.pull()
        np.testing.assert_array_equal(server.pull([0, 98]), 1.0)  # the other one stands
    with ParameterServer.restore(str(tmp_path)) as again:
        np.testing.assert_array_equal(again.pull(), 1.0)


KEYS = 1 << 27  # 1 GiB of float64
ROOM = 384 * MIB  # that a process may allocate beyond what it has when it begins


def allocated(pid="self"):
    """Bytes of private memory that a process may write to."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData"))


def hashed_rows(n, seed):
    """A sparse linear problem: 8 of 4,000 features a row, their numbers spread over the whole range."""
    rng = np.random.default_rng(0)
    numbers = np.sort(rng.choice(KEYS, 4_000, replace=False))
    truth = rng.normal(size=4_000)
    rng = np.random.default_rng([1, seed])
    chosen = rng.integers(0, 4_000, (n, 8))
    return numbers[chosen], np.where(truth[chosen].sum(axis=1) > 0, 1.0, -1.0)


def train(server, seed, n=20_000):
    """Log loss by minibatches that pull the features of their rows and nothing else."""
    features, labels = hashed_rows(n, seed)
    for low in range(0, n, 250):
        rows = features[low : low + 250]
        keys, where = np.unique(rows, return_inverse=True)
        weights = server.pull(keys)
        scores = weights[where.reshape(rows.shape)].sum(axis=1)
        slope = -labels[low : low + 250] / (1 + np.exp(labels[low : low + 250] * scores))
        gradient = np.bincount(where.reshape(-1), np.repeat(slope, 8), len(keys))
        server.push(keys, -0.5 * gradient)


class Plain:
    """The features that there are, in one process."""

    def __init__(self):
        self.numbers = np.unique(hashed_rows(20_000, 0)[0])
        self.values = np.zeros(len(self.numbers))

    def pull(self, keys):
        return self.values[np.searchsorted(self.numbers, keys)]

    def push(self, keys, delta):
        self.values[np.searchsorted(self.numbers, keys)] += delta


def accuracy(server):
    features, labels = hashed_rows(4_000, 99)
    scores = server.pull(features.reshape(-1)).reshape(features.shape).sum(axis=1)
    return float((np.sign(scores) == labels).mean())


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="limits of allocated memory need Linux")
def test_a_model_larger_than_the_memory_of_any_process_trains(cluster):
    @ray.remote(num_cpus=1)
    def work(server, seed):
        limit = allocated() + ROOM
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        train(server, seed)
        try:
            np.ones(KEYS)  # the whole table
        except MemoryError:
            return limit
        return None

    with ParameterServer.start(keys=KEYS, dtype=np.float64, shards=4) as server:
        for actor in server._transport._actors:  # what a shard has now has to do
            pid = ray.get(actor.call.remote("process"))
            limit = allocated(pid) + 160 * MIB  # 64 were too few now and then: messages, and heaps of threads
            assert limit < server.nbytes == 1024 * MIB
            resource.prlimit(pid, resource.RLIMIT_DATA, (limit, limit))
        assert max(ray.get([work.remote(server, seed) for seed in range(2)])) < server.nbytes
        alone = Plain()
        train(alone, 0), train(alone, 1)
        assert accuracy(server) > accuracy(alone) - 0.02 > 0.85
