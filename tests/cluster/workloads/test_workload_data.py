"""Rows of a job from files, cache files, memory and other data sets: surveys, chunks, orders, errors."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from naive_workloads import train
from sklearn.base import clone

from hogwild import SGDClassifier
from hogwild.cluster.protocol import Chunk
from hogwild.cluster.workloads import (
    ReaderSource,
    check_paths,
    make_problem,
    open_source,
    read_matrix,
    survey_all,
)
from hogwild.cluster.workloads.loading import Loader
from hogwild.cluster.workloads.problem import pass_rows
from hogwild.cluster.workloads.sources import rows_of_chunks
from hogwild.cluster.workloads.stepping import pieces
from hogwild.data import dump_svmlight, make_rcv1_like
from hogwild.data.batch import Batch
from hogwild.data.errors import DataError
from hogwild.data.hog_writer import write_hog
from hogwild.data.tables import from_matrix
from hogwild.engine.loops import write_order
from hogwild.schedules import Schedule, schedule_id

N, D = 3_000, 400
KEPT = {
    "max_iter": 2,
    "tol": None,
    "random_state": 0,
    "loss": "log_loss",
    "learning_rate": "adagrad",
    "eta0": 0.1,
}


@pytest.fixture(scope="module")
def rows():
    return make_rcv1_like(N, D, random_state=0)


@pytest.fixture(scope="module")
def places(rows, tmp_path_factory):
    """The same rows as text files, as shards of a cache, and as blocks of another library."""
    X, y = rows
    folder = tmp_path_factory.mktemp("rows")
    bounds = [0, 1_000, 1_700, N]
    texts = []
    for k, (low, high) in enumerate(pairwise(bounds)):
        texts.append(folder / f"part-{k}.svm")
        dump_svmlight(X[low:high], y[low:high], texts[-1])
    batch = from_matrix(X, y)
    write_hog([batch], folder / "rows.hog", shards=2, block_bytes=60_000).close()
    blocks = [batch.rows(low, high) for low, high in pairwise(bounds)]
    return texts, sorted(folder.glob("rows-*.hog")), blocks


class Blocks:
    """A reader of blocks that are there already."""

    def __init__(self, blocks):
        self.blocks = blocks

    def load(self, where):
        return self.blocks[where]


def sources(rows, places):
    texts, shards, blocks = places
    return {
        "memory": read_matrix(SGDClassifier(**KEPT), *rows),
        "text": open_source(*texts),
        "hog": open_source(*shards),
        "reader": ReaderSource(Blocks(blocks), range(len(blocks))),
    }


def test_surveys_agree(rows, places):
    X, y = rows
    used = int(X.indices.max()) + 1
    for name, source in sources(rows, places).items():
        found = survey_all(source)
        assert found.n_rows == N, name
        assert found.n_features in (D, used), name
        assert found.labels.tolist() == np.unique(y).tolist(), name
        assert found.label_counts.tolist() == np.unique(y, return_counts=True)[1].tolist(), name
        assert found.label_sum == pytest.approx(float(np.sum(y))), name
        features, shares = found.frequencies()
        assert len(features) and 0 < shares.max() <= 1, name


def test_every_row_is_in_one_chunk(rows, places):
    X, _ = rows
    expected = np.sort(np.asarray(X.sum(axis=1)).ravel())
    for name, source in sources(rows, places).items():
        survey = survey_all(source)
        chunks = source.chunks(survey, 4)
        problem = make_problem(SGDClassifier(**KEPT), survey, source)
        loader = Loader(problem, source, 0)
        sums = []
        for chunk in chunks:
            held = loader.get(chunk)
            assert held.n_rows == chunk.rows, name
            rows_ = held.rows
            ends = rows_.indptr.astype(np.int64)
            part = np.add.reduceat(rows_.values[: ends[-1]], ends[:-1])
            sums.append(part)
        loader.close()
        np.testing.assert_allclose(np.sort(np.concatenate(sums)), expected, rtol=1e-4, err_msg=name)


def test_all_sources_train_the_same_model(rows, places):
    X, y = rows
    alone = SGDClassifier(**KEPT).fit(X, y)
    for name, source in sources(rows, places).items():
        survey = survey_all(source)
        for mode in ("whole", "partial"):
            problem = make_problem(SGDClassifier(**KEPT), survey, source)
            found = train(problem, source, survey, workers=2, phase_rows=150, mode=mode, cache_bytes=1 << 16)
            score = found.fitted.score(X[:, : found.fitted.n_features_in_], y)
            assert score > alone.score(X, y) - 0.04, (name, mode)


def test_sorted_rows_are_put_in_a_random_order(rows):
    X, y = rows
    order = np.argsort(y, kind="stable")
    estimator = SGDClassifier(**KEPT)
    source = read_matrix(estimator, X[order], y[order])
    assert source.order is not None
    survey = survey_all(source)
    found = train(make_problem(estimator, survey, source), source, survey, workers=2, phase_rows=150).fitted
    assert found.score(X, y) > clone(estimator).fit(X, y).score(X, y) - 0.04


@pytest.mark.parametrize("shuffle", [False, "blocks", "full"])
@pytest.mark.parametrize("cuts", [[0, 1_000], [0, 1, 255, 256, 300, 1_000], [0, 511, 513, 999, 1_000]])
def test_an_order_is_the_same_however_it_is_cut(rows, shuffle, cuts):
    X, y = rows
    estimator = SGDClassifier(shuffle=shuffle, **KEPT)
    source = read_matrix(estimator, X, y)
    source.order = None
    loader = Loader(make_problem(estimator, survey_all(source), source), source, 3)
    ordered = loader.order(Chunk(5, 1_000, (0, 1_000, 2_000)), 2)
    loader.close()
    assert sorted(ordered.rows.tolist()) == list(range(1_000))
    drawn = np.empty(1_000, np.uint32)
    for low, high in pairwise(cuts):
        for order, start, stop in pieces(ordered, low, high):
            whole = np.empty(int(order.n_rows), np.uint32)
            write_order(order, whole, np.empty(256, np.uint32))
            drawn[start:stop] = whole[start:stop]
    np.testing.assert_array_equal(drawn, ordered.rows)


def test_chunks_are_smaller_where_rows_are_few():
    assert rows_of_chunks(10**9, 64) == 16_384
    assert rows_of_chunks(80_000, 4) == 2_500


@pytest.mark.parametrize("name", ["constant", "optimal", "invscaling"])
def test_the_clock_of_a_phase_is_the_sum_over_its_rows(name):
    schedule = Schedule(schedule_id(name), 0.5, 0.25, 1e-3, 100.0, 1e-3, 1e-4, True, np.inf)
    for t, n in ((1.0, 1), (7.0, 300), (40_000.0, 5_000)):
        etas = {
            "constant": np.full(n, 0.5),
            "optimal": 1 / (1e-3 * (100.0 + t + np.arange(n))),
            "invscaling": 0.5 / (t + np.arange(n)) ** 0.25,
        }[name]
        found = pass_rows(schedule, t, n)
        assert found.eta == pytest.approx(etas.mean(), rel=1e-6)
        assert found.log_decay == pytest.approx(np.log1p(-1e-3 * etas).sum(), rel=1e-5)
        assert found.shrink == pytest.approx(1e-4 * etas.sum(), rel=1e-6)


def test_a_decay_to_nothing_stays_finite():
    schedule = Schedule(schedule_id("constant"), 1.0, 0.5, 1.0, 0.0, 1.0, 0.0, True, np.inf)
    found = pass_rows(schedule, 1.0, 1_000)
    assert np.isfinite(found.log_decay)
    assert found.log_decay < -600


# ------------------------------------------------------------------------------------------------ errors


def test_paths_that_a_node_cannot_read(tmp_path):
    there = tmp_path / "rows.svm"
    there.write_text("1 1:1\n")
    (trouble,) = check_paths([there, tmp_path / "absent.svm"])
    assert "absent.svm" in trouble
    assert "No such file" in trouble


def test_labels_of_two_kinds_name_the_file(tmp_path):
    for name, text in (("a.csv", "y,x\n1,2\n0,1\n"), ("b.csv", "y,x\nspam,2\nham,1\n")):
        (tmp_path / name).write_text(text)
    source = open_source(tmp_path / "a.csv", tmp_path / "b.csv", label="y", bits=8)
    with pytest.raises((DataError, ValueError), match=r"b\.csv"):
        survey_all(source)


def test_one_class_and_no_rows(tmp_path):
    path = tmp_path / "one.svm"
    path.write_text("1 1:1\n1 2:1\n")
    source = open_source(path)
    with pytest.raises(ValueError, match="got 1 class"):
        make_problem(SGDClassifier(), survey_all(source), source)
    empty = ReaderSource(Blocks([Batch(np.zeros(1, np.uint64), *(np.empty(0, t) for t in "Ifq"))]), [0])
    with pytest.raises(ValueError, match="found no rows to train on"):
        survey_all(empty)


def test_features_beyond_the_widest_name_the_file(tmp_path):
    path = tmp_path / "wide.svm"
    path.write_text("1 5000000000:1\n0 1:1\n")
    with pytest.raises(DataError, match=r"wide\.svm"):
        survey_all(open_source(path))


def test_a_damaged_cache_names_the_file(places, tmp_path):
    damaged = tmp_path / "damaged.hog"
    content = places[1][0].read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"damaged\.hog"):
        survey_all(open_source(damaged))
