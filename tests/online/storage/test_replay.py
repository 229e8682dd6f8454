"""What a log relies on: a model that was saved and goes on is the model that was never saved, for every learner."""

from __future__ import annotations

import json
import random

import golden_calls
import numpy as np
import pytest

from hogwild.online.driver import make_driver
from hogwild.online.methods import TYPES
from hogwild.online.storage.files import About, load_model, save_model
from hogwild.online.wire import read_all

CONVERTER = {
    "string_rules": [{"key": "*", "type": "space", "sample_weight": "tf", "global_weight": "bm25"}],
    "num_rules": [{"key": "*", "type": "num"}],
}
NEAR = {"nearest_neighbor_num": 3}
HASHED = {"method": "euclid_lsh", "parameter": {"hash_num": 64}}
LRU = {"unlearner": "lru", "unlearner_parameter": {"max_size": 4}}
RANDOM = {"unlearner": "random", "unlearner_parameter": {"max_size": 4}}
C = {"regularization_weight": 1.0}
LEARNERS = [
    ("stat", "", {}),
    ("weight", "", {}),
    *(("classifier", method, C) for method in ("perceptron", "PA", "PA1", "PA2", "CW", "AROW", "NHERD")),
    *(("classifier", "AROW", C | unlearner) for unlearner in (LRU, RANDOM, {"max_features": 8})),
    *(("classifier", method, NEAR) for method in ("cosine", "euclidean")),
    ("classifier", "NN", NEAR | HASHED),
    *(("regression", method, C) for method in ("perceptron", "PA", "PA1", "PA2", "CW", "AROW", "NHERD")),
    ("regression", "AROW", C | {"max_features": 8}),
    *(("regression", method, NEAR) for method in ("cosine", "euclidean")),
    *(("recommender", method, {}) for method in ("inverted_index", "inverted_index_euclid")),
    *(("recommender", "inverted_index", unlearner) for unlearner in (LRU, RANDOM)),
    *(("recommender", method, {"hash_num": 64}) for method in ("lsh", "minhash", "euclid_lsh")),
    ("nearest_neighbor", "euclid_lsh", {"hash_num": 64}),
    ("nearest_neighbor", "lsh", {"hash_num": 64} | LRU),
    *(("anomaly", method, NEAR | HASHED | {"reverse_nearest_neighbor_num": 5}) for method in ("lof", "light_lof")),
    ("anomaly", "lof", NEAR | HASHED | {"reverse_nearest_neighbor_num": 5} | RANDOM),
]


def datum(chance):
    words = " ".join(f"w{chance.randrange(12)}" for _ in range(chance.randrange(5)))
    return [[["t", words]], [[f"n{chance.randrange(4)}", chance.gauss(0, 1)]], []]


def calls(kind, seed, count=60):
    """Random updates of a type of server."""
    chance = random.Random(seed)
    row = lambda: f"r{chance.randrange(8)}"  # noqa: E731
    many = {
        "stat": [lambda: ("push", [row(), chance.gauss(0, 1)])],
        "weight": [lambda: ("update", [datum(chance)])],
        "classifier": [
            lambda: ("train", [[[f"c{chance.randrange(7)}", datum(chance)] for _ in range(chance.randrange(1, 4))]]),
            lambda: ("train", [[["c1", datum(chance)]]]),
            lambda: ("set_label", [f"c{chance.randrange(9)}"]),
            lambda: ("delete_label", [f"c{chance.randrange(20)}"]),
        ],
        "regression": [
            lambda: ("train", [[[chance.gauss(0, 1), datum(chance)] for _ in range(chance.randrange(1, 4))]])
        ],
        "recommender": [lambda: ("update_row", [row(), datum(chance)])] * 5 + [lambda: ("clear_row", [row()])],
        "nearest_neighbor": [lambda: ("set_row", [row(), datum(chance)])],
        "anomaly": [
            lambda: ("add", [datum(chance)]),
            lambda: ("add_bulk", [[datum(chance) for _ in range(3)]]),
            lambda: ("update", [row(), datum(chance)]),
            lambda: ("overwrite", [row(), datum(chance)]),
            lambda: ("clear_row", [row()]),
        ],
    }[kind]
    return [chance.choice(many)() for _ in range(count)]


def run(driver, kind, updates):
    results = []
    for method, arguments in updates:
        try:
            results.append(driver.run(method, read_all(TYPES[kind][method].takes, arguments)))
        except (ValueError, KeyError) as error:  # a call that fails changes nothing, and is not logged
            results.append(repr(error))
    return results


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("kind", "method", "parameter"), LEARNERS)
def test_a_model_goes_on_as_if_it_had_not_been_saved(kind, method, parameter, seed, tmp_path):
    configuration = {"window_size": 10} if kind == "stat" else {"converter": CONVERTER}
    if method:
        configuration |= {"method": method, "parameter": parameter}
    about = About(kind, json.dumps(configuration))
    updates = calls(kind, seed)
    through = make_driver(kind, configuration)
    before = run(through, kind, updates[:30])
    first = make_driver(kind, configuration)
    assert run(first, kind, updates[:30]) == before
    save_model(tmp_path / "model", first, about)
    later = make_driver(kind, configuration)
    load_model(tmp_path / "model", later, about)
    expected = json.loads(json.dumps(run(through, kind, updates[30:])))
    golden_calls.check(
        "", expected, run(later, kind, updates[30:])
    )  # sums over neighbours may differ in the last digit
    one, other = through.parts.state(), later.parts.state()
    for name, state in one.items():
        assert state.about == other[name].about
        assert state.arrays.keys() == other[name].arrays.keys()
        for key, array in state.arrays.items():
            assert np.array_equal(array, other[name].arrays[key]), (name, key)
