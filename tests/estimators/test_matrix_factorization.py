"""MatrixFactorization: ids, predictions, recommendations, threads, stopping, bad input."""

from __future__ import annotations

import lzma
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

import hogwild
from hogwild import Checkpoint, DivergedError, MatrixFactorization
from hogwild.engine import Replicas, Shared, Simulated

MOVIELENS = Path(__file__).parents[3] / "shared" / "data" / "ml-100k.u.data.xz"
LOSSES = ("squared", "absolute", "logistic", "bpr")


def ratings(n=4_000, n_users=60, n_items=40, seed=0):
    """Ratings from 1 to 5 of planted factors, with noise; every pair at most once, so at most n_users * n_items."""
    rng = np.random.default_rng(seed)
    cells = rng.permutation(n_users * n_items)[:n]
    users, items = np.divmod(cells, n_items)
    p, q = rng.normal(size=(n_users, 2)), rng.normal(size=(n_items, 2))
    scores = 3.0 + 0.5 * np.sin(users) + (p[users] * q[items]).sum(axis=1) + 0.1 * rng.normal(size=len(cells))
    return users, items, scores


def choices(seed=0):
    """What 80 users chose among 50 items: mostly those of their own group."""
    rng = np.random.default_rng(seed)
    users, items = np.divmod(np.arange(80 * 50), 50)
    chosen = rng.random(len(users)) < np.where(users % 2 == items % 2, 0.8, 0.03)
    return users[chosen], items[chosen]


# ------------------------------------------------------------------------------------------------ scores


@pytest.mark.parametrize("loss", ["squared", "absolute"])
@pytest.mark.parametrize("rate", ["adagrad", "constant", "invscaling", "epoch_decay"])
def test_it_fits_planted_ratings(loss, rate):
    users, items, y = ratings(n=2_000)
    kept = np.arange(len(y)) % 10 > 0
    eta0 = {"adagrad": None, "invscaling": 0.2}.get(rate, 0.05)
    model = MatrixFactorization(15, loss=loss, alpha=0.01, learning_rate=rate, eta0=eta0, max_iter=60, random_state=0)
    model.fit(users[kept], items[kept], y[kept])
    errors = model.predict(users[~kept], items[~kept]) - y[~kept]
    assert np.abs(errors).mean() < 0.4 * np.abs(y[~kept] - y[kept].mean()).mean()
    assert len(model.loss_curve_) == model.n_iter_ == 60
    assert model.t_ == 1 + 60 * kept.sum()


def test_predictions_are_mean_biases_and_products():
    users, items, y = ratings()
    model = MatrixFactorization(10, random_state=0).fit(users, items, 20.0 * y)
    expected = (
        model.mean_
        + model.user_biases_[users]
        + model.item_biases_[items]
        + (model.user_factors_[users] * model.item_factors_[items]).sum(axis=1)
    )
    np.testing.assert_allclose(model.predict(users, items), expected, rtol=1e-4)
    np.testing.assert_allclose(model.score_items([3, 5])[:, items[:20]].T, model.score_items([3, 5]).T[items[:20]])
    np.testing.assert_allclose(model.score_items(users[:20])[np.arange(20), items[:20]], expected[:20], rtol=1e-4)
    assert model.mean_ == pytest.approx(20.0 * y.mean())
    assert model.score(users, items, 20.0 * y) == pytest.approx(-np.sqrt(np.mean((expected - 20.0 * y) ** 2)), rel=1e-4)


def test_the_unit_of_ratings_makes_no_difference():
    users, items, y = ratings()
    small, large = (
        MatrixFactorization(10, random_state=0).fit(users, items, scale * y).predict(users, items) for scale in (1, 64)
    )
    np.testing.assert_allclose(64 * small, large, rtol=1e-5)


@pytest.mark.parametrize("biases", [True, False])
def test_non_negative_factors_stay_so(biases):
    users, items, y = ratings()
    y = np.abs(y)
    model = MatrixFactorization(10, non_negative=True, biases=biases, alpha=0.01, max_iter=60, random_state=0)
    model.fit(users, items, y)
    assert model.user_factors_.min() >= 0.0
    assert model.item_factors_.min() >= 0.0
    assert (model.item_factors_ == 0.0).any()
    assert -model.score(users, items, y) < 0.6 * y.std()
    assert biases == bool(model.user_biases_.any()) == bool(model.mean_)


