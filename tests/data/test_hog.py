"""Cache files: what is written is read, whatever the memory."""

import os
import pickle
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_hog import batch_of, numbered, random_batch, read, rows_of

from hogwild.data.batch import rebatch
from hogwild.data.errors import DataError
from hogwild.data.hog import HogFile, open_hog
from hogwild.data.hog_writer import write_hog


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hog")


def same_rows(hog, expected):
    assert Counter(rows_of(hog.batches())) == Counter(expected)
    assert len(hog) == hog.n_rows == len(expected) == hog.block_rows.sum()
    assert hog.n_entries == sum(len(row.entries) for row in expected)


# ------------------------------------------------------------------------------------------------ round trips

finite = st.floats(width=32, allow_nan=False)
values = st.one_of(
    st.just(1.0), st.sampled_from([0.5, -2.0, -0.0, 65504.0, 2.0**-24]), finite, st.sampled_from([np.nan, np.inf])
)
label_kinds = [
    [st.integers(-1, 1)],
    [st.integers(-(2**63), 2**63 - 1)],
    [st.sampled_from([0.0, 1.0, -0.5, np.inf])],
    [st.floats(allow_nan=False)],
    [st.integers(-5, 5), st.floats(-1, 1)],
    [st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=4)],
]


@st.composite
def batch_lists(draw):
    kinds, fields = draw(st.sampled_from(label_kinds)), draw(st.booleans())
    some_values = draw(st.sampled_from([st.just(1.0), st.sampled_from([0.5, -0.0, 2.0**-24]), values]))
    index = draw(st.sampled_from([st.integers(0, 5), st.integers(0, 2**32 - 1)]))
    batches = []
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=4)):
        entry = st.tuples(index, some_values, st.integers(0, 2**32 - 1))
        rows = draw(st.lists(st.lists(entry, max_size=6, unique_by=lambda entry: entry[0]), max_size=8))
        weights = st.sampled_from([1.0, 0.0, 2.5]) if draw(st.booleans()) else st.just(1.0)
        n = len(rows)
        labels = draw(st.lists(kind, min_size=n, max_size=n))
        weights = draw(st.one_of(st.just([]), st.lists(weights, min_size=n, max_size=n)))
        batches.append(batch_of(rows, labels, weights, fields))
    return batches


@settings(deadline=None, max_examples=250)
@given(
    batches=batch_lists(),
    memory=st.sampled_from([1, 200, 1000, 1 << 20]),
    block_bytes=st.sampled_from([1, 150, 1 << 20]),
    shards=st.integers(1, 3),
    seed=st.integers(0, 3),
    shuffle=st.booleans(),
    renumber=st.booleans(),
)
def test_rows_come_back(folder, batches, memory, block_bytes, shards, seed, shuffle, renumber):
    expected = rows_of(batches)
    options = {"memory": memory, "block_bytes": block_bytes, "shards": shards, "seed": seed}
    options |= {"shuffle": shuffle, "renumber": renumber, "about": {"of": [1, "ä"]}}
    path = folder / "rows.hog"
    if len(expected) < shards:
        with pytest.raises(ValueError, match="rows"):
            write_hog(batches, path, **options)
        return
    if any(isinstance(row.label, float) for row in expected):  # integers among floats are floats
        expected = [row._replace(label=float(row.label)) for row in expected]
    with write_hog(batches, path, **options) as hog:
        assert len(hog.paths) == shards
        assert hog.about == {"of": [1, "ä"]}
        written = [read(Path(each)) for each in hog.paths]
        same_rows(hog, expected)
        rows = [row for content in written for row in content.rows]
        assert Counter(rows) == Counter(expected)
        assert rows == rows_of(hog.batches())
        if not shuffle:
            assert rows == expected
        assert {type(row.label) for row in rows} == {type(row.label) for row in expected}
        assert hog.block_rows.tolist() == [n for content in written for n in content.block_rows]
        assert hog.n_features == max((entry[0] + 1 for row in expected for entry in row.entries), default=0)
        assert hog.has_fields == any(len(batch.fields) for batch in batches)
        assert hog.has_weights == any(row.weight != 1 for row in expected)
        counts = Counter(row.label for row in expected)
        assert hog.labels.tolist() == sorted(counts)
        assert hog.label_counts.tolist() == [counts[label] for label in sorted(counts)]
        if renumber:
            assert hog.numbering.tolist() == numbered(expected)
            assert hog.n_columns == len(hog.numbering)
        else:
            assert hog.numbering is None and hog.n_columns == hog.n_features
        paths = [Path(each).name for each in hog.paths]
    assert sorted(os.listdir(folder)) == paths
    for name in paths:
        os.unlink(folder / name)


