"""libffm's binary caches and model files: bytes made by hand, round trips, damage."""

import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.data.batch import Batch
from hogwild.data.errors import DataError
from hogwild.data.libffm_cache import (
    CHUNK,
    block_starts,
    cached_hashes,
    read_cache,
    text_hashes,
    write_cache,
)
from hogwild.data.libffm_model import LibffmModel, model_shape, read_model, write_model


def batch_of(rows, labels):
    """Rows given as lists of (field, index, value)."""
    entries = [entry for row in rows for entry in row]
    fields, indices, values = ([entry[k] for entry in entries] for k in range(3))
    indptr = np.cumsum([0, *map(len, rows)]).astype(np.uint64)
    return Batch(
        indptr,
        np.array(indices, np.uint32),
        np.array(values, np.float32),
        np.array(labels),
        fields=np.array(fields, np.uint32),
    )


ROWS = [[(0, 3, 0.5), (2, 17, 1.0)], [], [(1, 4, -2.0)]]
LABELS = [1, 0, 3]


def cache_bytes():
    """The cache of ROWS, byte by byte: a block of three rows, an empty one, the table of their places."""
    first = struct.pack("<i", 3) + struct.pack("<3f", 1, -1, 1) + struct.pack("<3f", 0.8, np.inf, 0.25)
    first += struct.pack("<4q", 0, 2, 2, 3)
    first += struct.pack("<iif", 0, 3, 0.5) + struct.pack("<iif", 2, 17, 1) + struct.pack("<iif", 1, 4, -2)
    second = struct.pack("<i", 0) + struct.pack("<q", 0)
    table = 40 + len(first) + len(second)
    header = struct.pack("<iiiiqQQ", 18, 3, 3, 2, table, 2**64 - 5, 7)
    return header + first + second + struct.pack("<2q", 40, 40 + len(first))


def naive_hash(text):
    """libffm's hash: words of 8 bytes while more than 8 are left of a chunk, then single signed bytes."""
    found, whole = 90_359, 2**64 - 1
    hashes = []
    for start in range(0, len(text), CHUNK):
        chunk, place = text[start : start + CHUNK], 0
        while place < len(chunk):
            size = 8 if place + 8 < len(chunk) else 1
            x = int.from_bytes(chunk[place : place + size], "little", signed=size == 1) & whole
            found = ((((found + x) * (found + x + 1) & whole) >> 1) + x) & whole
            place += size
        hashes.append(found)
    return (hashes[0], found) if hashes else (90_359, 90_359)


# ------------------------------------------------------------------------------------------------ caches


def test_cache_bytes(tmp_path):
    path = tmp_path / "rows.ffm.bin"
    with np.errstate(divide="ignore"):
        write_cache(batch_of(ROWS, LABELS), path, (2**64 - 5, 7))
    assert path.read_bytes() == cache_bytes()
    assert cached_hashes(path) == (2**64 - 5, 7)
    assert cached_hashes(tmp_path / "none") is None


def test_cache_is_read(tmp_path):
    path = tmp_path / "rows.ffm.bin"
    path.write_bytes(cache_bytes())
    cache = read_cache(path)
    assert (cache.n_features, cache.n_fields, cache.hashes) == (18, 3, (2**64 - 5, 7))
    assert cache.rows.indptr.tolist() == [0, 2, 2, 3]
    assert cache.rows.fields.tolist() == [0, 2, 1]
    assert cache.rows.indices.tolist() == [3, 17, 4]
    assert cache.rows.values.tolist() == [0.5, 1.0, -2.0]
    assert cache.rows.labels.tolist() == [1, -1, 1]
    np.testing.assert_array_equal(cache.norms, np.array([0.8, np.inf, 0.25], np.float32))
    types = [array.dtype for array in (cache.rows.indptr, cache.rows.fields, cache.rows.indices, cache.rows.values)]
    assert types == [np.uint64, np.uint32, np.uint32, np.float32]


entries = st.tuples(st.integers(0, 9), st.integers(0, 2**31 - 2), st.floats(-1e6, 1e6, width=32, allow_subnormal=False))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.lists(entries, max_size=5), st.integers(-2, 2)), min_size=1, max_size=8))
def test_cache_round_trip(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("cache") / "rows.bin"
    batch = batch_of([row for row, _ in rows], [label for _, label in rows])
    write_cache(batch, path, (1, 2))
    found = read_cache(path).rows
    for name in ("indptr", "indices", "values", "fields"):
        np.testing.assert_array_equal(getattr(found, name), getattr(batch, name))
    assert found.labels.tolist() == [1 if label > 0 else -1 for _, label in rows]
    content = path.read_bytes()
    write_cache(found, path, (1, 2))
    assert path.read_bytes() == content


def test_blocks_are_closed_after_ten_million_entries():
    lengths = np.array([4_000_000, 6_000_000, 1, 5, 10_000_001, 3])
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint64)
    assert block_starts(indptr).tolist() == [0, 3, 5, 6, 6]
    assert block_starts(indptr[:4]).tolist() == [0, 3, 3, 3]  # nothing remains: an empty block all the same
    assert block_starts(np.array([0, 2], np.uint64)).tolist() == [0, 1, 1]


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=40))
def test_hash(text):
    assert text_hashes(np.frombuffer(text, np.uint8)) == naive_hash(text)