def test_weights_count_like_repeated_rows_and_zeros_like_none():
    users, items, y = ratings(n=500)
    kept = np.arange(len(y)) % 3 > 0
    settings = {"shuffle": False, "random_state": 0, "max_iter": 3}
    weighted = MatrixFactorization(10, **settings).fit(users, items, y, sample_weight=kept.astype(float))
    alone = MatrixFactorization(10, **settings).fit(users[kept], items[kept], y[kept])
    assert len(weighted.users_) == len(alone.users_)  # so that first factors are the same
    assert (weighted.predict(users, items) == alone.predict(users, items)).all()
    heavy = MatrixFactorization(10, **settings).fit(users, items, y, sample_weight=np.where(kept, 1.0, 20.0))
    errors = np.abs(heavy.predict(users, items) - y)
    assert errors[~kept].mean() < np.abs(alone.predict(users, items) - y)[~kept].mean()


# ------------------------------------------------------------------------------------------------ choices


@pytest.mark.parametrize("loss", ["logistic", "bpr"])
def test_choices_are_ranked(loss):
    users, items = choices()
    held_out = np.arange(len(users)) % 5 == 0
    model = MatrixFactorization(15, loss=loss, max_iter=60, random_state=0).fit(users[~held_out], items[~held_out])
    ranked = model.rank(users[held_out], items[held_out], k=5)
    assert ranked.auc > 0.8
    assert model.score(users[held_out], items[held_out]) == pytest.approx(ranked.auc)
    assert model.user_biases_.any() == (loss == "logistic")
    assert model.item_biases_.any()


def test_the_logistic_loss_takes_negative_examples():
    users, items = np.divmod(np.arange(60 * 40), 40)
    y = np.where(users % 2 == items % 2, 1, 0)
    model = MatrixFactorization(7, loss="logistic", n_negatives=0, max_iter=80, random_state=0).fit(users, items, y)
    assert ((model.predict(users, items) > 0) == (y > 0)).mean() > 0.95
    assert model.mean_ == pytest.approx(0.0, abs=0.01)


def test_bpr_leaves_out_what_was_not_chosen():
    users, items = choices()
    values = np.where(np.arange(len(users)) % 2, 3.0, 0.0)
    model = MatrixFactorization(7, loss="bpr", random_state=0).fit(users, items, values)
    assert model.t_ == 1 + 20 * (values > 0).sum()


# ------------------------------------------------------------------------------------------------ ids


@pytest.mark.parametrize("kind", ["text", "large", "objects", "negative"])
def test_ids_of_any_kind_make_a_round_trip(kind):
    users, items, y = ratings(n=800)
    name = {
        "text": lambda x: np.char.add("id ", x.astype(str)),
        "large": lambda x: x.astype(np.int64) * 10**12 + 7,
        "objects": lambda x: np.array([f"{value:03d}" for value in x], dtype=object),
        "negative": lambda x: -x,
    }[kind]
    model = MatrixFactorization(7, random_state=0, max_iter=3).fit(name(users), name(items), y)
    assert set(model.users_.tolist()) == set(name(users).tolist())
    recommended, scores = model.recommend(name(users)[0], n=5)
    np.testing.assert_allclose(model.predict([name(users)[0]] * 5, recommended), scores, rtol=1e-5)
    similar, _ = model.similar_items(name(items)[0], n=5)
    assert set(similar.tolist()) <= set(name(items).tolist()) - {name(items)[0]}
    assert set(model.seen_items(name(users)[0]).tolist()) == set(name(items[users == users[0]]).tolist())


def test_matrices_and_frames_are_the_same_rows():
    users, items, y = ratings(n=800)
    settings = {"n_factors": 7, "random_state": 0, "max_iter": 3}
    whole = MatrixFactorization(**settings).fit(users, items, y)
    matrix = sp.coo_matrix((y, (users, items)), shape=(len(whole.users_), len(whole.items_)))
    expected = whole.predict(users, items)
    assert (MatrixFactorization(**settings).fit(matrix).predict(users, items) == expected).all()
    frame = pd.DataFrame({"a": users, "b": items, "c": y})
    assert (MatrixFactorization(**settings).fit(frame).predict(users, items) == expected).all()
    named = pd.DataFrame({"time": 0, "rating": y, "item": items, "user": users})
    model = MatrixFactorization(**settings).fit(named)
    assert (model.predict(named) == expected).all()
    assert model.score(named) == whole.score(users, items, y)
    csr = MatrixFactorization(**settings).fit(sp.csr_matrix(matrix))
    assert csr.score(matrix) == pytest.approx(csr.score(users, items, y))