def test_cuts_into_batches_leave_no_trace(tmp_path):
    batch = random_batch(500)
    contents = set()
    for n_rows in (1, 7, 499, 1000):
        for _ in range(2):
            write_hog(rebatch([batch], n_rows), tmp_path / "rows.hog", memory=5_000).close()
            contents.add((tmp_path / "rows.hog").read_bytes())
    assert len(contents) == 1
    write_hog([batch], tmp_path / "rows.hog", memory=5_000, seed=1).close()
    assert (tmp_path / "rows.hog").read_bytes() not in contents


@pytest.mark.parametrize("memory", [2_000, 30_000, 1 << 24])
def test_the_shuffle_is_global(tmp_path, memory):
    n = 6_400
    rows = batch_of([[(i % 7, 1.0), (7 + i % 3, 0.3)] for i in range(n)], np.arange(n))
    hog = write_hog(rebatch([rows], 100), tmp_path / "rows.hog", memory=memory)
    order = np.concatenate([batch.labels for batch in hog.batches()])
    assert sorted(order) == list(range(n))
    table = np.histogram2d(np.arange(n), order, bins=16)[0]
    expected = n / 256
    assert ((table - expected) ** 2 / expected).sum() < 310  # chi-square of 225 degrees, 1 in 10,000
    assert np.count_nonzero(np.diff(order) == 1) < 10


def test_every_order_is_as_likely(tmp_path):
    rows = batch_of([[(0, 1.0)]] * 3, [0, 1, 2])
    orders = Counter()
    for seed in range(300):
        with write_hog([rows], tmp_path / "rows.hog", memory=150 if seed % 2 else 1 << 16, seed=seed) as hog:
            orders[tuple(np.concatenate([batch.labels for batch in hog.batches()]))] += 1
    assert len(orders) == 6
    assert all(25 < count < 80 for count in orders.values())


def test_features_beyond_one_page_and_equal_counts(tmp_path):
    rng = np.random.default_rng(0)
    features = np.unique(rng.integers(0, 2**32, 3_000))
    rows = [[(int(j), 0.3) for j in rng.choice(features, 40, replace=False)] for _ in range(200)]
    rows[0] += [(2**32 - 1, 0.5)]
    batch = batch_of(rows, np.zeros(200))
    with write_hog([batch], tmp_path / "rows.hog") as hog:
        assert hog.numbering.tolist() == numbered(rows_of([batch]))
        assert (hog.n_features, hog.numbering.dtype) == (2**32, np.uint32)
        same_rows(hog, rows_of([batch]))


def test_large_and_small_rows(tmp_path):
    huge = [(j, 0.3 * j) for j in range(20_000)]
    for rows in ([[]], [huge], [[], huge, [(2**32 - 1, 1.0)], huge[::-1], []]):
        batch = batch_of(rows, range(len(rows)))
        for options in ({}, {"memory": 3_000}, {"memory": 3_000, "shuffle": False}):
            with write_hog([batch, batch], tmp_path / "rows.hog", **options) as hog:
                same_rows(hog, rows_of([batch, batch]))
            assert os.listdir(tmp_path) == ["rows.hog"]


