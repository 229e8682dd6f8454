import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import SGDClassifier

from hogwild.data.synthetic import make_rcv1_like, make_sparse_regression


def same(a, b):
    return a.shape == b.shape and (a != b).nnz == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rcv1_like_rows_are_canonical_and_of_norm_one(dtype):
    X, y = make_rcv1_like(3_000, 5_000, dtype=dtype)
    assert X.shape == (3_000, 5_000)
    assert (X.dtype, X.indices.dtype, X.indptr.dtype, y.dtype) == (dtype, np.int32, np.int32, np.int64)
    assert len(X.data) == len(X.indices) == X.indptr[-1]
    assert X.has_canonical_format and X.has_sorted_indices
    assert sp.csr_matrix((X.data, X.indices, X.indptr), shape=X.shape).has_canonical_format  # the flags tell the truth
    X.check_format(full_check=True)
    np.testing.assert_allclose(np.sqrt(X.multiply(X).sum(axis=1)), 1, atol=1e-6)
    assert X.data.min() > 0


def test_rcv1_like_has_the_shape_of_text():
    X, y = make_rcv1_like(20_000)
    lengths = np.diff(X.indptr)
    assert 64 < lengths.mean() < 68
    assert lengths.min() >= 1 and lengths.max() > 250
    assert abs((y == 1).mean() - 0.5) < 0.02
    counts = np.sort(np.bincount(X.indices, minlength=X.shape[1]))[::-1]
    # The head is flattened, a word counting once a document; behind it the slope is Zipf's exponent.
    slope = np.log(counts[100] / counts[3_000]) / np.log(3_000 / 100)
    assert abs(slope - 0.9) < 0.1


def test_rcv1_like_is_deterministic():
    X, y = make_rcv1_like(2_000, 3_000, random_state=5)
    again, labels = make_rcv1_like(2_000, 3_000, random_state=5)
    other, _ = make_rcv1_like(2_000, 3_000, random_state=6)
    assert same(X, again) and np.array_equal(y, labels)
    assert not same(X, other)
    generated, _ = make_rcv1_like(2_000, 3_000, random_state=np.random.default_rng(5))
    assert same(X, generated)


def test_rows_are_complete_however_they_are_drawn(monkeypatch):
    """Batches of draws, even one that is shorter than a row, end on rows."""
    for draws in (10, 1_000):
        monkeypatch.setattr("hogwild.data.synthetic._DRAWS", draws)
        X, _ = make_rcv1_like(300, 1_000)
        X.check_format(full_check=True)
        np.testing.assert_allclose(np.sqrt(X.multiply(X).sum(axis=1)), 1, atol=1e-6)
        assert np.diff(X.indptr).min() >= 1


@pytest.mark.parametrize("n_features", [1, 2, 2**22])
def test_rcv1_like_of_few_and_many_features(n_features):
    X, y = make_rcv1_like(500, n_features)
    X.check_format(full_check=True)
    assert X.shape == (500, n_features) and len(y) == 500
    assert np.isfinite(X.data).all()


def test_rcv1_like_can_be_learned_but_not_perfectly():
    X, y = make_rcv1_like(20_000, 1_000)
    score = SGDClassifier(alpha=1e-5, max_iter=5, tol=None, random_state=0).fit(X[:16_000], y[:16_000])
    assert 0.75 < score.score(X[16_000:], y[16_000:]) < 0.9


def test_rcv1_like_of_several_classes():
    X, y = make_rcv1_like(20_000, 1_000, n_classes=4)
    assert np.bincount(y).min() > 4_000 and set(y.tolist()) == {0, 1, 2, 3}
    model = SGDClassifier(alpha=1e-5, max_iter=5, tol=None, random_state=0).fit(X[:16_000], y[:16_000])
    assert 0.55 < model.score(X[16_000:], y[16_000:]) < 0.9


@pytest.mark.parametrize("wrong", [{"n_rows": 0}, {"n_features": 0}, {"row_length": 0}, {"n_classes": 1}])
def test_rcv1_like_names_what_is_wrong(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        make_rcv1_like(**{"n_rows": 10, **wrong})
    with pytest.raises(ValueError, match="dtype"):
        make_rcv1_like(10, dtype=np.int32)


def test_sparse_regression_is_the_articles():
    X, y, coef = make_sparse_regression()
    assert X.shape == (20_000, 10) and X.nnz == 40_000
    assert sp.csr_matrix((X.data, X.indices, X.indptr), shape=X.shape).has_canonical_format
    assert X.data.min() >= 0 and X.data.max() < 1
    assert ((coef >= 0) & (coef < 1)).all()
    np.testing.assert_array_equal(y, X @ coef)
    dense, targets, weights = make_sparse_regression(sparse=False)
    assert isinstance(dense, np.ndarray)
    np.testing.assert_array_equal(dense, X.toarray())
    np.testing.assert_array_equal(weights, coef)
    np.testing.assert_array_equal(targets, y)


def test_sparse_regression_noise_and_type():
    X, y, coef = make_sparse_regression(5_000, noise=0.5, random_state=1, dtype=np.float32)
    assert X.dtype == y.dtype == coef.dtype == np.float32
    assert abs((y - X @ coef).std() - 0.5) < 0.02
    for wrong in ({"density": 1.5}, {"noise": -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            make_sparse_regression(**wrong)
