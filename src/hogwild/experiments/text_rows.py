"""The rows of the experiments with documents: shaped like RCV1, or the real ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import hogwild.data
from hogwild.data.synthetic import make_rcv1_like
from hogwild.experiments.findings import Setting

TRAIN_ROWS, TEST_ROWS, N_FEATURES = 781_265, 23_149, 47_236  # RCV1, the long part for training as in Bottou's tests
DATA = "svmlight files (training, and if you like a second one to test on), or the word rcv1 for scikit-learn's copy"


class Documents(NamedTuple):
    """Rows to train and to test on; labels are -1 and 1."""

    X: Any
    y: np.ndarray
    X_test: Any
    y_test: np.ndarray
    about: str


def load_documents(setting: Setting, least: int = 4_000) -> Documents:
    """Make documents of the size that `setting` asks for, or read the real ones (all of them).

    Parameters
    ----------
    setting : Setting
        ``data`` is empty (made up), ``("rcv1",)`` (`sklearn.datasets.fetch_rcv1`, class CCAT; downloads 656 MB once) or
        one or two files of rows with two classes, the second to test on (else one row in ten).
    least : int
        Rows to train on at any scale.
    """
    if not setting.data:
        n_rows, n_test = setting.rows(TRAIN_ROWS, least), setting.rows(TEST_ROWS, max(1_000, least // 4))
        setting.say(f"making {n_rows + n_test:,} documents")
        X, y = make_rcv1_like(n_rows + n_test, N_FEATURES, random_state=setting.seed)
        about = f"made up, shaped like RCV1: {n_rows:,} rows to train on, {n_test:,} to test, {N_FEATURES:,} features"
        return Documents(X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:], about)
    if setting.data == ("rcv1",):
        return _rcv1(setting)
    return _files(setting)


def _rcv1(setting: Setting) -> Documents:
    from sklearn.datasets import fetch_rcv1

    setting.say("reading RCV1 (the first time it is downloaded)")
    rows = fetch_rcv1()
    X = rows.data.astype(np.float32)
    column = list(rows.target_names).index("CCAT")
    y = np.where(rows.target[:, [column]].toarray().ravel() > 0, 1, -1)
    # the 23,149 first documents are the set's own training part; Bottou and the course train on the others
    about = f"RCV1, class CCAT: {len(y) - TEST_ROWS:,} rows to train on, {TEST_ROWS:,} to test, {X.shape[1]:,} features"
    return Documents(X[TEST_ROWS:], y[TEST_ROWS:], X[:TEST_ROWS], y[:TEST_ROWS], about)


def read_files(setting: Setting) -> list[tuple[Any, np.ndarray]]:
    """Read one svmlight file or two, training and test: rows of one width, and labels."""
    if len(setting.data) > 2:
        raise ValueError(f"found {len(setting.data)} files of data, expected one or two: training and test")
    read = []
    for name in setting.data:
        setting.say(f"reading {name}")
        read.append(hogwild.data.load_svmlight(name))
    width = max(X.shape[1] for X, _ in read)
    for X, _ in read:
        X.resize(X.shape[0], width)
    return read


def _files(setting: Setting) -> Documents:
    read = read_files(setting)
    (X, labels), (X_test, test_labels) = read[0], read[-1]
    classes = np.unique(labels)
    if len(classes) != 2:
        raise ValueError(f"{setting.data[0]}: found {len(classes)} classes, expected 2")
    y, y_test = (np.where(found == classes[1], 1, -1) for found in (labels, test_labels))
    if len(read) == 1:
        order = np.random.default_rng(setting.seed).permutation(X.shape[0])
        test, train = np.sort(order[: len(order) // 10]), np.sort(order[len(order) // 10 :])
        X, y, X_test, y_test = X[train], y[train], X[test], y[test]
    sizes = f"{X.shape[0]:,} rows to train on, {X_test.shape[0]:,} to test, {X.shape[1]:,} features"
    return Documents(X, y, X_test, y_test, f"{', '.join(setting.data)}: {sizes}")
