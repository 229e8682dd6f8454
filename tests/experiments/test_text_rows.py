"""Documents of the experiments: made up at any scale, or read."""

import numpy as np
import pytest

from hogwild.data import dump_svmlight, make_rcv1_like
from hogwild.experiments.findings import Setting
from hogwild.experiments.text_rows import N_FEATURES, load_documents


def test_made_up_documents_have_the_size_asked_for():
    told = []
    rows = load_documents(Setting(scale=0.01, say=told.append))
    assert rows.X.shape == (7_813, N_FEATURES) and rows.X_test.shape == (1_000, N_FEATURES)
    assert set(rows.y) == set(rows.y_test) == {-1, 1}
    assert "7,813" in rows.about and told


def test_the_same_seed_gives_the_same_rows():
    first, again, other = (load_documents(Setting(scale=0.005, seed=seed)) for seed in (1, 1, 2))
    assert (first.X != again.X).nnz == 0 and (first.y == again.y).all()
    assert first.X.nnz != other.X.nnz


@pytest.fixture
def files(tmp_path):
    X, y = make_rcv1_like(300, 200, random_state=0)
    dump_svmlight(X[:250], np.where(y[:250] > 0, 5, 3), tmp_path / "train.svm")
    dump_svmlight(X[250:, :150], np.where(y[250:] > 0, 5, 3), tmp_path / "test.svm")
    return str(tmp_path / "train.svm"), str(tmp_path / "test.svm")


def test_two_files_are_training_and_test_rows_of_one_width(files):
    rows = load_documents(Setting(data=files))
    assert rows.X.shape[0] == 250 and rows.X_test.shape[0] == 50
    assert rows.X.shape[1] == rows.X_test.shape[1]
    assert set(rows.y) == set(rows.y_test) == {-1, 1}


def test_of_one_file_a_tenth_is_held_out(files):
    rows = load_documents(Setting(data=files[:1]))
    assert rows.X.shape[0] == 225 and rows.X_test.shape[0] == 25


def test_more_classes_and_more_files_are_refused(tmp_path, files):
    X, y = make_rcv1_like(60, 50, random_state=0, n_classes=3)
    dump_svmlight(X, y, tmp_path / "three.svm")
    with pytest.raises(ValueError, match=r"three.svm: found 3 classes, expected 2"):
        load_documents(Setting(data=(str(tmp_path / "three.svm"),)))
    with pytest.raises(ValueError, match="found 3 files of data, expected one or two"):
        load_documents(Setting(data=(*files, files[0])))


@pytest.mark.parametrize(("threads", "counts"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (16, [1, 2, 4, 8, 16])])
def test_thread_counts_double_up_to_the_most(threads, counts):
    assert Setting(threads=threads).counts == counts
