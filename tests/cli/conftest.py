"""Small data files for the commands."""

import numpy as np
import pytest

from hogwild.data import dump_svmlight, make_rcv1_like

N_ROWS, N_FEATURES = 1200, 60


def data():
    """Make the rows that all these tests use."""
    return make_rcv1_like(N_ROWS, N_FEATURES, row_length=12, n_classes=3, random_state=1)


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Make a folder of files: two classes, words, numbers with fractions."""
    folder = tmp_path_factory.mktemp("rows")
    X, y = data()
    targets = np.round(X @ np.linspace(-1, 1, N_FEATURES, dtype=np.float32), 3) + 0.0005
    for name, labels in {
        "two": (y > 0) * 2 - 1,
        "words": np.array(["eggs", "spam", "häm"])[y],
        "numbers": targets,
    }.items():
        dump_svmlight(X[:1000], labels[:1000], folder / f"{name}.svm.gz")
        dump_svmlight(X[1000:], labels[1000:], folder / f"{name}-valid.svm")
    return folder


@pytest.fixture(scope="session")
def models(files):
    """Train a model for each of the files."""
    from cli.lines import run

    for name in ("two", "words", "numbers"):
        run("train", files / f"{name}.svm.gz", "-m", files / f"{name}.model", "-j", 1, "--epochs", 3, "--quiet")
    return files
