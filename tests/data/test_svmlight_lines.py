"""Svmlight text as a stream: what the first lines decide, labels, names; the rest is tested with `load_svmlight`."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hogwild
from hogwild.data.numerals import PADDING
from hogwild.data.parts import Part
from hogwild.data.registry import from_json, to_json
from hogwild.data.svmlight import load_svmlight
from hogwild.data.svmlight_lines import Svmlight


def part_of(content):
    return Part(np.frombuffer(content + b"\n" * PADDING, np.uint8), 0, len(content), 0)


def parse(content, **options):
    return Svmlight(**options).parse(part_of(content))


lines = st.lists(
    st.tuples(
        st.sampled_from(["1", "-1", "0.5", "1e3", "9007199254740993", "16777217.0000000000000000000000001"]),
        st.lists(st.tuples(st.integers(1, 99), st.sampled_from(["1", ".5", "1e-46", "16777217", "0.1"])), max_size=5),
    ),
    min_size=1,
    max_size=10,
)


@settings(deadline=None)
@given(lines, st.integers(1, 200))
def test_a_stream_is_what_load_svmlight_reads(tmp_path_factory, lines, size):
    path = tmp_path_factory.mktemp("svmlight") / "rows.svm"
    path.write_text("".join(f"{label} {' '.join(f'{i}:{x}' for i, x in pairs)}\n" for label, pairs in lines))
    rows = hogwild.data.open(path)
    rows.block_bytes = size
    X, y = load_svmlight(path, zero_based=False, n_features=99)
    batches = list(rows)
    starts = np.cumsum([0, *(batch.n_rows for batch in batches)])
    for batch, start in zip(batches, starts, strict=False):
        found = batch.matrix(99)
        found.sort_indices()
        assert (found != X[start : start + batch.n_rows]).nnz == 0
        np.testing.assert_array_equal(batch.labels, y[start : start + batch.n_rows])
    assert starts[-1] == len(y)


@pytest.mark.parametrize(
    ("content", "zero_based", "labels"),
    [
        (b"1 1:1\n2 3:1\n", False, "number"),
        (b"1 1:1\n2 0:1\n", True, "number"),
        (b"1\n", False, "number"),
        (b"", False, "number"),
        (b"spam 1:1\n", False, "text"),
        (b"1 1:1\nspam 2:1\n", False, "text"),
        (b"1 x\nspam 0:1\n", True, "text"),  # the first line is bad: the others decide
        (b"1 1:1\nheader x\n-1 0:1\n", True, "number"),  # a bad line's label does not
        (b"nan 1:1\n1 1:1\n", False, "number"),
        (b"1 x\n" * 50 + b"1 0:1\n", False, "number"),
    ],
)
def test_the_first_lines_decide(content, zero_based, labels):
    decided = Svmlight().decided(part_of(content))
    assert decided == Svmlight(zero_based, labels)
    assert decided.decided(part_of(b"word 0:1\n")) == decided


def test_given_options_are_kept():
    part = part_of(b"spam 0:1\n")
    assert Svmlight(False, "number", 7).decided(part) == Svmlight(False, "number", 7)
    assert Svmlight("auto", "auto", 7).decided(part) == Svmlight(True, "text", 7)


@pytest.mark.parametrize(
    ("content", "labels", "expected"),
    [
        (b"1\n-1\n", "number", np.array([1, -1])),
        (b"1\n.5\n", "number", np.array([1, 0.5])),
        (b"9007199254740993\n1\n", "number", np.array([9007199254740993, 1])),
        (b"99999999999999999999\n", "number", np.array([1e20])),
        (b"1\na\xc3\xa9\n", "text", np.array(["1", "aé"])),
        (b"1.50\n", "text", np.array(["1.50"])),
        (b"1\na\n", "auto", np.array(["1", "a"])),
        (b"1\na x\n", "auto", np.array([1])),  # a bad line's label says nothing of the others'
        (b"1\n0.5 x\n", "number", np.array([1])),
        (b"1\na\xff\n1\n", "text", np.array(["1"])),
        (b"1\n1e999\n", "number", np.array([1])),
        (b"1\nnan\n", "auto", np.array([1])),
    ],
)
def test_labels(content, labels, expected):
    found = parse(content, labels=labels)
    assert found.batch.labels.dtype.kind == expected.dtype.kind
    np.testing.assert_array_equal(found.batch.labels, expected)
    assert (found.error >= 0) == (found.batch.n_rows < content.count(b"\n"))


@pytest.mark.parametrize(
    ("content", "options", "place", "expected"),
    [
        (b"1 1:1\n2 2:1e39\n3 x\n", {}, 10, "a number within the range of float32"),
        (b"1 5:1\n1 6:1\n", {"zero_based": False, "columns": 5}, 8, "an index that n_features = 5 has room for"),
        (b"1 0:1\n", {"zero_based": False}, 2, "an index from 1 on (zero_based=False)"),
        (b"1 5:1\n", {"zero_based": True, "columns": 5}, 2, "an index that n_features = 5 has room for"),
        (b"1 1:1\nred\xff 1:1\n", {"labels": "text"}, 6, "text in UTF-8"),
        (b"1e999 1:1\n", {"labels": "number"}, 0, "a number within the range of float64"),
    ],
)
def test_errors_have_a_place_and_leave_the_rows_before_them(content, options, place, expected):
    found = parse(content, **options)
    assert (found.error, found.expected) == (place, expected)
    assert found.batch.n_rows == content[:place].count(b"\n")
    assert found.batch.indptr[-1] == len(found.batch.indices)


def test_more_doubtful_numerals_than_foreseen():
    content = b"1 " + b" ".join(b"%d:16777217.0000000000000000000000001" % i for i in range(1000)) + b"\n"
    assert (parse(content).batch.values == 16777218).all()


def test_rows_whose_indices_ascend_are_known_to_be_unique():
    assert parse(b"1 1:1 2:1\n1 1:1\n").unique
    assert not parse(b"1 2:1 1:1\n").unique
    assert not parse(b"1 1:1 1:1\n").unique


def test_names_are_the_indices_as_written():
    content = b"1 qid:3 1:0.5 \t7:2 # 9:1"
    assert Svmlight(zero_based=False).names(content) == ["1", "7"]
    assert len(parse(content + b"\n", zero_based=False).batch.indices) == 2


@pytest.mark.parametrize(("option", "value"), [("zero_based", "no"), ("labels", "any")])
def test_bad_options(option, value):
    with pytest.raises(ValueError, match=option):
        Svmlight(**{option: value})


def test_options_as_json():
    for text_format in (Svmlight(), Svmlight(False, "text", 9)):
        assert from_json("svmlight", json.loads(json.dumps(to_json(text_format)))) == text_format
    assert Svmlight(columns=9).n_features == 9
    assert Svmlight().with_header([]) == Svmlight()