def test_hash_of_several_chunks():
    text = np.zeros(CHUNK + 12, np.uint8)
    text[[5, CHUNK - 1, CHUNK + 3]] = 7, 200, 9
    first, whole = text_hashes(text)
    assert first == text_hashes(text[:CHUNK])[1] != whole


def test_every_truncation_of_a_cache_is_found(tmp_path):
    path, content = tmp_path / "rows.bin", cache_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(DataError, match=r"rows\.bin: found .*, expected .*binary cache"):
            read_cache(path)


@pytest.mark.parametrize(
    ("place", "form", "number", "message"),
    [
        (0, "<i", -1, "found -1 features"),
        (0, "<i", 17, "found index 17, expected one below 17"),
        (4, "<i", 2, "found field 2, expected one below 2"),
        (8, "<i", 4, "found 3 rows in all blocks, expected the 4"),
        (12, "<i", 3, "expected one that ends with a table of 3 blocks"),
        (16, "<q", 2**40, "expected one that ends with a table"),
        (40, "<i", 2**30, "found 1,073,741,824 rows"),
        (44, "<f", 2, "found the label 2, expected -1 and 1"),
        (68, "<q", 1, "rows that end at entry"),
        (92, "<q", 2**60, "rows that end at entry"),
        (100, "<i", -1, "found field -1"),
        (108, "<f", np.nan, "found the value nan"),
    ],
)
def test_damaged_caches(tmp_path, place, form, number, message):
    content = bytearray(cache_bytes())
    struct.pack_into(form, content, place, number)
    path = tmp_path / "rows.bin"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_cache(path)


def test_rows_that_no_cache_holds(tmp_path):
    path = tmp_path / "rows.bin"
    with pytest.raises(ValueError, match="found index 2147483647, expected at most 2147483646"):
        write_cache(batch_of([[(0, 2**31 - 1, 1.0)]], [1]), path)
    with pytest.raises(ValueError, match="found field 2147483648"):
        write_cache(batch_of([[(2**31, 1, 1.0)]], [1]), path)
    with pytest.raises(ValueError, match="without fields"):
        write_cache(batch_of(ROWS, LABELS)._replace(fields=np.empty(0, np.uint32)), path)
    with pytest.raises(ValueError, match=r"labels are numbers, found .*'spam'"):
        write_cache(batch_of(ROWS, ["spam", "ham", "spam"]), path)
    assert os.listdir(tmp_path) == []


# ------------------------------------------------------------------------------------------------ models


