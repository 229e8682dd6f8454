"""Test accuracies of one pass, as the original's (``digits`` and ``breast cancer`` of scikit-learn)."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

from hogwild.online.datum import Datum
from hogwild.online.linear.classifier import Classifier

EXPECTED = {
    "digits": {
        "perceptron": 0.894,
        "PA": 0.917,
        "PA1": 0.917,
        "PA2": 0.917,
        "CW": 0.944,
        "AROW": 0.947,
        "NHERD": 0.925,
    },
    "cancer": {"perceptron": 0.895, "PA": 0.851, "CW": 0.868, "AROW": 0.868, "NHERD": 0.904},
}
LOAD = {"digits": load_digits, "cancer": load_breast_cancer}


@pytest.mark.parametrize(("data", "method"), [(data, method) for data in EXPECTED for method in EXPECTED[data]])
def test_one_pass_is_as_accurate_as_the_originals(data, method):
    X, y = LOAD[data](return_X_y=True)
    X = X / (np.abs(X).max(axis=0) + 1e-9)
    examples = [Datum.of({f"f{j}": v for j, v in enumerate(row) if v}) for row in X.tolist()]
    order = np.random.RandomState(0).permutation(len(y))
    train, test = order[: int(0.8 * len(y))], order[int(0.8 * len(y)) :]
    rules = {"num_rules": [{"key": "*", "type": "num"}]}
    classifier = Classifier({"method": method, "parameter": {"regularization_weight": 1.0}, "converter": rules})
    classifier.run("train", [[(str(y[i]), examples[i]) for i in train]])
    scores = classifier.run("classify", [[examples[i] for i in test]])
    found = [max(row, key=lambda pair: pair[1])[0] for row in scores]
    assert np.mean(np.array(found) == y[test].astype(str)) == pytest.approx(EXPECTED[data][method], abs=0.005)
