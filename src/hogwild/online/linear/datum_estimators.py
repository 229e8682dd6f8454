"""Learners of any Jubatus configuration as scikit-learn estimators: rows are dicts or data, not vectors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from hogwild.online.configuration import parsed
from hogwild.online.datum import Datum
from hogwild.online.driver import Driver, make_driver


class _OfData(BaseEstimator):
    _kind: str

    def __init__(self, configuration):
        self.configuration = configuration

    def _new(self) -> Driver:
        given = self.configuration
        return make_driver(self._kind, parsed(given) if isinstance(given, str) else given)

    def _learn(self, driver: Driver, X: Any, y: Any) -> None:
        data, targets = _data(X), list(y)
        if len(data) != len(targets):
            raise ValueError(f"found {len(data)} examples and {len(targets)} targets, expected as many")
        driver.run("train", [list(zip(targets, data, strict=True))])

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "driver_" in state:  # closures of the converter cannot travel, the model can
            state["driver_"] = self.driver_.parts.state()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        states = state.get("driver_")
        super().__setstate__(state)
        if states is not None:
            self.driver_ = self._new()
            self.driver_.parts.restore(states)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.dict = True
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        return tags


def _data(X: Iterable[Any]) -> list[Datum]:
    return [one if isinstance(one, Datum) else Datum.of(one) for one in X]


class OnlineClassifier(ClassifierMixin, _OfData):
    """Classifier of any Jubatus configuration, by its converter.

    Parameters
    ----------
    configuration : mapping or str
        What a server of type classifier takes: ``method``, ``parameter``, ``converter``; a text is JSON.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels learnt so far.
    driver_ : hogwild.online.driver.Driver
        The learner, with all calls of its type.

    Examples
    --------
    >>> from hogwild.online.linear.estimators import OnlineClassifier
    >>> rules = {"string_rules": [{"key": "*", "type": "space"}], "num_rules": [{"key": "*", "type": "num"}]}
    >>> clf = OnlineClassifier({"method": "AROW", "parameter": {"regularization_weight": 1.0}, "converter": rules})
    >>> clf = clf.fit([{"text": "cheap pills", "links": 9}, {"text": "see you there", "links": 0}], ["spam", "ham"])
    >>> clf.partial_fit([{"text": "cheap", "links": 4}], ["spam"]).predict([{"text": "cheap watches"}]).tolist()
    ['spam']
    """

    _kind = "classifier"

    def fit(self, X, y):
        """Learn from the start, one pass.

        Parameters
        ----------
        X : iterable of mapping or Datum
        y : iterable of str, int or bool
            Labels of one kind.

        Returns
        -------
        self : object
        """
        driver = self._new()
        labels = np.asarray(list(y))
        self._learn(driver, X, map(str, labels.tolist()))
        self.driver_, self.classes_ = driver, np.unique(labels)
        return self

    def partial_fit(self, X, y, classes=None):
        """Learn on; new labels may come at any time.

        Parameters
        ----------
        X : iterable of mapping or Datum
        y : iterable of str, int or bool
        classes : array-like, optional
            Labels that are known from the start.

        Returns
        -------
        self : object
        """
        labels = np.asarray(list(y))
        driver = getattr(self, "driver_", None) or self._new()
        for label in [] if classes is None or hasattr(self, "driver_") else np.asarray(classes).tolist():
            driver.run("set_label", [str(label)])
        self._learn(driver, X, map(str, labels.tolist()))
        before = getattr(self, "classes_", labels[:0] if classes is None else np.asarray(classes))
        self.driver_, self.classes_ = driver, np.unique(np.concatenate([before, labels]))
        return self

    def decision_function(self, X):
        """Return the scores of `classes_` for each row; -inf for those that the learner has forgotten.

        Parameters
        ----------
        X : iterable of mapping or Datum

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        check_is_fitted(self)
        found = self.driver_.run("classify", [_data(X)])
        labels = list(map(str, self.classes_.tolist()))
        return np.array([[row.get(label, -np.inf) for label in labels] for row in map(dict, found)], float).reshape(
            len(found), len(labels)
        )

    def predict(self, X):
        """Return the label of the highest score for each row.

        Parameters
        ----------
        X : iterable of mapping or Datum

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        return self.classes_[self.decision_function(X).argmax(axis=1)]


class OnlineRegressor(RegressorMixin, _OfData):
    """Regression of any Jubatus configuration, by its converter.

    Parameters
    ----------
    configuration : mapping or str
        What a server of type regression takes: ``method``, ``parameter``, ``converter``; a text is JSON.

    Attributes
    ----------
    driver_ : hogwild.online.driver.Driver
        The learner, with all calls of its type.

    Examples
    --------
    >>> from hogwild.online.linear.estimators import OnlineRegressor
    >>> rules = {"num_rules": [{"key": "*", "type": "num"}]}
    >>> model = OnlineRegressor({"method": "PA", "parameter": {"sensitivity": 0.0}, "converter": rules})
    >>> model.fit([{"size": 2.0}], [3.0]).predict([{"size": 4.0}]).tolist()
    [6.0]
    """

    _kind = "regression"

    def fit(self, X, y):
        """Learn from the start, one pass.

        Parameters
        ----------
        X : iterable of mapping or Datum
        y : iterable of float

        Returns
        -------
        self : object
        """
        driver = self._new()
        self._learn(driver, X, map(float, y))
        self.driver_ = driver
        return self

    def partial_fit(self, X, y):
        """Learn on.

        Parameters
        ----------
        X : iterable of mapping or Datum
        y : iterable of float

        Returns
        -------
        self : object
        """
        driver = getattr(self, "driver_", None) or self._new()
        self._learn(driver, X, map(float, y))
        self.driver_ = driver
        return self

    def predict(self, X):
        """Return the estimate for each row.

        Parameters
        ----------
        X : iterable of mapping or Datum

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        return np.array(self.driver_.run("estimate", [_data(X)]))
