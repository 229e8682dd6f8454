"""Pytest plugin: scikit-learn's own test_sgd.py with our classes in place of its own.

Cases that cannot hold are listed with the reason; they are strict, so that one which begins to pass is taken off.
"""

from __future__ import annotations

import pytest
import scipy.sparse as sp
import sklearn.linear_model

import hogwild


class SmallerInterceptSteps:
    """scikit-learn's smaller steps of the intercept on sparse data, an option of ours."""

    def fit(self, X, y, *arguments, **named):
        self.intercept_decay = 0.01 if sp.issparse(X) else 1.0
        return super().fit(X, y, *arguments, **named)

    def partial_fit(self, X, y, *arguments, **named):
        self.intercept_decay = 0.01 if sp.issparse(X) else 1.0
        return super().partial_fit(X, y, *arguments, **named)


class Classifier(SmallerInterceptSteps, hogwild.SGDClassifier):
    pass


class Regressor(SmallerInterceptSteps, hogwild.SGDRegressor):
    pass


def pytest_configure(config):
    """Not at import: whoever collects the tests' modules would compare ours with ours from then on."""
    sklearn.linear_model.SGDClassifier = Classifier
    sklearn.linear_model.SGDRegressor = Regressor


EXPECTED = {
    "test_plain_has_no_average_attr": "private attributes of scikit-learn's average",
    "test_validation_mask_correctly_subsets": "a private callback of scikit-learn's",
    "test_multi_thread_multi_class_and_early_stopping": (
        "the validation score is the whole classifier's, not that of each one-vs-rest problem"
    ),
    "test_tol_parameter": "the numbers of epochs depend on the order of rows; they are equal for some seeds there too",
}


def pytest_collection_modifyitems(items):
    for item in items:
        reason = EXPECTED.get(item.originalname)
        if reason and "OneClassSVM" not in item.name:  # which stays scikit-learn's own
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
