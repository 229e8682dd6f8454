"""The public parameter server: beside plain NumPy, sent twice, cut off, saved; and on Ray under a limit of memory."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.cluster.rules import Adagrad, Sgd
from hogwild.cluster.served import ServedShard, Table, Update
from hogwild.cluster.served_tables import ONLY, parts_of, tables_of
from hogwild.cluster.server import ParameterServer


class Here:
    """Shards in this process; every call arrives `copies` times."""

    def __init__(self, arguments, copies=1):
        self.shards, self.copies = [ServedShard(*one) for one in arguments], copies

    def submit(self, shard, method, *arguments):
        answers = [getattr(self.shards[shard], method)(*arguments) for _ in range(self.copies)]
        return answers[0]

    def results(self, calls):
        return calls

    def close(self):
        self.shards = []


def served(tables=None, shards=2, copies=1, keys=None, width=None, init=None, rule="add"):
    made, initial = tables_of(tables, keys, width, np.float64, init, rule)
    return ParameterServer(
        Here([(k, shards, made, parts_of(initial, k, shards)) for k in range(shards)], copies), made, shards
    )


@settings(max_examples=60, deadline=None)
@given(data=st.data(), shards=st.integers(1, 5), copies=st.integers(1, 3))
def test_pushes_add_up_as_in_numpy(data, shards, copies):
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    shapes = {
        "w": data.draw(st.sampled_from([(1,), (7,), (11, 3), (4, 2, 2)])),
        "b": data.draw(st.sampled_from([(), (2,)])),
    }
    expected = {name: rng.normal(size=shape).reshape(shape) for name, shape in shapes.items()}
    server = served(expected, shards, copies)
    expected = {name: array.copy() for name, array in expected.items()}
    for _ in range(data.draw(st.integers(0, 6))):
        if data.draw(st.booleans()):
            delta = {name: rng.normal(size=array.shape).reshape(array.shape) for name, array in expected.items()}
            server.push(delta, wait=data.draw(st.booleans()))
            expected = {name: array + delta[name] for name, array in expected.items()}
        else:
            keys = rng.integers(0, len(expected["w"]), data.draw(st.integers(0, 9)))
            delta = rng.normal(size=(len(keys), *expected["w"].shape[1:]))
            server.push("w", delta, keys)
            np.add.at(expected["w"], keys, delta)
    found = server.pull()
    for name, array in expected.items():
        assert found[name].shape == array.shape
        np.testing.assert_allclose(found[name], array, rtol=1e-12)
    keys = rng.integers(0, len(expected["w"]), 5)
    np.testing.assert_allclose(server.pull("w", keys), expected["w"][keys], rtol=1e-12)


def test_one_table_is_addressed_by_its_keys():
    server = served(keys=10, init=lambda keys: keys / 2, shards=3)
    np.testing.assert_array_equal(server.pull([9, 0, 9]), [4.5, 0.0, 4.5])
    server.push([1, 1, 2], np.ones(3))
    server.push([0], 1.0)
    np.testing.assert_array_equal(server.pull([0, 1, 2, 3]), [1.0, 2.5, 2.0, 1.5])
    assert server.pull().shape == (10,) and server.nbytes == 80
    wide = served(keys=4, width=2)
    wide.push([3], [[1.0, 2.0]])
    np.testing.assert_array_equal(wide.pull([3, 0]), [[1.0, 2.0], [0.0, 0.0]])
    assert repr(wide) == "ParameterServer(values float64[4, 2]; 2 shards)"


def test_a_push_that_is_repeated_later_is_not_applied_again():
    shard = ServedShard(0, 1, (Table(ONLY, (2,), "float64"),))
    updates = [Update("values", None, np.ones((2, 1)), 1.0)]
    assert shard.push("a", 2, updates) and shard.push("a", 1, updates) and shard.push("b", 1, updates)
    assert not shard.push("a", 2, updates) and not shard.push("a", 1, updates)
    np.testing.assert_array_equal(shard.pull([("values", None)])[0], np.full((2, 1), 3.0))


def test_a_copy_of_the_handle_is_a_client_of_its_own():
    server = served({"w": np.zeros(3)})
    transport = server._transport
    server._transport = None
    copy = pickle.loads(pickle.dumps(server))
    server._transport = copy._transport = transport
    server.push("w", np.ones(3))
    copy.push("w", np.ones(3))
    copy.close()
    np.testing.assert_array_equal(server.pull("w"), 2.0)


def test_pushes_of_several_threads_add_up():
    server = served({"w": np.zeros(5)}, shards=3)

    def work():
        for k in range(50):
            server.push("w", [1.0], [k % 5], wait=k % 2 == 0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(server.pull("w"), 40.0)


def test_a_checkpoint_keeps_values_and_which_pushes_were_applied(tmp_path):
    server = served({"w": np.arange(7.0), "b": np.zeros(())}, shards=3)
    server.push({"w": np.ones(7), "b": 2.0})
    assert server.save(str(tmp_path)) == 1
    server.push({"w": np.ones(7), "b": 2.0})
    assert server.save(str(tmp_path)) == 2
    tables = tuple(server.tables.values())
    back = ParameterServer(Here([(k, 3, tables, None, str(tmp_path), 1) for k in range(3)]), tables, 3)
    np.testing.assert_array_equal(back.pull("w"), np.arange(7.0) + 1)
    assert back.pull("b") == 2.0
    back._client, back._sequences = server._client, [0, 0, 0]
    back.push("w", np.ones(7))  # the first of that client, once more
    np.testing.assert_array_equal(back.pull("w"), np.arange(7.0) + 1)
    with pytest.raises(FileNotFoundError, match="no checkpoint of a parameter server in"):
        ParameterServer.restore(str(tmp_path / "nowhere"))


def test_shards_step_along_gradients():
    start = {"w": np.ones(5), "v": np.zeros((3, 2)), "u": np.zeros(4)}
    server = served(start, shards=2, rule={"w": Sgd(0.5), "v": Adagrad(0.1), "u": "ftrl"})
    server.push("w", [2.0], [3])
    server.push("w", [2.0], [3], eta=0.25)
    np.testing.assert_allclose(server.pull("w"), [1, 1, 1, -0.5, 1])
    for _ in range(2):
        server.push("v", np.full((3, 2), 4.0))
    np.testing.assert_allclose(server.pull("v"), -0.1 * (1 + 4 / np.sqrt(32)), rtol=1e-9)
    server.push("u", [1.0, -1.0], [0, 2])
    assert np.sign(server.pull("u")).tolist() == [-1, 0, 1, 0]
    with pytest.raises(ValueError, match="the rule of u is ftrl, which has no step size"):
        server.push("u", [1.0], [0], eta=0.1)


def test_errors_name_what_was_found():
    server = served({"w": np.zeros((4, 2)), "b": np.zeros(3)})
    with pytest.raises(ValueError, match="found no table 'v', expected one of w, b"):
        server.pull("v")
    with pytest.raises(ValueError, match="no table was named, expected one of w, b"):
        server.push([0], [1.0])
    with pytest.raises(IndexError, match="found key 4 of w, expected 0 to 3"):
        server.pull("w", [0, 4])
    with pytest.raises(IndexError, match="found key -1 of b, expected 0 to 2"):
        server.push("b", [1.0], [-1])
    with pytest.raises(ValueError, match=r"keys must be a vector of integers, found float64 of shape \(1,\)"):
        server.pull("w", [0.5])
    with pytest.raises(ValueError, match=r"found a delta of shape \(2,\) for w, expected \(4, 2\)"):
        server.push("w", np.zeros(2))
    with pytest.raises(ValueError, match=r"found a delta of shape \(1, 2\) for w, expected \(2, 2\)"):
        server.push("w", np.zeros((1, 2)), [0, 1])
    with pytest.raises(ValueError, match="numbers that are not finite"):
        server.push({"w": np.zeros((4, 2)), "b": [0.0, np.nan, 0.0]})
    np.testing.assert_array_equal(server.pull("w"), 0.0)
    for wrong, match in [
        ({}, "tables must be a dict"),
        ({"w": np.zeros(0)}, "at least one number"),
        ({"w": np.zeros(3, np.float16)}, "has dtype float16, expected float32 or float64"),
    ]:
        with pytest.raises(ValueError, match=match):
            served(wrong)
    with pytest.raises(ValueError, match="either tables, a dict of arrays, or keys="):
        served()
    with pytest.raises(ValueError, match="rule must be one of add, sgd, adagrad, ftrl, found 'max'"):
        served({"w": np.zeros(3)}, rule="max")
    with pytest.raises(ValueError, match=r"init made values of shape \(2,\) for 5 keys"):
        served(keys=10, init=lambda keys: np.zeros(2))
