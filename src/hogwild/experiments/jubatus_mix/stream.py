"""The stream that the servers learn: documents of several classes, made up or from files."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from hogwild.experiments.findings import Setting
from hogwild.experiments.text_rows import read_files
from hogwild.online.datum import Column, Datum

N_FEATURES, N_CLASSES = 20_000, 20
COMMON_WORDS, OWN_WORDS, ZIPF_EXPONENT = 40, 8, 0.9  # words of a document: anybody's, and its class's
TEST_ROWS = 4_000
LEAST_ROWS = 1_000  # of a file: less than a few for each server and round shows nothing
CONVERTER = {"num_rules": [{"key": "*", "type": "num"}]}
_PREFIX, _SUFFIX = "w", "@num"  # what the converter makes of the key of a number

Example = tuple[str, Datum]


class Stream(NamedTuple):
    """Rows to learn, in their order, and rows to judge by; classes are numbered from 0."""

    X: Any
    y: np.ndarray
    X_test: Any
    y_test: np.ndarray
    about: str

    @property
    def n_classes(self) -> int:
        """How many classes there are in all."""
        return int(max(self.y.max(), self.y_test.max())) + 1

    def examples(self, start: int, stop: int) -> list[Example]:
        """Return rows as clients send them: labels, and named numbers."""
        indptr, names, numbers = self.X.indptr, self.X.indices.tolist(), self.X.data
        found = []
        for row in range(start, stop):
            first, last = indptr[row], indptr[row + 1]
            keys = tuple(f"{_PREFIX}{feature}" for feature in names[first:last])
            found.append((str(self.y[row]), Datum(numbers=Column(keys, tuple(numbers[first:last].tolist())))))
        return found


class _Numbers(dict[str, int]):
    """Columns of X by the names that learners have for them."""

    def __missing__(self, name: str) -> int:
        number = self[name] = int(name[len(_PREFIX) : -len(_SUFFIX)])
        return number


_NUMBERS = _Numbers()


def feature_numbers(names: list[str]) -> np.ndarray:
    """Return the columns of X that a learner's feature names stand for."""
    return np.fromiter(map(_NUMBERS.__getitem__, names), np.int64, len(names))


def load_stream(setting: Setting, n_rows: int) -> Stream:
    """Make documents, or read rows from files.

    Parameters
    ----------
    setting : Setting
        ``data``: none, or one or two svmlight files, the second to test on (else one row in ten).
    n_rows : int
        To learn, of the made-up ones.
    """
    if setting.data:
        return _read(setting)
    n_test = setting.rows(TEST_ROWS, 1_000)
    setting.say(f"making {n_rows + n_test:,} documents")
    X, y = make_documents(n_rows + n_test, setting.seed)
    about = f"{n_rows:,} made-up documents of {N_CLASSES} classes to learn, {n_test:,} to test on"
    return Stream(X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:], about)


def make_documents(n_rows: int, seed: int) -> tuple[sp.csr_matrix, np.ndarray]:
    """Draw the words of documents by Zipf's law: most by their number, some in an order of their class's own."""
    rng = np.random.default_rng(seed)
    likely = np.cumsum(np.arange(1, N_FEATURES + 1) ** -ZIPF_EXPONENT)
    likely /= likely[-1]
    y = rng.integers(0, N_CLASSES, n_rows)
    own = np.stack([rng.permutation(N_FEATURES) for _ in range(N_CLASSES)])
    ranks = np.searchsorted(likely, rng.random((n_rows, COMMON_WORDS + OWN_WORDS))).clip(max=N_FEATURES - 1)
    words = np.hstack([ranks[:, :COMMON_WORDS], own[y[:, None], ranks[:, COMMON_WORDS:]]])
    ends = np.arange(n_rows + 1) * words.shape[1]
    X = sp.csr_matrix((np.ones(words.size), words.ravel(), ends), shape=(n_rows, N_FEATURES))
    X.sum_duplicates()
    X.data[:] = 1  # whether a word is there, not how often
    return X, y


def _read(setting: Setting) -> Stream:
    read = read_files(setting)
    if read[0][0].shape[0] < LEAST_ROWS:
        raise ValueError(f"{setting.data[0]}: found {read[0][0].shape[0]} rows, expected at least {LEAST_ROWS}")
    classes = np.unique(np.concatenate([labels for _, labels in read]))
    if len(classes) < 2:
        raise ValueError(f"{setting.data[0]}: found {len(classes)} class, expected at least 2")
    X, y = read[0][0], np.searchsorted(classes, read[0][1])
    order = np.random.default_rng(setting.seed).permutation(X.shape[0])
    if len(read) == 2:
        X, y, X_test, y_test = X[order], y[order], read[1][0], np.searchsorted(classes, read[1][1])
    else:
        test, train = np.sort(order[: len(order) // 10]), order[len(order) // 10 :]
        X, y, X_test, y_test = X[train], y[train], X[test], y[test]
    about = (
        f"{', '.join(setting.data)}: {X.shape[0]:,} rows of {len(classes)} classes to learn, {len(y_test):,} to test on"
    )
    return Stream(X, y, X_test, y_test, about)