def random_model(n=3, m=2, k=6, normalized=True):
    rng = np.random.default_rng(0)
    weights = np.zeros(model_shape(n, m, k), np.float32)
    weights[..., 1, :] = 1
    for d in range(k):
        weights[:, :, d // 4, 0, d % 4] = rng.normal(size=(n, m))
        weights[:, :, d // 4, 1, d % 4] += rng.random((n, m))
    return LibffmModel(n, m, k, normalized, weights)


def test_model_bytes(tmp_path):
    model = random_model(2, 1, 3, normalized=False)
    floats = []
    for j in range(2):
        floats += [*model.weights[j, 0, 0, 0, :3], 0.0, *model.weights[j, 0, 0, 1, :3], 1.0]
    content = struct.pack("<iii", 2, 1, 3) + b"\0" + struct.pack("<16f", *floats)
    write_model(model, tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == content
    found = read_model(tmp_path / "m")
    assert found[:4] == model[:4]
    np.testing.assert_array_equal(found.weights, model.weights)


@pytest.mark.parametrize("k", [1, 3, 4, 6, 8])
@pytest.mark.parametrize("text", [False, True])
def test_model_round_trip(tmp_path, k, text):
    model = random_model(k=k)
    write_model(model, tmp_path / "m", text=text)
    found = read_model(tmp_path / "m")
    assert found[:4] == model[:4]
    if text:
        np.testing.assert_allclose(found.weights[..., 0, :], model.weights[..., 0, :], rtol=1e-5)
        assert np.all(found.weights[..., 1, :] == 1)
    else:
        np.testing.assert_array_equal(found.weights, model.weights)


def test_text_model(tmp_path):
    content = "n 2\nm 1\nk 2\nnormalization 1\nw0,0 0.5 -1.25 \nw1,0 1e-05 3 \n"
    (tmp_path / "m").write_text(content)
    model = read_model(tmp_path / "m")
    assert model[:4] == (2, 1, 2, True)
    assert model.weights[:, 0, 0, 0].tolist() == [[0.5, -1.25, 0, 0], [float(np.float32(1e-5)), 3, 0, 0]]
    write_model(model, tmp_path / "again", text=True)
    assert (tmp_path / "again").read_text() == content


@pytest.mark.parametrize("k", [4, 6])
def test_model_of_a_build_without_sse(tmp_path, k):
    """There each weight is followed by its own sum."""
    model = random_model(k=k)
    pairs = [
        model.weights[j, f, d // 4, part, d % 4]
        for j in range(3)
        for f in range(2)
        for d in range(k)
        for part in (0, 1)
    ]
    (tmp_path / "m").write_bytes(struct.pack("<iiiB", 3, 2, k, 1) + struct.pack(f"<{len(pairs)}f", *pairs))
    np.testing.assert_array_equal(read_model(tmp_path / "m").weights, model.weights)


def test_what_ours_say_behind_the_weights(tmp_path):
    plain, told = random_model(), random_model()._replace(about={"reader": {"name": "csv"}})
    write_model(plain, tmp_path / "plain")
    write_model(told, tmp_path / "told")
    assert read_model(tmp_path / "plain").about == {}
    assert read_model(tmp_path / "told").about == told.about
    content = (tmp_path / "told").read_bytes()
    assert content.startswith((tmp_path / "plain").read_bytes())
    assert json.dumps(told.about).encode() in content
    for damaged in (content[:-1], content + b"\0", content[:-3] + b"x" + content[-2:]):
        (tmp_path / "told").write_bytes(damaged)
        with pytest.raises(DataError, match="behind the weights"):
            read_model(tmp_path / "told")


def test_every_truncation_of_a_model_is_found(tmp_path):
    for text in (False, True):
        write_model(random_model(2, 1, 2), tmp_path / "m", text=text)
        content = (tmp_path / "m").read_bytes()
        for size in range(len(content)):
            (tmp_path / "m").write_bytes(content[:size])
            with pytest.raises(DataError, match=r"found .*, expected"):
                read_model(tmp_path / "m")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found 0 bytes, expected a header of 13 bytes"),
        (b"1 0:3:0.5 1:2:1\n", "features"),
        (struct.pack("<iiiB", 2, 0, 4, 1), "found 2 features, 0 fields, 4 factors"),
        (struct.pack("<iiiB", 2, 1, 4, 2) + bytes(64), "normalisation 2"),
        (struct.pack("<iiiB", 2, 1, 8, 1) + bytes(64), "found 77 bytes, expected 141 for 2 features x 1 fields x 8"),
        (struct.pack("<iiiB", 1, 1, 4, 1) + struct.pack("<8f", *[np.nan] * 8), "not finite"),
        (b"n 1\nm 1\nk 1\n", "line 4: found the end of the file, expected 'normalization NUMBER'"),
        (b"n 1\nm 1\nk 1\nnormalization 1\nw0,1 2 \n", "line 5: found 'w0,1 2 ', expected 'w0,0' and 1 finite"),
        (b"n 1\nm 1\nk 1\nnormalization 1\nw0,0 x \n", "line 5"),
        (b"n 1\nm 1\nk 1\nnormalization 1\nw0,0 inf \n", "line 5"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_model(tmp_path / "m")


def test_wrong_shapes(tmp_path):
    model = random_model()
    for wrong in (model._replace(n_factors=12), model._replace(weights=model.weights.astype(np.float64))):
        with pytest.raises(ValueError, match=r"weights of shape .*, expected float32 of shape"):
            write_model(wrong, tmp_path / "m")
    assert os.listdir(tmp_path) == []


def test_full_disk(tmp_path):
    script = (
        "import signal, resource, sys\nimport numpy as np\nfrom hogwild.data.libffm_model import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "write_model(LibffmModel(99, 9, 4, True, np.ones((99, 9, 1, 2, 4), np.float32)), sys.argv[1])\n"
    )
    words = [sys.executable, "-c", script, tmp_path / "m"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert "OSError" in done.stderr and f"{tmp_path / 'm'}" in done.stderr
    assert os.listdir(tmp_path) == []
