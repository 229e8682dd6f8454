"""Model files: the same predictions, the same next step after loading, and clear errors for bad files."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import save as to_bytes
from sklearn.exceptions import NotFittedError

import hogwild
from hogwild import FFMClassifier, FFMRegressor, FMClassifier, FMRegressor
from hogwild.data import Columns, FieldRows, make_rcv1_like
from hogwild.engine import Replicas
from hogwild.models import ModelError, describe
from hogwild.storage import digest

X, NUMBERS = make_rcv1_like(600, 200, row_length=15, n_classes=3)
LABELS = {
    "int": NUMBERS,
    "int8": NUMBERS.astype(np.int8),
    "float": NUMBERS.astype(np.float64),
    "text": np.array(["eggs", "spam", "häm"])[NUMBERS],
    "object": np.array(["eggs", "spam", "häm"], dtype=object)[NUMBERS],
    "bool": NUMBERS > 0,
    "two": (NUMBERS > 0) * 2 - 1,
}


def classifier(**parameters):
    return hogwild.SGDClassifier(**{"loss": "log_loss", "max_iter": 2, "tol": None, "random_state": 3} | parameters)


def reloaded(estimator, tmp_path, **extra):
    hogwild.save(estimator, tmp_path / "model", **extra)
    return hogwild.load(tmp_path / "model")


def assert_same(a, b):
    """Attribute for attribute: a new one that `save` does not know shows here."""
    seconds = {"step_seconds_", "wait_seconds_"}  # left out, or the same model would not be the same file
    names = vars(a).keys() - seconds
    assert names == vars(b).keys() - seconds
    for name in names - {"_state", "callback", "random_state"}:
        one, other = getattr(a, name), getattr(b, name)
        if hasattr(one, "toarray"):
            one, other = one.toarray(), other.toarray()
        np.testing.assert_array_equal(one, other, err_msg=name)
        assert getattr(one, "dtype", type(one)) == getattr(other, "dtype", type(other)), name
    assert (a._state.t, a._state.penalty, a._state.averaged_rows) == (
        b._state.t,
        b._state.penalty,
        b._state.averaged_rows,
    )
    for one, other in [(a._state.coef, b._state.coef), (a._state.intercept, b._state.intercept)]:
        np.testing.assert_array_equal(one, other)
    assert a._state.arrays.keys() == b._state.arrays.keys()
    for name, array in a._state.arrays.items():
        np.testing.assert_array_equal(array, b._state.arrays[name], err_msg=name)


@pytest.mark.parametrize("labels", LABELS)
def test_labels_survive(tmp_path, labels):
    clf = classifier().fit(X, LABELS[labels])
    loaded = reloaded(clf, tmp_path)
    assert loaded.classes_.dtype == clf.classes_.dtype
    assert_same(clf, loaded)
    np.testing.assert_array_equal(loaded.predict(X), clf.predict(X))
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))


SETTINGS = {
    "optimal": {},
    "l1": {"penalty": "l1"},
    "average": {"average": True},
    "average from row 900": {"average": 900, "learning_rate": "constant"},
    "adagrad": {"learning_rate": "adagrad", "penalty": "elasticnet"},
    "ftrl": {"learning_rate": "ftrl", "eta0": 0.1, "penalty": "l1"},
    "search": {"learning_rate": "search"},
    "search again": {"learning_rate": "search", "search_every": 500},
    "adaptive": {"learning_rate": "adaptive", "eta0": 0.1, "early_stopping": True},
    "passive": {"loss": "hinge", "learning_rate": "pa1", "eta0": 1.0},
    "deterministic": {"n_jobs": 2, "engine": Replicas(interval=64, deterministic=True)},
    "class weights": {"class_weight": {-1: 1.0, 1: 2.5}},
    "no penalty": {"penalty": None, "fit_intercept": False},
}


@pytest.mark.parametrize("settings", SETTINGS)
def test_training_goes_on_as_if_never_saved(tmp_path, settings):
    rows, y = X, LABELS["two"]
    clf = classifier(**SETTINGS[settings]).fit(rows, y)
    loaded = reloaded(clf, tmp_path)
    assert_same(clf, loaded)
    if settings == "adaptive":
        return  # early_stopping has no partial_fit
    for part in (slice(0, 300), slice(300, 600)):
        clf.partial_fit(rows[part], y[part])
        loaded.partial_fit(rows[part], y[part])
    assert_same(clf, loaded)
    np.testing.assert_array_equal(clf.decision_function(rows), loaded.decision_function(rows))


@pytest.mark.parametrize("settings", [{}, {"learning_rate": "ftrl", "eta0": 0.1}, {"loss": "huber", "average": True}])
def test_regressors(tmp_path, settings):
    rows, y = X.astype(np.float64), NUMBERS.astype(np.float64)
    reg = hogwild.SGDRegressor(max_iter=3, tol=None, random_state=0, **settings).fit(rows, y)
    loaded = reloaded(reg, tmp_path)
    np.testing.assert_array_equal(reg.predict(rows), loaded.predict(rows))
    assert_same(reg.partial_fit(rows, y), loaded.partial_fit(rows, y))


def test_names_of_features(tmp_path):
    frame = pd.DataFrame(X[:, :5].toarray(), columns=["a", "b", "c", "d", "e"])
    clf = classifier().fit(frame, LABELS["two"])
    loaded = reloaded(clf, tmp_path)
    np.testing.assert_array_equal(loaded.predict(frame), clf.predict(frame))
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(frame[["b", "a", "c", "d", "e"]])


def test_sparsified_and_edited_weights(tmp_path):
    clf = classifier(penalty="l1", alpha=0.01).fit(X, NUMBERS).sparsify()
    assert_same(clf, reloaded(clf, tmp_path))
    edited = classifier(average=True).fit(X, NUMBERS)
    edited.coef_ = edited.coef_ * 2
    loaded = reloaded(edited, tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(X), edited.predict_proba(X))
    assert_same(edited, loaded)


def test_what_cannot_be_written_is_named(tmp_path):
    clf = classifier(callback=print, random_state=np.random.RandomState(0))
    clf.callback = lambda progress: None
    loaded = reloaded(clf.fit(X, NUMBERS), tmp_path)
    assert loaded.callback is None
    assert loaded.random_state is None
    assert describe(tmp_path / "model")["absent"] == ["callback", "random_state"]
    loaded.partial_fit(X, NUMBERS)


def test_describe(tmp_path):
    clf = classifier(class_weight={0: 1, 1: 2, 2: 0.5}, engine=Replicas(head=4), n_jobs=2).fit(X, LABELS["int"])
    hogwild.save(clf, tmp_path / "model", extra={"source": "mails.svm", "zero_based": False})
    about = describe(tmp_path / "model")
    assert about["class"] == "SGDClassifier"
    assert about["format"] == 1
    assert about["hogwild"] == hogwild.__version__
    assert about["classes"] == [0, 1, 2]
    assert about["parameters"]["engine"] == Replicas(head=4)
    assert about["parameters"]["class_weight"] == {0: 1, 1: 2, 2: 0.5}
    assert about["fitted"]["loss_curve_"] == clf.loss_curve_
    assert about["arrays"]["coef"] == (200, 3)  # feature-major
    assert about["extra"] == {"source": "mails.svm", "zero_based": False}


def test_other_programs_can_read_the_arrays(tmp_path):
    clf = classifier().fit(X, NUMBERS)
    hogwild.save(clf, tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", "np") as file:
        np.testing.assert_array_equal(file.get_tensor("coef"), clf.coef_.T)
        assert all(json.loads(text) is not ... for key, text in file.metadata().items() if key != "digest")


def test_what_is_no_fitted_estimator(tmp_path):
    class SGDClassifier(hogwild.SGDClassifier):
        """Not ours, whatever its name is."""

    with pytest.raises(NotFittedError):
        hogwild.save(classifier(), tmp_path / "model")
    for other in (SGDClassifier().fit(X, NUMBERS), {"coef_": 1}):
        with pytest.raises(TypeError, match="expected one of SGDClassifier, SGDRegressor"):
            hogwild.save(other, tmp_path / "model")
    with pytest.raises(ValueError, match="not compressed"):
        hogwild.save(classifier().fit(X, NUMBERS), tmp_path / "model.gz")
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------ bad files


def rewritten(path, change, arrays=None):
    """Write the model with changed metadata, as an attacker or a newer version would."""
    with safe_open(path, "np") as file:
        metadata, kept = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(metadata)
    path.write_bytes(to_bytes(arrays or kept, metadata))


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model"
    hogwild.save(classifier().fit(X, NUMBERS), path)
    return path


CHANGES = {
    "newer": ({"format": "2"}, r"model: found format version 2 \(written by hogwild .*\), expected 1: a newer"),
    "unknown version": ({"format": '"x"'}, "format version 'x'"),
    "another class": ({"class": '"os.system"'}, "found a model of class 'os.system', expected one of SGDClassifier"),
    "changed parameter": ({"parameters": '{"alpha": 1e9}'}, "does not agree with its digest"),
    "changed classes": ({"classes": '{"dtype": "object", "kind": "int", "values": [1]}'}, "digest"),
    "no JSON": ({"fitted": "{"}, "a damaged description"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_altered_descriptions(model, change):
    values, message = CHANGES[change]
    rewritten(model, lambda metadata: metadata.update(values))
    with pytest.raises(ModelError, match=message) as caught:
        hogwild.load(model)
    assert isinstance(caught.value, ValueError)
    assert str(model) in str(caught.value)


def test_description_with_a_right_digest_that_makes_no_model(model):
    from hogwild.storage import digest

    def change(metadata):
        metadata["fitted"] = '{"predict": 1}'
        del metadata["digest"]
        with safe_open(model, "np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata["digest"] = digest(metadata, arrays)

    rewritten(model, change)
    with pytest.raises(ModelError, match=r"makes no model.*unknown attribute predict"):
        hogwild.load(model)


def test_flipped_bit_in_a_weight(model):
    content = bytearray(model.read_bytes())
    content[-40] ^= 1
    model.write_bytes(content)
    with pytest.raises(ModelError, match="digest"):
        hogwild.load(model)
    assert describe(model)["class"] == "SGDClassifier"


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 100, -1])
def test_truncated_files(model, kept):
    model.write_bytes(model.read_bytes()[:kept])
    for read in (hogwild.load, describe):
        with pytest.raises(ModelError, match=r"model: found a damaged or truncated file.*expected a model file"):
            read(model)


def test_other_files(tmp_path):
    path = tmp_path / "rows.svm"
    path.write_text("1 1:0.5\n" * 100)
    with pytest.raises(ModelError, match="expected a model file of hogwild"):
        hogwild.load(path)
    path.write_bytes(to_bytes({"coef": np.zeros(3)}))
    with pytest.raises(ModelError, match="without hogwild's description"):
        hogwild.load(path)
    with pytest.raises(FileNotFoundError, match=r"none\.model"):
        hogwild.load(tmp_path / "none.model")
    with pytest.raises(OSError, match="directory"):
        hogwild.load(tmp_path)


def test_an_error_while_writing_leaves_the_old_file(model, monkeypatch):
    before = model.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        hogwild.save(classifier(alpha=1.0).fit(X, NUMBERS), model)
    assert model.read_bytes() == before
    assert [file.name for file in model.parent.iterdir()] == ["model"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_kill_while_saving_leaves_a_whole_file(tmp_path):
    path = tmp_path / "model"
    script = textwrap.dedent(
        f"""
        import hogwild
        from hogwild.data import make_rcv1_like
        X, y = make_rcv1_like(300, 400_000)
        clf = hogwild.SGDClassifier(loss="log_loss", max_iter=1, tol=None).fit(X, y)
        hogwild.save(clf, {str(path)!r})
        print("saved", flush=True)
        while True:
            hogwild.save(clf, {str(path)!r})
        """
    )
    for wait in np.linspace(0.0, 0.04, 20):
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
            assert child.stdout.readline() == b"saved\n"
            time.sleep(wait)
            child.kill()
        assert hogwild.load(path).coef_.shape == (1, 400_000)


# ---------------------------------------------------------------------------------------------------- models of factors


def clicks():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"site": rng.choice(list("abcd"), 300), "day": rng.choice(list("xyz"), 300)})
    return frame, np.where((frame.site > "b") == (frame.day == "x"), "yes", "no")


def factor_models():
    frame, y = clicks()
    one_hot = pd.get_dummies(frame).to_numpy(np.float32)
    rows = FieldRows.from_table(frame, Columns(bits=10)).numbered()
    numbers = np.where(y == "yes", 2.5, -1.0)
    fields = np.array([0] * 4 + [1] * 3)
    settings = {"random_state": 0, "max_iter": 4}
    return {
        "table": (FFMClassifier(**settings), frame, y),
        "matrix": (FFMClassifier(fields, linear_terms=True, **settings), one_hot, y),
        "own fields": (FFMClassifier(n_factors=6, class_weight="balanced", **settings), one_hot, y == "yes"),
        "rows": (FFMClassifier(early_stopping=True, **settings), rows, y),
        "regressor": (FFMRegressor(list(fields), normalize=False, **settings), one_hot, numbers),
        "fm": (FMClassifier(**settings), one_hot, y),
        "fm, ftrl": (FMClassifier(learning_rate="ftrl", n_factors=3, **settings), one_hot, y),
        "fm, sgd": (FMRegressor(learning_rate="invscaling", **settings), one_hot, numbers),
    }


FACTORS = ["table", "matrix", "own fields", "rows", "regressor", "fm", "fm, ftrl", "fm, sgd"]


def assert_same_factors(a, b):
    names = vars(a).keys() - {"step_seconds_"}
    assert names == vars(b).keys() - {"step_seconds_"}
    for name in names - {"_state"}:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert a._state.t == b._state.t
    assert a._state.arrays.keys() == b._state.arrays.keys()
    for name, array in a._state.arrays.items():
        np.testing.assert_array_equal(array, b._state.arrays[name], err_msg=name)
        assert b._state.arrays[name].ctypes.data % 64 == 0 or not array.size
        assert b._state.arrays[name].dtype == array.dtype


@pytest.mark.parametrize("name", FACTORS)
def test_models_of_factors(tmp_path, name):
    model, X, y = factor_models()[name]
    loaded = reloaded(model.fit(X, y), tmp_path, extra={"note": 1})
    assert_same_factors(model, loaded)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    for each in (model, loaded):
        each.set_params(warm_start=True, random_state=1).fit(X, y)
    assert_same_factors(model, loaded)
    about = describe(tmp_path / "model")
    assert (about["class"], about["extra"], about["absent"]) == (type(model).__name__, {"note": 1}, [])
    assert about["fitted"].get("n_fields_", 2) == (7 if name == "own fields" else 2)


@pytest.mark.parametrize("name", FACTORS)
def test_arrays_that_make_no_model_of_factors(tmp_path, name):
    model, X, y = factor_models()[name]
    hogwild.save(model.fit(X, y), tmp_path / "model")

    largest = "state.blocks" if "blocks" in model._state.arrays else "state.factors"

    def narrower(arrays):
        arrays[largest] = arrays[largest][:, :-1]

    def fewer(arrays):
        arrays[largest] = arrays[largest][:-1]

    def none(arrays):
        del arrays[largest]

    def wide(arrays):
        arrays[largest] = arrays[largest].astype(np.float64)

    with safe_open(tmp_path / "model", "np") as file:
        texts, whole = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for change in (narrower, fewer, none, wide):
        arrays = {key: np.ascontiguousarray(array) for key, array in whole.items()}
        change(arrays)
        arrays = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
        texts["digest"] = digest(texts, arrays)
        (tmp_path / "altered").write_bytes(to_bytes(arrays, texts))
        with pytest.raises(ModelError, match="makes no model"):
            hogwild.load(tmp_path / "altered")