def test_explicit_zeros_are_ratings_and_empty_rows_keep_their_numbers():
    X = sp.csr_matrix((np.array([0.0, 4.0, 2.0, 2.0]), np.array([0, 3, 0, 3]), np.array([0, 2, 2, 4, 4])), shape=(4, 5))
    model = MatrixFactorization(3, random_state=0).fit(X)
    assert model.t_ == 1 + 20 * 4
    assert model.mean_ == 2.0
    assert model.users_.tolist() == [0, 1, 2, 3]
    assert model.predict([1], [2])[0] == pytest.approx(model.mean_)
    assert not model.user_factors_[1].any()


def test_unknown_ids_have_no_bias_and_no_factors():
    users, items, y = ratings()
    model = MatrixFactorization(7, random_state=0, max_iter=3).fit(users, items, y)
    both, user, item = model.predict([99, 99, 3], [99, 5, 99])
    assert both == pytest.approx(model.mean_)
    assert user == pytest.approx(model.mean_ + model.item_biases_[5], rel=1e-6)
    assert item == pytest.approx(model.mean_ + model.user_biases_[3], rel=1e-6)
    recommended, _ = model.recommend(99, n=3)
    assert recommended.tolist() == np.argsort(-model.item_biases_, kind="stable")[:3].tolist()
    assert model.seen_items(99).size == 0
    with pytest.raises(ValueError, match="found the item 99, expected one"):
        model.similar_items(99)
    with pytest.raises(ValueError, match="expected ids such as"):
        model.predict(["a"], [3])


# ------------------------------------------------------------------------------------------------ recommending


def test_recommendations_are_the_best_items_that_are_not_seen():
    users, items, y = ratings(n=1_500)
    model = MatrixFactorization(7, random_state=0, max_iter=3).fit(users, items, y)
    scores = model.score_items(model.users_)
    for user in (0, 7, 59):
        unseen = np.setdiff1d(np.arange(40), items[users == user])
        order = unseen[np.argsort(-scores[user, unseen], kind="stable")]
        found, values = model.recommend(user, n=5)
        assert found.tolist() == order[:5].tolist()
        np.testing.assert_allclose(values, scores[user, order[:5]], rtol=1e-6)
        everything, _ = model.recommend(user, n=100, exclude_seen=False)
        assert everything.tolist() == np.argsort(-scores[user], kind="stable").tolist()
        assert len(model.recommend(user, n=100)[0]) == len(unseen)
    many, values = model.recommend([0, 7, 59], n=5)
    assert many[1].tolist() == model.recommend(7, n=5)[0].tolist()
    assert many.shape == values.shape == (3, 5)
    assert np.isneginf(model.recommend([0], n=40)[1]).sum() == (users == 0).sum()


def test_similar_items_have_the_largest_cosine():
    users, items, y = ratings()
    model = MatrixFactorization(7, random_state=0).fit(users, items, y)
    factors = model.item_factors_.astype(np.float64)
    unit = factors / np.linalg.norm(factors, axis=1, keepdims=True)
    cosines = unit @ unit[4]
    cosines[4] = -2.0
    found, values = model.similar_items(4, n=6)
    assert found.tolist() == np.argsort(-cosines)[:6].tolist()
    np.testing.assert_allclose(values, cosines[found], atol=1e-5)
    assert model.similar_items([4, 5], n=100)[0].shape == (2, 39)


# ------------------------------------------------------------------------------------------------ engines


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "engine",
    [
        "auto",
        Shared(),
        Replicas(interval=256, head=20),
        Replicas(deterministic=True),
        Simulated(4, interval=64),
    ],
    ids=str,
)
def test_many_threads_fit_as_well_as_one(loss, engine):
    users, items, y = ratings(n=2_000)
    kept = np.arange(len(y)) % 10 > 0
    if loss in ("logistic", "bpr"):
        y = np.where(y > np.median(y), 1.0, 0.0)

    def score(**more):
        fits = [
            MatrixFactorization(15, loss=loss, alpha=0.02, max_iter=40, random_state=seed, n_negatives=1, **more)
            for seed in range(3)
        ]
        return np.mean(
            [fit.fit(users[kept], items[kept], y[kept]).score(users[~kept], items[~kept], y[~kept]) for fit in fits]
        )

    one, two = score(), score(n_jobs=2, engine=engine)
    assert two > one - (0.04 if loss in ("logistic", "bpr") else 0.12 * abs(one))