def test_blocks_have_about_the_size_that_was_asked_for(tmp_path):
    batch = random_batch(3_000)
    for memory, most in ((1 << 20, 10_000), (30_000, 30_000 // 8)):
        with write_hog([batch], tmp_path / "rows.hog", memory=memory, block_bytes=10_000) as hog:
            sizes = np.array([sum(a.nbytes for a in hog.block(k) if a is not None) for k in range(hog.n_blocks)])
        assert sizes.max() < most + 300
        assert np.median(sizes) > most / 2


# ------------------------------------------------------------------------------------------------ shards


def test_shards_share_one_numbering(tmp_path):
    batch = random_batch(1001)
    write_hog([batch], tmp_path / "rows.hog", shards=4, memory=10_000).close()
    paths = sorted(tmp_path.iterdir())
    assert [path.name for path in paths] == [f"rows-{i:05d}-of-00004.hog" for i in range(4)]
    parts = [HogFile(path) for path in paths]
    assert sorted(map(len, parts)) == [250, 250, 250, 251]
    assert len({part.numbering_id for part in parts}) == 1
    assert all(part.label_counts.sum() == len(part) for part in parts)
    hog = open_hog(tmp_path / "rows.hog")
    same_rows(hog, rows_of([batch]))
    assert hog.label_counts.tolist() == np.bincount(batch.labels).tolist()
    assert hog.n_blocks == sum(part.n_blocks for part in parts)
    same_rows(open_hog(paths[1:3]), rows_of([*parts[1].batches(), *parts[2].batches()]))


def test_shards_have_to_belong_together(tmp_path):
    batch = random_batch(50)
    first, second = tmp_path / "a.hog", tmp_path / "b.hog"
    write_hog([batch], first).close()
    for other, what in (
        (random_batch(50, seed=1), "another (features|columns|numbering_id)"),
        (batch._replace(labels=batch.labels + 1), "another labels"),
    ):
        write_hog([other], second).close()
        with pytest.raises(DataError, match=rf"b\.hog: found {what}"):
            open_hog([first, second])
    write_hog([batch], second, seed=1).close()
    assert len(open_hog([first, second])) == 100
    with pytest.raises(ValueError, match="twice"):
        open_hog([first, second, first])
    with pytest.raises(ValueError, match="no file"):
        open_hog([])
    with pytest.raises(FileNotFoundError):
        open_hog(tmp_path / "none.hog")


# ------------------------------------------------------------------------------------------------ labels and values


def written(path, labels, **options):
    parts = labels if isinstance(labels, list) else [labels]
    batches = [batch_of([[]] * len(part), part) for part in parts]
    hog = write_hog(batches, path, shuffle=False, **options)
    return hog, np.concatenate([batch.labels for batch in hog.batches()])


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_many_labels_are_numbers(tmp_path, dtype):
    labels = (np.arange(65_537) * 3 - 7).astype(dtype)
    for n in (65_536, 65_537):
        hog, back = written(tmp_path / "rows.hog", [labels[:100], labels[:n]])
        assert (hog.labels is None) == (n > 65_536)
        assert (hog.block(0).codes is None) == (hog.block(0).numbers is not None) == (n > 65_536)
        assert back.dtype == dtype
        assert back.tolist() == [*labels[:100], *labels[:n]]
        assert hog.label_counts.sum() == (n + 100 if n <= 65_536 else 0)


def test_integers_and_floats_are_floats(tmp_path):
    hog, back = written(tmp_path / "rows.hog", [np.array([2, -1]), np.array([0.5, 2.0]), np.array([2**53])])
    assert hog.label_kind == "float"
    assert hog.labels.tolist() == [-1.0, 0.5, 2.0, 2.0**53]
    assert back.tolist() == [2.0, -1.0, 0.5, 2.0, 2.0**53]
    many = [np.arange(40_000), np.arange(40_000) + 0.5, np.arange(40_000)]  # neither kind has too many alone
    hog, back = written(tmp_path / "rows.hog", many)
    assert hog.labels is None
    assert back.tolist() == np.concatenate(many).tolist()
    _, back = written(tmp_path / "rows.hog", np.array([-0.0, 0.0]))
    assert back.tobytes() == np.zeros(2).tobytes()


def test_integers_that_floats_cannot_hold(tmp_path):
    for large in (2**53 + 1, 2**63 - 1, -(2**63) + 1):
        _, back = written(tmp_path / "rows.hog", np.array([large, 0]))
        assert back.tolist() == [large, 0]
        for labels in ([np.array([large]), np.array([0.5])], np.array([*range(66_000), large])):
            with pytest.raises(ValueError, match=f"label {large} is no float64"):
                written(tmp_path / "bad.hog", labels)
    assert os.listdir(tmp_path) == ["rows.hog"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([np.array([1]), np.array(["a"])], "numbers in some rows and text in others"),
        ([np.array(["a"]), np.array([0.5])], "numbers in some rows and text in others"),
        ([np.array([0.5, np.nan])], "NaN"),
        ([np.array([1j])], "labels are integers, floats or text"),
        ([np.array(["a", 1], object)], "labels are integers, floats or text"),
        ([np.arange(65_537).astype(str)], "65,536 distinct labels"),
        ([np.array([2**63], np.uint64)], "below 2\\*\\*63"),
    ],
)
def test_labels_that_cannot_be_kept(tmp_path, labels, message):
    with pytest.raises(ValueError, match=message):
        written(tmp_path / "rows.hog", labels)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("values", "option", "stored"),
    [
        ([1.0, 1.0], "auto", "ones"),
        ([1.0, 0.5, -0.0, 65504, 2.0**-24], "auto", "float16"),
        ([1.0, 0.1], "auto", "float32"),
        ([65536.0], "auto", "float32"),
        ([2.0**-25], "auto", "float32"),
        ([1.0], "float32", "float32"),
        ([1.0, 0.1, 65519.0, 1e-9], "float16", "float16"),
    ],
)
def test_values_take_as_little_as_they_can(tmp_path, values, option, stored):
    row = list(enumerate(values))
    with write_hog([batch_of([row], [0])], tmp_path / "rows.hog", values=option) as hog:
        assert read(tmp_path / "rows.hog").description["form"]["values"] == stored
        back = hog.block(0).values[np.argsort(hog.numbering)]
        kept = np.array(values, np.float32)
        assert back.dtype == np.float32
        assert back.tobytes() == (kept.astype(np.float16).astype(np.float32) if stored == "float16" else kept).tobytes()


