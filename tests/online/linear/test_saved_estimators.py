"""Online estimators in model files: they predict and go on as if never saved."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

import hogwild
from hogwild import online
from hogwild.data.errors import DataError

NAMES = [
    name for name in online.__all__ if name.endswith(("Classifier", "Regressor")) and not name.startswith("Online")
]


@pytest.mark.parametrize("name", NAMES)
def test_training_goes_on_as_if_never_saved(name, tmp_path):
    X, y = load_digits(return_X_y=True)
    X, y = X[:400] / 16, y[:400]
    if name.endswith("Regressor"):
        y = y.astype(float)
    here = getattr(online, name)(random_state=0).fit(X[:200], y[:200])
    hogwild.save(here, tmp_path / "m")
    loaded = hogwild.load(tmp_path / "m")
    assert type(loaded) is type(here) and loaded.get_params() == here.get_params()
    for model in (here, loaded):
        model.partial_fit(X[200:], y[200:])
    assert np.array_equal(here.predict(X), loaded.predict(X))
    assert np.array_equal(here.coef_, loaded.coef_) and np.array_equal(here.intercept_, loaded.intercept_)


def test_a_file_of_another_shape_is_refused(tmp_path):
    X, y = load_digits(return_X_y=True)
    model = online.AROWClassifier().fit(X, y)
    model._state.arrays.learnt = np.zeros(3, np.int64)
    hogwild.save(model, tmp_path / "m")
    with pytest.raises(DataError, match="learnt of int64 and shape"):
        hogwild.load(tmp_path / "m")
