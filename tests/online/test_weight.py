from __future__ import annotations

from hogwild.online.datum import Datum
from hogwild.online.driver import make_driver

CONFIGURATION = {
    "converter": {"string_rules": [{"key": "*", "type": "space", "sample_weight": "tf", "global_weight": "idf"}]}
}


def test_updates_count_and_questions_do_not():
    weight = make_driver("weight", CONFIGURATION)
    first, second = Datum.of({"t": "a b"}), Datum.of({"t": "b c"})
    assert weight.run("calc_weight", [first]) == []
    weight.run("update", [first])
    asked = weight.run("calc_weight", [second])
    assert asked == weight.run("calc_weight", [second])
    assert weight.run("update", [second]) != asked
    assert weight.status() == {"weight.features": "3"}


def test_a_model_can_be_saved_and_forgotten():
    weight, other = make_driver("weight", CONFIGURATION), make_driver("weight", CONFIGURATION)
    for text in ("a b", "b c", "c"):
        weight.run("update", [Datum.of({"t": text})])
    other.parts.restore(weight.parts.state())
    question = [Datum.of({"t": "a a b c d"})]
    assert other.run("calc_weight", question) == weight.run("calc_weight", question)
    weight.parts.clear()
    assert weight.run("calc_weight", question) == []
