"""MIX without and with versions: the two protocols side by side, and what the experiment says of them."""

from __future__ import annotations

import numpy as np
import pytest

from hogwild.experiments import find
from hogwild.experiments.findings import Measured, Picture, Setting
from hogwild.experiments.jubatus_mix.groups import SESSION, WithoutVersions, WithVersions
from hogwild.experiments.jubatus_mix.running import RESTARTED_AT, ROUNDS, accuracy, look
from hogwild.experiments.jubatus_mix.stream import Stream, load_stream, make_documents
from hogwild.experiments.writing import write_findings

NODES = ("a", "b", "c")


@pytest.fixture(scope="module")
def stream():
    X, y = make_documents(400, 3)
    return Stream(X[:300], y[:300], X[300:], y[300:], "")


def group(kind, nodes=NODES):
    found = kind()
    for node in nodes:
        found.start(node)
    found.wait(30)
    return found


def learn(some, stream, start, stop):
    for place, node in enumerate(some.drivers):
        some.learn(node, stream.examples(start, stop)[place :: len(some.drivers)])


def weights(some, stream):
    return {node: look(driver, stream).weights for node, driver in some.drivers.items()}


def test_a_learners_weights_answer_as_it_does(stream):
    some = group(WithoutVersions, ("a",))
    learn(some, stream, 0, 200)
    test = Stream(stream.X_test, stream.y_test, stream.X_test, stream.y_test, "").examples(0, 100)
    answers = some.drivers["a"].run("classify", [[datum for _, datum in test]])
    right = [max(scores, key=lambda one: one[1])[0] == label for scores, (label, _) in zip(answers, test, strict=True)]
    assert accuracy(look(some.drivers["a"], stream), stream) == np.mean(right)


def test_where_nothing_fails_both_protocols_give_the_same_bits(stream):
    old, ours = group(WithoutVersions), group(WithVersions)
    for start in (0, 100, 200):
        for some in (old, ours):
            learn(some, stream, start, start + 100)
            some.mix()
    found = [*weights(old, stream).values(), *weights(ours, stream).values()]
    assert all(np.array_equal(one, found[0]) for one in found)
    assert found[0].any()


def test_without_versions_a_diff_whose_fold_is_lost_counts_twice_and_the_fold_is_gone(stream):
    some = group(WithoutVersions)
    learn(some, stream, 0, 90)
    some.lose_fold("b")
    some.mix()
    some.mix()
    held = {node: sum(driver.run("get_labels", []).values()) for node, driver in some.drivers.items()}
    assert held == {"a": 120, "b": 30, "c": 120}  # its own 30 came back to it, those of others never
    found = weights(some, stream)
    assert np.array_equal(found["a"], found["c"]) and not np.array_equal(found["a"], found["b"])
    assert (some.version("a"), some.version("b"), some.newest()) == (2, 1, 2)


def test_with_versions_a_server_without_the_fold_fetches_a_model(stream):
    some = group(WithVersions)
    learn(some, stream, 0, 90)
    some.lose_fold("b")
    some.mix()
    assert some.version("b") < some.newest()
    some.wait(30)
    assert [(stood.node, stood.active) for stood in some.stood[-2:]] == [("b", False), ("b", True)]
    assert {some.version(node) for node in NODES} == {some.newest()}
    found = list(weights(some, stream).values())
    assert all(np.array_equal(one, found[0]) for one in found)
    assert sum(some.drivers["b"].run("get_labels", []).values()) == 90


@pytest.mark.parametrize("down", [SESSION / 2, 2 * SESSION])
def test_with_versions_a_server_that_comes_back_gets_the_model_before_or_after_its_session_ends(stream, down):
    some = group(WithVersions)
    learn(some, stream, 0, 90)
    some.mix()
    some.kill("b")
    some.wait(down)
    some.start("b")
    assert some.asked() == ["a", "c"]
    some.wait(30)
    assert sorted(some.asked()) == ["a", "b", "c"]
    assert sum(some.drivers["b"].run("get_labels", []).values()) == 90


@pytest.fixture(scope="module")
def findings():
    return find("jubatus-mix").run(Setting(scale=0.001))


def test_a_small_run_is_whole(findings, tmp_path):
    assert [each.claim for each in findings.statements if each.holds is not True] == []
    assert len({each.claim for each in findings.statements}) == len(findings.statements)
    write_findings(find("jubatus-mix"), findings, {}, tmp_path)
    kinds = {part.key: type(part) for part in findings.parts if isinstance(part, Measured | Picture)}
    assert len(kinds) == 8
    assert all((tmp_path / f"{key}.{'csv' if kind is Measured else 'png'}").exists() for key, kind in kinds.items())


def test_the_tables_agree_with_the_pictures(findings):
    tables = {part.key: part for part in findings.parts if isinstance(part, Measured)}
    lines = {part.key: part.plot.lines for part in findings.parts if isinstance(part, Picture)}
    for turn, *values in tables["accuracy"].rows:
        assert values == [line[1][turn - 1] for line in lines["answers"].values()]
    _, *figures, seconds = tables["events"].rows[2]
    assert figures == [RESTARTED_AT, ROUNDS + 1 - RESTARTED_AT, 0, ROUNDS + 1 - RESTARTED_AT]
    assert 0 < seconds < 10
    assert [row[1] for row in tables["end"].rows[:5]] == ["server 1", "server 2", "server 4", "server 5", "server 3"]


def write(path, labels):
    path.write_text("".join(f"{label} 1:1 {2 + row % 7}:{row % 3}\n" for row, label in enumerate(labels)))
    return str(path)


def test_rows_come_from_files(tmp_path):
    one = write(tmp_path / "one.svm", [5, 7, 9, 7] * 300)
    stream = load_stream(Setting(data=(one,)), 0)
    assert (len(stream.y), len(stream.y_test), stream.n_classes) == (1_080, 120, 3)
    two = write(tmp_path / "two.svm", [9, 11])
    stream = load_stream(Setting(data=(one, two)), 0)
    assert (len(stream.y), stream.y_test.tolist(), stream.n_classes) == (1_200, [2, 3], 4)


@pytest.mark.parametrize(
    ("labels", "times", "message"),
    [([1, 2] * 600, 3, "found 3 files"), ([4] * 1_200, 1, "found 1 class"), ([1, 2], 1, "found 2 rows")],
)
def test_files_that_do_not_serve_are_told(tmp_path, labels, times, message):
    name = write(tmp_path / "rows.svm", labels)
    with pytest.raises(ValueError, match=message):
        load_stream(Setting(data=(name,) * times), 0)