@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_seed_gives_the_same_bits(loss):
    users, items, y = ratings(n=1_000)
    for more in ({}, {"n_jobs": 2, "engine": Replicas(deterministic=True)}):
        first, second = (
            MatrixFactorization(7, loss=loss, max_iter=4, random_state=3, **more).fit(users, items, y - 3.0)
            for _ in range(2)
        )
        assert (first.user_factors_ == second.user_factors_).all()
    other = MatrixFactorization(7, loss=loss, max_iter=4, random_state=4).fit(users, items, y - 3.0)
    assert (first.user_factors_ != other.user_factors_).any()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_fit_goes_on_from_a_checkpoint_with_the_same_bits(loss, tmp_path):
    users, items, y = ratings(n=1_000)
    settings = {"n_factors": 7, "loss": loss, "random_state": 0}
    MatrixFactorization(max_iter=2, checkpoint=Checkpoint(tmp_path), **settings).fit(users, items, y)
    gone_on = MatrixFactorization(max_iter=4, checkpoint=Checkpoint(tmp_path, resume=True), **settings)
    gone_on.fit(users, items, y)
    whole = MatrixFactorization(max_iter=4, **settings).fit(users, items, y)
    assert (gone_on.user_factors_ == whole.user_factors_).all()
    with pytest.raises(ValueError, match="of another run"):
        gone_on.fit(users[1:], items[1:], y[1:])


# ------------------------------------------------------------------------------------------------ stopping, going on


@pytest.mark.parametrize("loss", LOSSES)
def test_early_stopping_keeps_the_best_factors(loss):
    users, items, y = ratings(n=1_500)
    kept = np.arange(len(y)) % 10 > 0
    model = MatrixFactorization(
        31, loss=loss, alpha=0.0, eta0=0.3, max_iter=200, early_stopping=True, n_iter_no_change=4, random_state=0
    )
    model.fit(users[kept], items[kept], y[kept], validation=(users[~kept], items[~kept], y[~kept]))
    assert model.n_iter_ < 200
    assert model.validation_scores_[model.best_iter_ - 1] == max(model.validation_scores_)
    if loss in ("squared", "absolute"):
        assert model.score(users[~kept], items[~kept], y[~kept]) == pytest.approx(max(model.validation_scores_))
    inside = clone(model).fit(users, items, y)
    assert inside.n_iter_ < 200
    assert len(inside.users_) == 60


def test_warm_start_goes_on_and_takes_in_new_ids():
    users, items, y = ratings(n=2_000)
    old = (users < 40) & (items > 5)
    model = MatrixFactorization(7, warm_start=True, max_iter=10, random_state=0).fit(users[old], items[old], y[old])
    before, t = model.predict(users[old], items[old]), model.t_
    model.set_params(max_iter=1, eta0=1e-6).fit(users, items, y)
    np.testing.assert_allclose(model.predict(users[old], items[old]), before, atol=1e-3)
    assert model.t_ == t + len(y)
    assert len(model.users_) == 60
    assert len(model.loss_curve_) == 11
    with pytest.raises(ValueError, match="same n_factors"):
        model.set_params(n_factors=20).fit(users, items, y)


def test_callbacks_end_a_fit():
    users, items, y = ratings()
    model = MatrixFactorization(7, callback=lambda progress: progress.epoch == 2, random_state=0).fit(users, items, y)
    assert model.n_iter_ == 2


def test_too_large_steps_are_named():
    users, items, y = ratings()
    model = MatrixFactorization(7, learning_rate="constant", eta0=1e6, random_state=0)
    with pytest.raises(DivergedError, match="eta0=1e"):
        model.fit(users, items, y)


# ------------------------------------------------------------------------------------------------ conventions


def test_it_clones_pickles_and_shows_itself():
    users, items, y = ratings()
    model = MatrixFactorization(7, alpha=0.03, random_state=0)
    assert repr(model) == "MatrixFactorization(alpha=0.03, n_factors=7, random_state=0)"
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        model.predict([1], [1])
    with pytest.raises(NotFittedError):
        model.recommend(1)
    assert not hasattr(model, "user_factors_")
    model.fit(users, items, y)
    other = pickle.loads(pickle.dumps(model))
    assert (other.predict(users, items) == model.predict(users, items)).all()
    assert other.recommend(1)[0].tolist() == model.recommend(1)[0].tolist()


