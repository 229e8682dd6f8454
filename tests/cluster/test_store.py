"""The shard's table against a twin that looks at every number, and what workers send it."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from cluster.naive_store import NaiveStore
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.cluster.deltas import ALL, Delta, KeySet, Request
from hogwild.cluster.keys import UnknownKeysError, key_set
from hogwild.cluster.layout import Layout
from hogwild.cluster.sending import make_delta, payload_bytes, take_over
from hogwild.cluster.store import TableStore


def make_layout(width=1, n_features=8, n_rest=0, dtype="float64", kinds=None, rest=None, decays=True):
    kinds = np.zeros(width, np.uint8) if kinds is None else np.array(kinds, np.uint8)
    rest = np.zeros((n_rest, width), np.uint8) if rest is None else np.array(rest, np.uint8).reshape(n_rest, width)
    return Layout(n_features, n_features + n_rest, width, dtype, kinds, rest, np.broadcast_to(decays, width).copy())


@st.composite
def layouts(draw):
    width, n_features, n_rest = draw(st.sampled_from([1, 1, 3])), draw(st.integers(0, 9)), draw(st.integers(0, 3))
    kinds = draw(st.lists(st.integers(0, 2), min_size=width, max_size=width))
    rest = draw(st.lists(st.integers(0, 2), min_size=width * n_rest, max_size=width * n_rest))
    decays = draw(st.lists(st.booleans(), min_size=width, max_size=width))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    return make_layout(width, n_features, n_rest, dtype, kinds, rest, decays)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_sequence_agrees_with_the_twin(data):
    layout = data.draw(layouts())
    low = data.draw(st.integers(0, layout.n_keys))
    high = data.draw(st.integers(low, layout.n_keys))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    shape = high - low, layout.width
    values = rng.normal(size=shape).astype(layout.dtype)
    store, naive = TableStore(layout, low, high, values), NaiveStore(layout, low, high, values)
    kept = None
    tolerance = 2e-4 if layout.dtype == "float32" else 1e-9
    held, then = {}, {}  # what a worker holds of each key set: values, sums, version
    penalties = data.draw(st.sampled_from(["none", "l2", "l1", "both", "steep"]))
    for _ in range(data.draw(st.integers(1, 12))):
        action = data.draw(st.sampled_from(["push", "push", "push", "read", "snapshot", "restore"]))
        keys = np.flatnonzero(rng.random(high - low) < rng.choice([0.3, 0.8, 1.0])).astype(np.uint32) + np.uint32(low)
        named = key_set(keys, low, high)
        if action == "push":
            positions = None
            if rng.random() < 0.5:
                positions = np.flatnonzero(rng.random(len(keys)) < 0.5).astype(np.uint32)
            touched = keys if positions is None else keys[positions]
            deltas = rng.normal(size=(len(touched), layout.width))
            half = rng.random() < 0.2
            curvature = rng.exponential(size=deltas.shape).astype(np.float32) if rng.random() < 0.5 else None
            push = Delta(
                named,
                positions,
                deltas.astype(np.float16 if half else layout.dtype),
                rows=int(rng.integers(1, 100)),
                eta=float(rng.choice([0.0, 0.01, 1.0])),
                constant=float(rng.choice([0.001, 0.1, 1.0])),
                curvature=curvature,
                log_decay={"l2": -0.1, "both": -0.1, "steep": -9.0}.get(penalties, 0.0) * rng.random(),
                shrink=0.3 * rng.random() if penalties in ("l1", "both", "steep") else 0.0,
            )
            active = int(rng.integers(1, 9))
            assert store.missing(push, None) == ()
            store.apply(push if rng.random() < 0.5 else push.brief(), active)
            naive.apply(touched, push, active)
        elif action == "read":
            since = then[named.id][1] if named.id in then else -1
            answer = store.read(Request(named, since))
            if answer.positions is None and named.id not in held:
                held[named.id] = np.empty((len(keys), layout.width), layout.dtype)
            n_features = int(np.searchsorted(keys, layout.n_features))
            sums = take_over(held[named.id], answer, n_features, layout.decays, then.get(named.id, (None,))[0])
            then[named.id] = sums, answer.version
            np.testing.assert_allclose(held[named.id], naive.values[keys - low], rtol=tolerance, atol=tolerance)
        elif action == "snapshot":
            kept = store.snapshot(), copy.deepcopy(naive)
        elif kept is not None:
            store = TableStore(layout, low, high)
            store.restore(kept[0])
            naive = copy.deepcopy(kept[1])
            held, then = {}, {}  # workers begin anew
        assert store.version == naive.version
    answer = store.read(Request(KeySet(ALL)))
    np.testing.assert_allclose(answer.values, naive.values, rtol=tolerance, atol=tolerance)
    assert answer.values.dtype == layout.dtype
    np.testing.assert_allclose((answer.log_scale, answer.owed), (naive.log_scale, naive.owed), rtol=1e-9, atol=1e-12)


def random_pushes(layout, low, high, n, seed=0, penalised=True):
    rng = np.random.default_rng(seed)
    for k in range(n):
        keys = np.flatnonzero(rng.random(high - low) < 0.5).astype(np.uint32) + np.uint32(low)
        shape = len(keys), layout.width
        curvature = rng.exponential(size=shape).astype(np.float32) if k % 3 == 0 else None
        values = rng.normal(size=shape).astype(layout.dtype)
        penalty = (-0.01, 0.02) if penalised else (0.0, 0.0)
        yield Delta(key_set(keys, low, high), None, values, 50, 0.1, 0.3, curvature, *penalty)


def test_state_depends_on_pushes_alone():
    """A copy that nobody reads, and one that was restored, end with the same bits."""
    layout = make_layout(3, 20, 2, "float32")
    read, unread, restored = (TableStore(layout, 2, 22) for _ in range(3))
    for k, push in enumerate(random_pushes(layout, 2, 22, 30)):
        read.apply(push, 4)
        read.read(Request(push.keys, k - 2))
        unread.apply(push, 4)
        if k == 11:
            restored.restore(read.snapshot())
        elif k > 11:
            restored.apply(push, 4)
    expected = unread.snapshot()
    for store in (read, restored):
        found = store.snapshot()
        assert found.keys() == expected.keys()
        assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)


def test_one_worker_alone_is_the_sequential_run():
    layout = make_layout(1, 30, dtype="float64")
    rng = np.random.default_rng(0)
    store = TableStore(layout, 0, 30, rng.normal(size=(30, 1)))
    local = store.read(Request(KeySet(ALL))).values
    for _ in range(200):
        base = store.read(Request(KeySet(ALL))).values
        log_decay = -0.2 * rng.random()
        touched = rng.random((30, 1)) < 0.3
        local = local * math.exp(log_decay) + touched * rng.normal(size=(30, 1))
        push = make_delta(
            layout, 0, 30, KeySet(ALL), base, local, rows=100, eta=0.5, constant=1.0, log_decay=log_decay,
            curvature=np.ones((30, 1), np.float32),
        )  # fmt: skip
        store.apply(push, active=1)
        np.testing.assert_allclose(store.read(Request(KeySet(ALL))).values, local, rtol=1e-12, atol=1e-14)


def test_truncated_weights_stay_at_zero_until_pushed_harder():
    layout = make_layout(1, 2)
    store = TableStore(layout, 0, 2, [[0.5], [-3.0]])
    store.apply(Delta(KeySet(1, np.array([], np.uint32)), None, np.empty((0, 1)), 1, 1.0, 1.0, shrink=1.0), 1)
    assert store.read(Request(KeySet(ALL))).values.ravel().tolist() == [0.0, -2.0]
    store.apply(Delta(KeySet(2, np.array([0], np.uint32)), None, np.array([[0.25]]), 1, 1.0, 1.0), 1)
    assert store.read(Request(KeySet(ALL))).values.ravel().tolist() == [0.0, -2.0]  # 0.5 is owed still
    store.apply(Delta(KeySet(2), None, np.array([[2.0]]), 1, 1.0, 1.0), 1)
    assert store.read(Request(KeySet(ALL))).values.ravel().tolist() == [1.75, -2.0]


def test_key_sets_are_asked_for_once():
    layout = make_layout(1, 10)
    store = TableStore(layout, 0, 10, cache_bytes=24)
    first, second, third = (key_set(np.array(keys, np.uint32), 0, 10) for keys in ([1, 2, 3], [4, 5], [6, 7]))
    assert store.missing(None, Request(first).brief()) == (first.id,)
    assert store.missing(None, Request(first)) == ()
    assert store.missing(None, Request(first).brief()) == ()
    assert store.missing(None, Request(second)) == ()
    assert store.missing(None, Request(first).brief()) == ()  # used: the second goes first
    assert store.missing(None, Request(third)) == ()
    assert store.missing(Delta(KeySet(second.id), None, np.zeros((2, 1)), 1, 1.0, 1.0), Request(first).brief()) == (
        second.id,
    )
    with pytest.raises(UnknownKeysError, match="not known here"):
        store.read(Request(second).brief())
    assert store.read(Request(second)).values.shape == (2, 1)  # spelled, it is learnt again
    assert store.spelled(Delta(KeySet(first.id), None, np.zeros((3, 1)), 1, 1.0, 1.0)).keys.keys.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (np.array([1, 2], np.int64), "vector of uint32"),
        (np.array([2, 9], np.uint32), "must lie in 2..7, found 2 to 9"),
        (np.array([1, 4], np.uint32), "must lie in 2..7, found 1 to 4"),
        (np.array([3, 5, 4], np.uint32), "found 4 after 5"),
        (np.array([3, 3], np.uint32), "found 3 after 3"),
    ],
)
def test_key_sets_are_checked(keys, message):
    store = TableStore(make_layout(1, 10), 2, 8)
    with pytest.raises(ValueError, match=message):
        store.missing(None, Request(KeySet(5, keys)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_not_finite_is_refused_whole(bad, dtype):
    store = TableStore(make_layout(3, 10_000, dtype="float32"), 10, 10_000)
    keys = np.arange(20, 9_000, 2, dtype=np.uint32)
    values = np.ones((len(keys), 3), dtype)
    values[3_000, 1] = bad
    push = Delta(key_set(keys, 10, 10_000), None, values, 1, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"a delta of -?(nan|inf) for key 6020, column 1"):
        store.apply(push, 1)
    assert store.version == 0
    assert not store.read(Request(KeySet(ALL))).values.any()
    with pytest.raises(ValueError, match="eta=nan"):
        store.apply(push._replace(values=np.ones((len(keys), 3)), eta=np.nan), 1)
    with pytest.raises(ValueError, match="curvature"):
        store.apply(push._replace(values=np.ones((len(keys), 3)), curvature=values * np.float32(bad)), 1)
    with pytest.raises(ValueError, match=r"shape \(3, 3\), expected \(4490, 3\)"):
        store.apply(push._replace(values=np.ones((3, 3))), 1)
    with pytest.raises(ValueError, match="position 9999"):
        store.apply(push._replace(positions=np.array([9_999], np.uint32), values=np.ones((1, 3))), 1)


def test_snapshots_of_another_range_are_refused():
    layout = make_layout(1, 10)
    with pytest.raises(ValueError, match=r"keys 0\.\.4 with 1 numbers each, expected 4\.\.10"):
        TableStore(layout, 4, 10).restore(TableStore(layout, 0, 4).snapshot())


def test_reads_bring_what_changed_where_that_is_less():
    layout = make_layout(2, 100, dtype="float32")
    store = TableStore(layout, 0, 100)
    for push in random_pushes(layout, 0, 100, 1, penalised=False):
        store.apply(push, 1)
    changed = key_set(np.array([7, 50], np.uint32), 0, 100)
    store.apply(Delta(changed, None, np.ones((2, 2)), 1, 1.0, 1.0), 1)
    assert store.read(Request(KeySet(ALL), 1)).positions.tolist() == [7, 50]
    assert store.read(Request(KeySet(ALL), 2)).positions.tolist() == []
    assert store.read(Request(key_set(np.array([3, 50, 51], np.uint32), 0, 100), 1)).positions.tolist() == [1]
    assert store.read(Request(KeySet(ALL), 0)).positions is not None
    assert store.read(Request(KeySet(ALL), -1)).positions is None
    assert store.read(Request(KeySet(ALL), 9)).positions is None  # of another life of the shard
    half = store.read(Request(KeySet(ALL), -1, half=True))
    assert half.values.dtype == np.float16
    assert payload_bytes(half) == 2 * 200 + 3 * 8
    store.apply(Delta(changed, None, np.full((2, 2), 1e6), 1, 1.0, 1.0), 1)
    assert store.read(Request(KeySet(ALL), -1, half=True)).values.dtype == np.float32


def test_reads_are_no_views():
    store = TableStore(make_layout(1, 5), 0, 5)
    store.read(Request(KeySet(ALL))).values[:] = 3
    store.snapshot()["table"][:] = 3
    assert not store.read(Request(KeySet(ALL))).values.any()


# ------------------------------------------------------------------------------------------------ sending


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.6, 1.0])
def test_deltas_take_the_fewest_bytes(width, half, share):
    layout = make_layout(width, 1000, dtype="float32")
    rng = np.random.default_rng(0)
    keys = np.sort(rng.permutation(800)[:400]).astype(np.uint32) + np.uint32(100)
    named = key_set(keys, 100, 900)
    base = rng.normal(size=(400, width)).astype(np.float32)
    touched = rng.random(400) < share
    local = base + touched[:, None] * rng.normal(size=(400, width)).astype(np.float32)
    push = make_delta(layout, 100, 900, named, base, local, rows=10, eta=0.1, half=half)
    if share == 0.0:
        assert push is None
        return
    item = 2 if half else 4
    assert push.values.nbytes + (0 if push.positions is None else push.positions.nbytes) == min(
        400 * width * item, touched.sum() * (4 + width * item)
    )
    store = TableStore(layout, 100, 900)
    store.apply(push, 1)
    np.testing.assert_allclose(store.read(Request(named)).values, local - base, atol=2e-3 if half else 1e-6)


def test_weights_that_only_shrank_are_not_sent():
    layout = make_layout(1, 1000, 1, dtype="float32")
    rng = np.random.default_rng(0)
    base = rng.normal(size=(1001, 1)).astype(np.float32)
    local = (base * np.float32(np.exp(-0.1 / 3))) * np.float32(np.exp(-0.2 / 3))  # folded twice
    local[1000] = base[1000]  # an intercept does not shrink
    local[17] += 1e-3
    push = make_delta(layout, 0, 1001, KeySet(ALL), base, local, rows=1, eta=1.0, log_decay=-0.1)
    assert push.positions.tolist() == [17]
    untouched = make_delta(layout, 0, 1001, KeySet(ALL), base, base * 1, rows=1, eta=1.0, shrink=1.0)
    assert untouched.values.shape == (0, 1)  # the penalty has to be told


def test_rounding_errors_are_sent_later():
    layout = make_layout(1, 4, dtype="float32")
    store, residual = TableStore(layout, 0, 4), np.zeros((4, 1), np.float32)
    local, total = np.zeros((4, 1), np.float32), np.zeros((4, 1))
    for _ in range(1000):
        base = store.read(Request(KeySet(ALL))).values
        step = np.array([[0.1], [1e-9], [3.0001], [0.0]], np.float32)
        local = base + step
        total += local.astype(np.float64) - base
        push = make_delta(layout, 0, 4, KeySet(ALL), base, local, rows=1, eta=1.0, half=True, residual=residual)
        assert push.values.dtype == np.float16
        store.apply(push, 1)
    np.testing.assert_allclose(store.read(Request(KeySet(ALL))).values + residual, total, rtol=1e-5, atol=1e-6)
    large = make_delta(layout, 0, 4, KeySet(ALL), base, base + 1e5, rows=1, eta=1.0, half=True, residual=residual)
    assert large.values.dtype == np.float32
    assert not residual.any()