@pytest.mark.parametrize("value", [65520.0, -1e30, np.inf])
def test_values_beyond_float16(tmp_path, value):
    with pytest.raises(ValueError, match=re.escape(f"value {np.float32(value)!s} is beyond float16")):
        write_hog([batch_of([[(0, 1.0), (1, value)]], [0])], tmp_path / "rows.hog", values="float16")
    assert os.listdir(tmp_path) == []


# ------------------------------------------------------------------------------------------------ reading


def test_blocks_are_views_of_the_file(tmp_path):
    batch = random_batch(400)
    batch = batch._replace(weights=np.arange(400, dtype=np.float32), fields=batch.indices % np.uint32(3))
    with write_hog([batch], tmp_path / "rows.hog", memory=100_000, block_bytes=4_000) as hog:
        assert hog.n_blocks > 1
        for k in range(hog.n_blocks):
            hog.read_ahead(k)
            block = hog.block(k)
            arrays = [array for array in block if array is not None]
            for array in arrays:
                assert array.ctypes.data % 64 == 0
                assert not array.flags.owndata and not array.flags.writeable
            assert [array.dtype.name for array in arrays] == [
                *("uint64", "uint32", "float32", "uint16", "float32", "uint32")
            ]
            again = [np.shares_memory(a, b) for a, b in zip(arrays, hog.block(k), strict=False) if b is not None]
            assert again[:4] == [True] * 4
            copies = [array.copy() for array in arrays]
            hog.release(k)
            for array, copy in zip(arrays, copies, strict=True):
                assert array.tobytes() == copy.tobytes()
    assert block.values.tobytes() == copies[2].tobytes()  # views outlive the file


def test_ones_share_one_array(tmp_path):
    rows = batch_of([[(j, 1.0) for j in range(i % 5)] for i in range(100)], np.zeros(100))
    with write_hog([rows], tmp_path / "rows.hog", block_bytes=500) as hog:
        parts = [hog.block(k).values for k in range(hog.n_blocks)]
        assert len(parts) > 1
        assert all((part == 1).all() and np.shares_memory(part, max(parts, key=len)) for part in parts if len(part))


def test_pickling(tmp_path):
    write_hog([random_batch(20)], tmp_path / "rows.hog", shards=2).close()
    hog = open_hog(tmp_path / "rows.hog")
    copy = pickle.loads(pickle.dumps(hog))
    assert copy.paths == hog.paths
    same_rows(copy, rows_of(hog.batches()))


def test_copies_can_be_written_to(tmp_path):
    with write_hog([random_batch(20)], tmp_path / "rows.hog", renumber=False) as hog:
        for array in next(hog.batches()):
            assert array.flags.writeable
