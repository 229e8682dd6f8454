from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import log_loss

from hogwild import SGDClassifier
from hogwild.data import dump_libffm, load_libffm, make_click_log


@pytest.fixture(scope="module")
def log():
    return make_click_log(60_000, n_features=100_000, random_state=3, return_probabilities=True)


def test_shape_and_types(log):
    batch, probabilities = log
    assert (batch.n_rows, probabilities.shape) == (60_000, (60_000,))
    assert [a.dtype.name for a in batch[:4]] == ["uint64", "uint32", "float32", "int64"]
    assert batch.fields.dtype == np.uint32
    assert (np.diff(batch.indptr) == 39).all() and batch.indptr[0] == 0
    assert (batch.fields.reshape(-1, 39) == np.arange(39)).all()
    assert (batch.values == 1).all() and set(batch.labels) == {0, 1} and not len(batch.weights)
    assert batch.n_features <= 100_000


def test_a_quarter_of_the_rows_is_positive(log):
    batch, probabilities = log
    assert probabilities.mean() == pytest.approx(0.25, abs=1e-4)
    assert batch.labels.mean() == pytest.approx(0.25, abs=0.01)
    for low, high in pairwise(np.quantile(probabilities, [0, 0.2, 0.4, 0.6, 0.8, 1])):  # the labels follow them
        inside = (probabilities >= low) & (probabilities <= high)
        assert batch.labels[inside].mean() == pytest.approx(probabilities[inside].mean(), abs=0.015)


def test_fields_have_few_categories_or_many_and_hot_ones(log):
    batch, _ = log
    columns = batch.indices.reshape(-1, 39)
    distinct = np.array([len(np.unique(column)) for column in columns.T])
    assert distinct[:13].max() <= 200
    assert distinct[13:].min() <= 3 and distinct[13:].max() > 5_000
    counts = np.sort(np.unique(columns[:, int(np.argmax(distinct))], return_counts=True)[1])[::-1]
    assert 0.9 < np.log(counts[0] / counts[50]) / np.log(51) < 1.6  # Zipf's exponent


def test_hashed_numbers_are_even(log):
    batch, _ = log
    numbers = np.unique(batch.indices)
    shares = np.bincount(numbers * 16 // 100_000, minlength=16) / len(numbers)
    assert shares.max() - shares.min() < 0.01


def test_linear_models_learn_a_part(log):
    batch, probabilities = log
    X, y = batch.matrix(100_000), batch.labels
    model = SGDClassifier("log_loss", alpha=1e-6, learning_rate="adagrad", eta0=0.05, max_iter=3, random_state=0)
    model.fit(X[:50_000], y[:50_000])
    learned = log_loss(y[50_000:], model.predict_proba(X[50_000:])[:, 1])
    best, constant = log_loss(y[50_000:], probabilities[50_000:]), log_loss([0, 0, 0, 1], [0.25] * 4)
    assert best + 0.03 < learned < constant - 0.015


def test_interactions_bear_on_the_label():
    """Of two fields with few categories, a table of both tells more than the sum of two tables."""
    batch, probabilities = make_click_log(40_000, 2, 1_000, random_state=1, return_probabilities=True)
    score = np.log(probabilities / (1 - probabilities))
    first, second = (np.unique(column, return_inverse=True)[1] for column in batch.indices.reshape(-1, 2).T)
    frequent = (first < 30) & (second < 30)
    design = np.hstack([np.eye(30)[first[frequent]], np.eye(30)[second[frequent]]])
    left = score[frequent] - design @ np.linalg.lstsq(design, score[frequent], rcond=None)[0]
    assert left.std() > 0.3 * score.std()


def test_deterministic():
    one, again, other = (make_click_log(2_000, n_features=3_000, random_state=seed) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one.indices, other.indices)


def test_a_category_keeps_its_number_and_weight():
    """Rows of the same categories have the same probability."""
    batch, probabilities = make_click_log(5_000, 2, 2**32, random_state=0, return_probabilities=True)
    _, names = np.unique(batch.indices.reshape(-1, 2), axis=0, return_inverse=True)
    spread = [np.ptp(probabilities[names == name]) for name in range(names.max() + 1)]
    assert len(spread) < 4_000 and max(spread) < 1e-12


def test_goes_through_libffm_text(tmp_path):
    batch = make_click_log(300, 5, 1_000, random_state=2)
    dump_libffm(batch, tmp_path / "log.ffm")
    read = load_libffm(tmp_path / "log.ffm")
    assert all(np.array_equal(a, b) for a, b in zip(batch, read, strict=True))


@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 1, 2), (2, 3, 1), (5, 60, 7)])
def test_small_sizes(sizes):
    batch = make_click_log(*sizes)
    assert batch.n_rows == sizes[0] and len(batch.indices) == sizes[0] * sizes[1]
    assert batch.indices.max() < sizes[2]


@pytest.mark.parametrize("name", ["n_rows", "n_fields", "n_features"])
@pytest.mark.parametrize("value", [0, -1, 2**33])
def test_sizes_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"{name} must lie in 1 to \d+, got {value}"):
        make_click_log(**{name: value})
