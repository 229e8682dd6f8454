"""The driver of text streams: whatever the blocks and threads, the rows, counts and errors of a slow reader."""

import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_samples import BOM, SAMPLES, read_slowly, same_rows

from hogwild.data.batch import concatenate
from hogwild.data.errors import DataError
from hogwild.data.lines import Reading, ahead, read_lines
from hogwild.data.svmlight_lines import Svmlight

EACH = pytest.mark.parametrize("name", SAMPLES)
sizes = st.one_of(st.integers(1, 300), st.just(1 << 20))
threads = st.sampled_from([1, 1, 2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lines")


def write(folder, *contents):
    paths = [str(folder / f"{i}.txt") for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        with open(path, "wb") as file:
            file.write(content)
    return paths


@st.composite
def contents(draw, sample, lines):
    """A file's bytes."""
    chosen = draw(st.lists(st.sampled_from(lines), max_size=25))
    text = b"".join(line + draw(st.sampled_from([b"\n", b"\n", b"\r\n"])) for line in chosen)
    if chosen and not draw(st.integers(0, 3)):
        text = text.removesuffix(b"\n")
    header = draw(st.sampled_from([sample.header, sample.header.replace(b"\n", b"\r\n")]))
    return draw(st.sampled_from([b"", b"", BOM])) + header + text


# ------------------------------------------------------------------------------------------------ any blocks


@EACH
@settings(deadline=None, max_examples=60)
@given(data=st.data(), size=sizes, n_threads=threads)
def test_rows_do_not_depend_on_blocks_and_threads(folder, name, data, size, n_threads):
    sample = SAMPLES[name]
    files = data.draw(st.lists(contents(sample, sample.good), min_size=1, max_size=3))
    reading = Reading()
    batches = list(
        read_lines(sample.text_format, write(folder, *files), n_threads=n_threads, block_bytes=size, reading=reading)
    )
    expected = concatenate(read_slowly(sample.text_format, content)[0] for content in files)
    same_rows(concatenate(batches), expected)
    assert all(batch.n_rows for batch in batches)
    assert (reading.rows, reading.bad_lines, reading.errors) == (expected.n_rows, 0, [])
    assert reading.stored_bytes == sum(map(len, files))


@EACH
@settings(deadline=None, max_examples=60)
@given(data=st.data(), size=sizes, n_threads=threads)
def test_bad_lines_are_found_where_they_are(folder, name, data, size, n_threads):
    """In any file and block; left out, all of the other rows remain."""
    sample = SAMPLES[name]
    files = data.draw(st.lists(contents(sample, sample.good + sample.bad), min_size=1, max_size=3))
    paths = write(folder, *files)
    slow = [read_slowly(sample.text_format, content) for content in files]
    bad = [(path, *place) for path, (_, places) in zip(paths, slow, strict=True) for place in places]

    def read(bad_lines):
        reading, batches = Reading(), []
        batches.extend(
            read_lines(
                sample.text_format, paths, n_threads=n_threads, bad_lines=bad_lines, block_bytes=size, reading=reading
            )
        )
        return concatenate(batches), reading

    rows, reading = read("skip")
    same_rows(rows, concatenate(rows for rows, _ in slow))
    assert reading.bad_lines == len(bad)
    errors = [(error.path, error.line, error.column, error.expected) for error in reading.errors]
    assert errors == bad[:10]
    assert reading.rows == rows.n_rows
    if bad:
        with pytest.raises(DataError) as caught:
            read("error")
        error = caught.value
        assert (error.path, error.line, error.column, error.expected) == bad[0]
        assert str(error) == str(reading.errors[0])


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_error_says_what_was_found(folder, n_threads):
    lines = [b"1 1:%d\n" % i for i in range(3000)]
    paths = write(folder, b"".join(lines), b"# a comment\r\n" + b"".join(lines) + b"1 1:2 3:x:y\n")
    with pytest.raises(DataError) as caught:
        list(read_lines(Svmlight(False), paths, n_threads=n_threads, block_bytes=1000))
    assert str(caught.value) == f"{paths[1]}, line 3002, column 9: found 'x:y', expected a finite number behind ':'"


@pytest.mark.parametrize("n_threads", [1, 2])
def test_rows_before_an_error_are_given(folder, n_threads):
    paths = write(folder, b"1 1:1\n" * 100 + b"1 x\n" + b"1 1:1\n" * 100)
    batches = read_lines(Svmlight(False), paths, n_threads=n_threads, block_bytes=60)
    assert sum(next(batches).n_rows for _ in range(9)) >= 90
    with pytest.raises(DataError, match="line 101, column 3"):
        list(batches)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_first_of_two_errors_is_reported(folder, n_threads):
    """A bad line goes before what is wrong with the next file, which may be opened first."""
    paths = [*write(folder, b"1 1:1\n" * 5 + b"1 x\n"), str(folder / "none.svm")]
    with pytest.raises(DataError, match=r"0\.txt, line 6"):
        list(read_lines(Svmlight(False), paths, n_threads=n_threads))
    with pytest.raises(FileNotFoundError):
        list(read_lines(Svmlight(False), paths, n_threads=n_threads, bad_lines="skip"))


# ------------------------------------------------------------------------------------------------ long and many lines


@pytest.mark.parametrize("n_threads", [1, 2])
def test_lines_longer_than_a_block(folder, n_threads):
    long = b"1 " + b" ".join(b"%d:%d" % (i, i) for i in range(1, 20_000))
    paths = write(folder, b"2 1:1\n" + long + b"\n3\n" + long, long)
    rows = concatenate(read_lines(Svmlight(False), paths, n_threads=n_threads, block_bytes=7))
    assert np.diff(rows.indptr).tolist() == [1, 19_999, 0, 19_999, 19_999]
    assert rows.labels.tolist() == [2, 1, 3, 1, 1]
    np.testing.assert_array_equal(rows.rows(4, 5).values, np.arange(1, 20_000))


class Counted:
    """A format that notes how many bytes it was given."""

    def __init__(self, text_format):
        self._format, self.given = text_format, 0

    def __getattr__(self, name):
        return getattr(self._format, name)

    def parse(self, part):
        self.given += part.stop - part.start
        return self._format.parse(part)


@EACH
def test_many_bad_lines_cost_no_square(folder, name):
    sample = SAMPLES[name]
    given = []
    for n in (500, 1000, 2000):
        content = sample.header + (sample.bad[0] + b"\n" + sample.good[0] + b"\n") * n
        text_format = Counted(sample.text_format.with_header([sample.header.strip()]))
        reading = Reading()
        rows = concatenate(read_lines(text_format, write(folder, content), bad_lines="skip", reading=reading))
        assert (rows.n_rows, reading.bad_lines, len(reading.errors)) == (n, n, 10)
        given.append(text_format.given)
    assert given[2] <= 2.2 * given[1]
    assert given[2] <= 4000 * 6000


def test_labels_of_two_kinds_around_a_bad_line(folder):
    """Each batch has its own kind: no error without a place."""
    text_format = SAMPLES["text"].text_format
    content = b"1\tred\nbad\n2\tred\nbad\nspam\tred\n"
    batches = list(read_lines(text_format, write(folder, content), bad_lines="skip"))
    assert [batch.labels.tolist() for batch in batches] == [[1, 2], ["spam"]]


@pytest.mark.parametrize("name", ["csv", "svmlight"])
def test_two_bad_labels_of_which_one_could_be_a_word(folder, name):
    """None of the good rows between them may get lost."""
    text_format = replace(SAMPLES["svmlight"].text_format, labels="auto")
    content = b"1 1:1\n-1e390 1:1\n2 1:1\n\xa8 1:1\n3 1:1\n"
    if name == "csv":
        text_format = SAMPLES["csv"].text_format
        content = SAMPLES["csv"].header + content.replace(b" ", b",1,red,0,")
    reading = Reading()
    batches = list(read_lines(text_format, write(folder, content), bad_lines="skip", reading=reading))
    assert concatenate(batches).labels.tolist() == [1, 2, 3]
    lines = 1 + text_format.header_lines
    assert [error.line - lines for error in reading.errors] == [1, 3]


# ------------------------------------------------------------------------------------------------ headers and options


def test_every_file_has_the_header_of_the_first(folder):
    sample = SAMPLES["csv"]
    row = b"1,2,red,3,x\n"
    paths = write(folder, sample.header + row, BOM + sample.header.replace(b"\n", b"\r\n") + row, sample.header, b"")
    for size in (1, 10, 11, 12, 1 << 20):
        assert concatenate(read_lines(sample.text_format, paths, block_bytes=size)).n_rows == 2
    paths = write(folder, sample.header + row, b"y,w,c,d,x\n" + row)
    with pytest.raises(DataError, match=r"1\.txt, line 1: expected the same columns as known before: column 4 was 'x'"):
        list(read_lines(sample.text_format, paths))


def test_options_are_checked(folder):
    with pytest.raises(ValueError, match="bad_lines is 'error' or 'skip', not 'ignore'"):
        list(read_lines(Svmlight(), write(folder, b"1\n"), bad_lines="ignore"))


def test_sums_of_repeated_features_stay_finite(folder):
    with pytest.raises(DataError, match="add up to infinity"):
        list(read_lines(Svmlight(False), write(folder, b"1 1:3e38 1:3e38\n")))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_stopping_early_leaves_no_thread(folder, n_threads):
    before = threading.active_count()
    batches = ahead(read_lines(Svmlight(False), write(folder, b"1 1:1\n" * 1000), n_threads=n_threads, block_bytes=60))
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_errors_arrive_from_the_background_in_their_place(folder):
    batches = ahead(read_lines(Svmlight(False), write(folder, b"1 1:1\n" * 10 + b"1 x\n"), block_bytes=60))
    assert next(batches).n_rows == 10
    with pytest.raises(DataError, match="line 11"):
        next(batches)


# ------------------------------------------------------------------------------------------------ anything at all


@EACH
@settings(deadline=None, max_examples=100)
@given(data=st.data(), size=sizes)
def test_any_bytes_are_rows_or_bad_lines(folder, name, data, size):
    sample = SAMPLES[name]
    lines = [bytearray(line) for line in data.draw(st.lists(st.sampled_from(sample.good + sample.bad), max_size=6))]
    for line in lines:
        for place, byte in data.draw(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=3)):
            if line:
                line[place % len(line)] = byte
    content = b"\n".join(map(bytes, lines)) + data.draw(st.one_of(st.just(b""), st.binary(max_size=60)))
    paths = write(folder, sample.header + content)
    try:
        batches = list(read_lines(sample.text_format, paths, bad_lines="skip", block_bytes=size))
    except DataError:  # repeated features that add up to infinity have no line of their own
        return
    n_features = sample.text_format.n_features
    for batch in batches:
        assert batch.indptr[0] == 0 and batch.indptr[-1] == len(batch.indices) == len(batch.values)
        assert (np.diff(batch.indptr.astype(np.int64)) >= 0).all()
        assert len(batch.labels) == batch.n_rows > 0
        assert len(batch.weights) in (0, batch.n_rows) and (batch.weights >= 0).all()
        assert len(batch.fields) in (0, len(batch.indices))
        assert np.isfinite(batch.values).all() and np.isfinite(batch.weights).all()
        assert batch.n_features <= n_features
        assert batch.labels.dtype.kind == "U" or not np.isinf(batch.labels).any()


# ------------------------------------------------------------------------------------------------ memory

_GROWTH = """
import resource, sys
import hogwild

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

rows = hogwild.data.open(sys.argv[1])
sum(batch.n_rows for batch in rows)
before = peak()
rows = hogwild.data.open(sys.argv[2], n_jobs=2)
print(sum(batch.n_rows for batch in rows), peak() - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path):
    random = np.random.default_rng(0)
    pairs = [f"{i}:{x:.4g}" for i, x in zip(range(80_000), random.random(80_000), strict=True)]
    lines = ["1 " + " ".join(pairs[i : i + 40]) for i in range(0, 80_000, 40)]
    text = ("\n".join(lines) + "\n").encode()
    times = 300_000_000 // len(text)
    (tmp_path / "few.svm").write_bytes(text)
    with open(tmp_path / "many.svm", "wb") as file:
        for _ in range(times):
            file.write(text)
    command = [sys.executable, "-c", _GROWTH, str(tmp_path / "few.svm"), str(tmp_path / "many.svm")]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(found[0]) == 2000 * times
    assert int(found[1]) * unit < 150e6
