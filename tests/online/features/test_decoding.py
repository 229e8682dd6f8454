from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hogwild.online.datum import Column, Datum
from hogwild.online.features.converter import Converter
from hogwild.online.features.decoding import decoded
from hogwild.online.features.vocabulary import Vocabulary

KEYS = st.text(st.characters(exclude_characters="$", codec="utf-8"), max_size=5)
SETTINGS = {
    "string_rules": [
        {"key": "*", "type": "str", "sample_weight": "bin"},
        {"key": "*", "type": "str", "sample_weight": "tf", "global_weight": "idf1"},
        {"key": "*", "type": "space"},
    ],
    "num_rules": [{"key": "*", "type": kind} for kind in ("num", "log", "str")],
    "combination_rules": [{"key_left": "*", "key_right": "*", "type": "add"}],
}


@given(
    st.dictionaries(KEYS, st.text(max_size=5), max_size=3),
    st.dictionaries(KEYS, st.floats(-9, 9).filter(lambda value: value != 0), max_size=3),
)
def test_texts_and_numbers_come_back(texts, numbers):
    columns = [Column(tuple(kind), tuple(kind.values())) for kind in (texts, numbers)]
    back = decoded(Converter(SETTINGS, Vocabulary()).named(Datum(*columns)))
    assert dict(back.strings.pairs()) == texts and dict(back.numbers.pairs()) == numbers
    assert len(back.strings.keys) == len(texts)
    assert back.binaries == Column()


def test_what_cannot_be_read_back_is_left_out():
    names = ["t$a@space#bin/bin", "n@log", "n@str$2.5", "a@num&b@num/mul", "123", "t$x@str#bin/bin&n@num/add"]
    assert decoded([(name, 1.0) for name in names]) == Datum()


def test_signs_within_texts_are_theirs():
    assert decoded([("k@#$a$b@str#c@str#tf/idf", 1.0)]).strings.pairs() == [("k@#", "a$b@str#c")]