@pytest.mark.parametrize("loss", LOSSES)
def test_files_keep_everything(loss, tmp_path):
    users, items, y = ratings(n=1_000)
    names = np.char.add("Zoë ", users.astype(str))
    model = MatrixFactorization(7, loss=loss, max_iter=3, random_state=0, warm_start=True).fit(names, items, y)
    hogwild.save(model, tmp_path / "model")
    loaded = hogwild.load(tmp_path / "model")
    assert (loaded.predict(names, items) == model.predict(names, items)).all()
    assert loaded.recommend("Zoë 7")[0].tolist() == model.recommend("Zoë 7")[0].tolist()
    assert loaded.loss_curve_ == model.loss_curve_
    assert loaded.get_params() == model.get_params()
    assert (loaded.fit(names, items, y).user_factors_ == model.fit(names, items, y).user_factors_).all()


def test_a_grid_search_takes_data_frames():
    users, items, y = ratings(n=1_000)
    search = GridSearchCV(MatrixFactorization(7, max_iter=3, random_state=0), {"alpha": [0.01, 100.0]}, cv=2)
    search.fit(pd.DataFrame({"user": users, "item": items, "rating": y}))
    assert search.best_params_ == {"alpha": 0.01}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [1], [1.0, 2.0]), "found 2 users and 1 items"),
        (([1, 2], [1, 2], [1.0]), "found values of shape"),
        (([1, 2], [1, 2], [1.0, np.nan]), r"values\[1\] is nan, expected a finite number"),
        (([1, 2], [1, 2], ["a", "b"]), "expected numbers"),
        (([1, 2], [1, 2]), "found no values"),
        (([], [], []), "found no rows"),
        (([1.0, np.nan], [1, 2], [1.0, 2.0]), r"users\[1\] is nan, expected an id"),
        (([1, 2], ["a", None], [1.0, 2.0]), r"items\[1\] is None, expected an id"),
        (([[1], [2]], [1, 2], [1.0, 2.0]), "expected a flat array of ids"),
        (([1, 2],), "expected arrays of users and items"),
        ((sp.csr_matrix((2, 2)), [1]), "expected it alone"),
        ((sp.csr_matrix((2, 2)),), "found no rows"),
        ((np.array([1, "a"], dtype=object), [1, 2], [1.0, 2.0]), "expected ids that can be ordered"),
        ((pd.DataFrame({"user": [1]}),), "found a data frame with 1 column"),
    ],
)
def test_bad_rows_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        MatrixFactorization().fit(*arguments)


@pytest.mark.parametrize(
    ("parameters", "arguments", "message"),
    [
        ({"n_factors": 0}, {}, "n_factors"),
        ({"loss": "hinge"}, {}, "loss"),
        ({"engine": "locked"}, {}, "engine"),
        ({}, {"sample_weight": [-1.0, 1.0]}, "found sample_weight with negative numbers"),
        ({}, {"sample_weight": [0.0, 0.0]}, "zeros only"),
        ({}, {"validation": ([1], [1], [1.0])}, "expected early_stopping=True"),
        ({"early_stopping": True}, {}, "expected more rows"),
        ({"early_stopping": True}, {"validation": ([], [], [])}, "found validation rows"),
    ],
)
def test_bad_parameters_are_named(parameters, arguments, message):
    with pytest.raises(ValueError, match=message):
        MatrixFactorization(**parameters).fit([1, 2], [3, 4], [1.0, 2.0], **arguments)


@pytest.mark.parametrize("loss", LOSSES)
def test_one_user_one_item_one_row(loss):
    model = MatrixFactorization(3, loss=loss, random_state=0).fit(["a"], ["b"], [4.0])
    assert np.isfinite(model.predict(["a"], ["b"])).all()
    assert model.recommend("a")[0].size == 0
    assert model.recommend("a", exclude_seen=False)[0].tolist() == ["b"]
    assert model.similar_items("b")[0].size == 0
    alone = MatrixFactorization(3, loss=loss, random_state=0).fit([1] * 20, np.arange(20), np.arange(20.0))
    assert np.isfinite(alone.score_items([1])).all()
    if loss == "squared":
        assert model.predict(["a"], ["b"])[0] == pytest.approx(4.0, rel=1e-3)


# ------------------------------------------------------------------------------------------------ MovieLens


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_movielens(n_jobs):
    if not MOVIELENS.exists():
        pytest.skip(f"{MOVIELENS.name} is not here")
    with lzma.open(MOVIELENS) as file:
        data = np.loadtxt(file, dtype=np.int64)
    errors = []
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(data))
        train, test = data[order[:90_000]], data[order[90_000:]]
        model = MatrixFactorization(n_jobs=n_jobs, random_state=seed).fit(*train[:, :3].T)
        errors.append(-model.score(*test[:, :3].T))
    assert np.mean(errors) < 0.915
    assert max(errors) < 0.93
