"""Fits over batches as they come: the same bits as partial_fit, models that grow, and what goes wrong on the way."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest
import scipy.sparse as sp

import hogwild
from hogwild import SGDClassifier, SGDRegressor
from hogwild.data import Batch, from_matrix, make_rcv1_like

N_ROWS, WIDTH, SIZE = 2400, 120, 500
SETTINGS = {"loss": "log_loss", "alpha": 1e-4, "eta0": 0.1, "random_state": 0, "shuffle": False}
EPOCHS = {"max_iter": 3, "tol": None}


@pytest.fixture(scope="module")
def rows():
    X, y = make_rcv1_like(N_ROWS, WIDTH, row_length=10, random_state=0)
    return X, np.where(y > 0, 5, -2)


@pytest.fixture(scope="module")
def text(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.svm"
    hogwild.data.dump_svmlight(*rows, path, zero_based=True)
    return path


def parts(X, y, weights=None):
    """Batches, each as wide as its rows ask for."""
    for low in range(0, len(y), SIZE):
        high = min(low + SIZE, len(y))
        yield from_matrix(X[low:high], y[low:high], None if weights is None else weights[low:high])


def opened(path, **options):
    """Open a text such that it comes in several batches."""
    found = hogwild.data.open(path, **options)
    found.block_bytes = 20_000
    return found


class Again:
    """Batches that can be taken as often as one likes, as `hogwild.data.open` gives them."""

    def __init__(self, *arguments, n_features=None):
        from hogwild.data.lines import Reading

        self.arguments, self.n_features, self.reading, self.times = arguments, n_features, Reading(), 0

    def __iter__(self):
        self.times += 1
        return parts(*self.arguments)


def by_parts(estimator, X, y, weights=None, **classes):
    """The same steps by `partial_fit`."""
    for low in range(0, len(y), SIZE):
        part = slice(low, low + SIZE)
        estimator.partial_fit(X[part], y[part], sample_weight=None if weights is None else weights[part], **classes)
    return estimator


def same(one, other, exact=True):
    assert one.coef_.shape == other.coef_.shape and one.coef_.dtype == other.coef_.dtype
    compare = np.testing.assert_array_equal if exact else lambda *pair: np.testing.assert_allclose(*pair, 1e-3, 1e-4)
    compare(one.coef_, other.coef_)
    compare(one.intercept_, other.intercept_)
    assert (one.t_, one.n_features_in_) == (other.t_, other.n_features_in_)


# ------------------------------------------------------------------------------------------------ the same steps

RATES = ["optimal", "constant", "invscaling", "pa1", "adagrad", "ftrl"]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("average", [False, True])
def test_steps_are_those_of_partial_fit(rows, rate, average):
    if rate == "ftrl" and average:
        pytest.skip("not defined")
    X, y = rows
    settings = SETTINGS | {"learning_rate": rate, "average": average, "loss": "hinge" if rate == "pa1" else "log_loss"}
    clf = SGDClassifier(**settings).fit_stream(parts(X, y))
    # where weights are brought up to date after each call, their last bits are others
    same(clf, by_parts(SGDClassifier(**settings), X, y, classes=[-2, 5]), exact=rate == "ftrl")
    one = SGDClassifier(**settings).partial_fit(X, y, classes=[-2, 5])
    same(clf, one, exact=True)
    assert clf.t_ == N_ROWS + 1 and clf.n_iter_ == 1 and len(clf.loss_curve_) == 1


@pytest.mark.parametrize("penalty", ["l1", "elasticnet"])
@pytest.mark.parametrize("rate", ["constant", "adagrad", "ftrl"])
def test_l1(rows, rate, penalty):
    X, y = rows
    settings = SETTINGS | {"learning_rate": rate, "penalty": penalty, "alpha": 1e-3}
    one = SGDClassifier(**settings).partial_fit(X, y, classes=[-2, 5])
    same(SGDClassifier(**settings).fit_stream(parts(X, y)), one)


@pytest.mark.parametrize("dense", [False, True])
def test_items_of_all_kinds(rows, dense):
    X, y = rows
    weights = np.random.default_rng(1).choice([0.0, 0.5, 2.0], N_ROWS).astype(np.float32)
    weights[SIZE : 2 * SIZE] = 0
    expected = SGDClassifier(**SETTINGS).fit_stream(parts(X, y, weights), classes=[-2, 5])
    assert expected.t_ == 1 + np.count_nonzero(weights)
    memory = SGDClassifier(**SETTINGS).partial_fit(X, y, classes=[-2, 5], sample_weight=weights)
    same(expected, memory)

    def items(kind):
        for low in range(0, N_ROWS, SIZE):
            part = slice(low, low + SIZE)
            yield kind(X[part]), y[part].tolist(), weights[part]

    for kind in (lambda X: X.toarray(), lambda X: X.toarray().tolist()) if dense else (lambda X: X, sp.coo_matrix):
        same(SGDClassifier(**SETTINGS).fit_stream(items(kind)), expected)

    unweighted = ((X[low : low + SIZE], y[low : low + SIZE]) for low in range(0, N_ROWS, SIZE))
    same(SGDClassifier(**SETTINGS).fit_stream(unweighted), SGDClassifier(**SETTINGS).fit_stream(parts(X, y)))


def test_several_classes_words_and_class_weight():
    X, codes = make_rcv1_like(N_ROWS, WIDTH, row_length=10, n_classes=3, random_state=0)
    y = np.array(["eggs", "häm", "spam"])[codes]
    settings = SETTINGS | {"class_weight": {"eggs": 2.0, "häm": 1.0, "spam": 0.5}}
    clf = SGDClassifier(**settings).fit_stream(parts(X, y))
    same(clf, SGDClassifier(**settings).partial_fit(X, y, classes=np.unique(y)))
    assert clf.classes_.tolist() == ["eggs", "häm", "spam"]
    with pytest.raises(ValueError, match="class_weight 'balanced' needs the number of rows of each class"):
        SGDClassifier(class_weight="balanced").fit_stream(parts(X, y))


def test_regressor(rows):
    X, _ = rows
    y = X @ np.linspace(-1, 1, WIDTH)
    settings = {"random_state": 0, "shuffle": False}
    reg = SGDRegressor(**settings).fit_stream(parts(X, y))
    same(reg, SGDRegressor(**settings).partial_fit(X.astype(np.float32), y.astype(np.float32)))


def test_two_calls_go_on(rows):
    X, y = rows
    whole = SGDClassifier(**SETTINGS, learning_rate="adagrad").fit_stream(parts(X, y))
    halves = SGDClassifier(**SETTINGS, learning_rate="adagrad").fit_stream(parts(X[:1000], y[:1000]), classes=[-2, 5])
    halves.fit_stream(parts(X[1000:], y[1000:]), classes=[5, -2])
    same(whole, halves, exact=False)
    with pytest.raises(ValueError, match="are not those of the first call"):
        halves.fit_stream(parts(X, y), classes=[0, 1])
    halves.partial_fit(X, y)
    assert halves.t_ == 1 + 2 * N_ROWS


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_opened_text(rows, text, n_jobs):
    X, y = rows
    clf = SGDClassifier(**SETTINGS, n_jobs=n_jobs).fit_stream(opened(text, n_jobs=n_jobs))
    assert clf.n_threads_ == n_jobs and clf.t_ == N_ROWS + 1
    assert clf.wait_seconds_ >= 0
    assert clf.score(X, y) > 0.65
    if n_jobs == 1:
        same(clf, SGDClassifier(**SETTINGS).partial_fit(X, y, classes=[-2, 5]), exact=False)


# ------------------------------------------------------------------------------------------------ growth


@pytest.mark.parametrize("rate", ["optimal", "constant", "adagrad", "ftrl"])
@pytest.mark.parametrize("options", [{}, {"penalty": "l1"}, {"average": True}])
def test_rows_that_get_wider(rate, options):
    if rate == "ftrl" and options.get("average"):
        pytest.skip("not defined")
    if rate == "optimal" and options:
        pytest.skip("its first steps are so long that the last bits of a weight soon are its first")
    rng = np.random.default_rng(0)
    settings = SETTINGS | {"learning_rate": rate, "alpha": 1e-2 if rate == "optimal" else 1e-4} | options
    X = sp.random(2000, 1000, 0.02, "csr", np.float32, rng)
    for low in range(0, 2000, 100):  # the more rows, the more features
        X.indices[X.indptr[low] : X.indptr[low + 100]] %= 20 + low // 4
    X.sum_duplicates()
    y = (np.asarray(X.sum(axis=1)).ravel() > 10).astype(int)
    wide = X[:, : X.indices.max() + 1]
    clf = SGDClassifier(**settings).fit_stream((X[low : low + 100], y[low : low + 100]) for low in range(0, 2000, 100))
    assert clf.coef_.shape == (1, wide.shape[1])
    assert clf.n_features_in_ == wide.shape[1]
    same(clf, SGDClassifier(**settings).partial_fit(wide, y, classes=[0, 1]), exact=False)
    clf.predict(wide)
    clf.partial_fit(wide, y)


def test_wide_rows_of_weight_0_widen_the_model():
    batches = [
        from_matrix(np.eye(4), [0, 1, 0, 1]),
        from_matrix(np.ones((2, 9)), [0, 1], [0.0, 0.0]),
    ]
    clf = SGDClassifier(**SETTINGS).fit_stream(batches)
    assert clf.coef_.shape == (1, 9) and clf.t_ == 5


def test_growth_in_later_calls(rows):
    X, y = rows
    clf = SGDClassifier(**SETTINGS).fit_stream(parts(X[:, :30], y))
    before = clf.n_features_in_
    assert before <= 30
    clf.fit_stream(parts(X, y))
    assert clf.n_features_in_ == WIDTH == clf.coef_.shape[1]
    clf.fit_stream(parts(X[:, :30], y))
    assert clf.n_features_in_ == WIDTH == clf.coef_.shape[1]
    assert clf.t_ == 1 + 3 * N_ROWS


def test_growth_on_two_threads(rows):
    X, y = rows
    for engine in ("auto", "shared", hogwild.engine.Replicas(deterministic=True)):
        stream = [from_matrix(X[:SIZE, :20], y[:SIZE]), *parts(X, y)]
        clf = SGDClassifier(**SETTINGS, n_jobs=2, engine=engine).fit_stream(stream)
        assert clf.coef_.shape == (1, WIDTH) and clf.n_threads_ == 2
        assert clf.score(X, y) > 0.7


def test_width_that_the_source_fixes(rows):
    X, y = rows
    clf = SGDClassifier(**SETTINGS).fit_stream(Again(X, y, n_features=200))
    assert clf.coef_.shape == (1, 200)
    with pytest.raises(ValueError, match=r"found feature 1\d\d, expected less than n_features = 50"):
        SGDClassifier(**SETTINGS).fit_stream(Again(X, y, n_features=50))
    clf.fit_stream(Again(X, y, n_features=300))
    assert clf.coef_.shape == (1, 300)


# ------------------------------------------------------------------------------------------------ several epochs


@pytest.mark.parametrize("rate", ["optimal", "adagrad"])
def test_fit_reads_rows_anew(rows, text, rate):
    X, y = rows
    settings = SETTINGS | EPOCHS | {"learning_rate": rate}
    clf = SGDClassifier(**settings).fit(opened(text))
    same(clf, SGDClassifier(**settings).fit(X, y))
    assert clf.n_iter_ == 3
    again = Again(X, y)
    same(SGDClassifier(**settings).fit(again), clf)
    assert again.times == 4  # one more for the labels


def test_fit_of_a_regressor(rows):
    X, _ = rows
    y = (X @ np.linspace(-1, 1, WIDTH)).astype(np.float32)
    settings = {"random_state": 0, "shuffle": False, **EPOCHS}
    again = Again(X, y)
    same(SGDRegressor(**settings).fit(again), SGDRegressor(**settings).fit(X, y))
    assert again.times == 3


def test_fit_shuffles_within_batches(rows):
    X, y = rows
    settings = SETTINGS | EPOCHS | {"shuffle": True}
    one, two = SGDClassifier(**settings).fit(Again(X, y)), SGDClassifier(**settings).fit(Again(X, y))
    same(one, two)
    assert not np.array_equal(one.coef_, SGDClassifier(**SETTINGS | EPOCHS).fit(Again(X, y)).coef_)


def test_tolerance_ends_it(rows):
    X, y = rows
    clf = SGDClassifier(**SETTINGS | {"tol": 1e-2, "n_iter_no_change": 2}).fit(Again(X, y))
    assert 2 < clf.n_iter_ < 50


def test_rows_to_come_are_estimated(text):
    seen = []
    SGDClassifier(**SETTINGS, **EPOCHS, callback=seen.append).fit(opened(text))
    assert seen[-1].rows == 3 * N_ROWS and seen[-1].epoch_ended
    assert all(abs(progress.total_rows - 3 * N_ROWS) < 0.3 * N_ROWS for progress in seen)
    assert seen[-1].total_rows == 3 * N_ROWS and seen[-1].seconds_left == 0
    ends = [progress for progress in seen if progress.epoch_ended]
    assert [progress.rows for progress in ends] == [N_ROWS, 2 * N_ROWS, 3 * N_ROWS]


def test_nobody_knows_the_length_of_a_generator(rows):
    seen = []
    SGDClassifier(**SETTINGS, callback=seen.append).fit_stream(parts(*rows))
    assert {progress.total_rows for progress in seen} == {0}
    assert np.isnan(seen[0].seconds_left)
    assert [progress.epoch_ended for progress in seen][-2:] == [False, True]


# ------------------------------------------------------------------------------------------------ what goes wrong


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "hogwild-read"]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_errors_of_the_batches_arrive(rows, n_jobs):
    X, y = rows
    closed = []

    def failing():
        try:
            yield from parts(X[:1000], y[:1000])
            raise OSError("the line is dead")
        finally:
            closed.append(True)

    clf = SGDClassifier(**SETTINGS, n_jobs=n_jobs)
    with pytest.raises(OSError, match="the line is dead"):
        clf.fit_stream(failing())
    assert closed == [True] and not threads()
    assert clf.t_ == 1001 and clf.coef_.any()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_readers_end_with_the_fit(rows, n_jobs):
    X, y = rows

    def endless():
        while True:
            yield from parts(X, y)

    clf = SGDClassifier(**SETTINGS, n_jobs=n_jobs, callback=lambda progress: progress.rows > 5000)
    clf.fit_stream(endless())
    assert not threads()
    assert 5000 < clf.t_ - 1 < 50_000

    def fail(progress):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        SGDClassifier(**SETTINGS, n_jobs=n_jobs, callback=fail).fit_stream(endless())
    with pytest.raises(ValueError, match="class_weight"):
        SGDClassifier(**SETTINGS, n_jobs=n_jobs, class_weight="balanced").fit_stream(endless())
    assert not threads()


def test_ctrl_c(rows):
    X, y = rows

    def endless():
        while True:
            yield from parts(X, y)

    def interrupt(progress):
        if progress.rows > 5000:
            os.kill(os.getpid(), signal.SIGINT)

    clf = SGDClassifier(**SETTINGS, n_jobs=2, callback=interrupt)
    with pytest.raises(KeyboardInterrupt):
        clf.fit_stream(endless())
    assert not threads()
    assert clf.t_ > 5000 and clf.score(X, y) > 0.7


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 1], [0, 7]], r"y\[1\] is 7, which is not one of the classes"),
        ([["no", "yes"], ["no", "perhaps"]], r"y\[1\] is perhaps, which is not one of the classes"),
        ([[0, 1], ["no", "yes"]], r"y\[0\] is no, which is not one of the classes of the first rows \(0, 1\)"),
        ([["no", "yes"], [0, 1]], r"y\[0\] is 0, which is not one of the classes of the first rows \(no, yes\)"),
        ([[0, 1], [np.nan, 1]], r"y\[0\] is nan, which is not one of the classes"),
        ([[0, np.nan], [0, 1]], "label"),
        ([[0, 0], [0, 1]], "number of classes has to be greater than one"),
        ([[0.5, 0.25], [0, 1]], "continuous"),
    ],
)
def test_labels_that_are_no_classes(labels, message):
    batches = [from_matrix(np.eye(2), np.array(some)) for some in labels]
    with pytest.raises(ValueError, match=message):
        SGDClassifier(**SETTINGS).fit_stream(batches)


def test_labels_of_several_kinds_in_a_fit():
    class Mixed(Again):
        def __iter__(self):
            yield from_matrix(np.eye(2), [0, 1])
            yield from_matrix(np.eye(2), self.arguments[0])

    with pytest.raises(ValueError, match="words"):
        SGDClassifier(**SETTINGS).fit(Mixed(["no", "yes"]))
    with pytest.raises(ValueError, match="label"):
        SGDClassifier(**SETTINGS).fit(Mixed([1.0, np.nan]))
    clf = SGDClassifier(**SETTINGS, **EPOCHS).fit(Mixed([1.0, 2.0]))
    assert clf.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 1], [np.nan, 1]], "found no label in row 0 of a batch"),
        ([["no", "yes"]], "found the label no, expected a number"),
    ],
)
def test_labels_that_are_no_numbers(labels, message):
    batches = [from_matrix(np.eye(2), np.array(some)) for some in labels]
    with pytest.raises(ValueError, match=message):
        SGDRegressor().fit_stream(batches)


@pytest.mark.parametrize("kind", [SGDClassifier, SGDRegressor])
def test_no_rows(kind):
    empty = from_matrix(np.zeros((0, 3)), np.zeros(0, int))
    for batches in ([], [empty], [empty, empty]):
        with pytest.raises(ValueError, match="found no rows to train on"):
            kind().fit_stream(batches)


def test_batches_without_rows_are_passed_over(rows):
    X, y = rows
    empty = from_matrix(X[:0], y[:0])
    batches = [empty, *parts(X[:1000], y[:1000]), empty, *parts(X[1000:], y[1000:]), empty]
    clf = SGDClassifier(**SETTINGS).fit_stream(batches)
    same(clf, SGDClassifier(**SETTINGS).partial_fit(X, y, classes=[-2, 5]))


def test_rows_without_features():
    n = 40
    batch = Batch(np.zeros(n + 1, np.uint64), np.empty(0, np.uint32), np.empty(0, np.float32), np.arange(n) % 2)
    clf = SGDClassifier(**SETTINGS).fit_stream([batch])
    assert clf.coef_.shape == (1, 1) and not clf.coef_.any()


@pytest.mark.parametrize("item", [np.eye(3), (np.eye(3),), "rows", None])
def test_items_that_are_no_batches(item):
    with pytest.raises(ValueError, match=r"expected Batch, \(X, y\) or \(X, y, sample_weight\)"):
        SGDClassifier().fit_stream([item])


def test_settings_that_need_all_rows(rows):
    with pytest.raises(ValueError, match="early_stopping should be False"):
        SGDClassifier(early_stopping=True).fit_stream(parts(*rows))
    with pytest.raises(ValueError, match="early_stopping needs rows in memory or a cache file"):
        SGDClassifier(early_stopping=True).fit(Again(*rows))
    with pytest.raises(ValueError, match="early_stopping needs rows in memory or a cache file"):
        SGDRegressor(early_stopping=True).fit(Again(*rows))


def test_labels_beside_rows_that_have_them(rows, text):
    for kind in (SGDClassifier, SGDRegressor):
        with pytest.raises(ValueError, match="found y beside rows that bring their own"):
            kind().fit(opened(text), rows[1])
        with pytest.raises(ValueError, match="found sample_weight beside rows"):
            kind().fit(opened(text), sample_weight=np.ones(N_ROWS))


def test_entries_of_several_fields_add_up(tmp_path):
    rng = np.random.default_rng(0)
    n, length = 300, 6
    indices = rng.integers(0, 9, n * length).astype(np.uint32)
    values = rng.normal(size=n * length).astype(np.float32)
    ends = np.arange(0, n * length + 1, length, dtype=np.uint64)
    y = rng.integers(0, 2, n)
    batch = Batch(ends, indices, values, y, fields=np.tile(np.arange(length, dtype=np.uint32), n))
    X = sp.csr_matrix((values, indices.astype(np.int32), ends.astype(np.int64)), (n, 9)).copy()
    settings = SETTINGS | {"learning_rate": "adagrad"}
    before = indices.copy(), values.copy()
    clf = SGDClassifier(**settings).fit_stream([batch])
    assert np.array_equal(indices, before[0]) and np.array_equal(values, before[1])
    same(clf, SGDClassifier(**settings).partial_fit(X, y, classes=[0, 1]), exact=False)
    with hogwild.data.write_hog([batch], tmp_path / "rows.hog", shuffle=False) as cache:
        assert cache.has_fields
        same(SGDClassifier(**settings, max_iter=1, tol=None).fit(cache), clf, exact=False)
