import random
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from hogwild.data import python_sources
from hogwild.data.python_sources import load_python_sources

THEMES = {"ovens": "bake flour crust butter", "ships": "sail anchor mast rudder", "songs": "chord tempo verse chorus"}


def function(theme, number):
    rng = random.Random(f"{theme} {number}")
    words = [rng.choice(THEMES[theme].split()) for _ in range(6)]
    name = f"{words[0]}_{words[1].title()}{number}"
    return f'def {name}(self):\n    """Do {" ".join(words)}."""\n    return self.{words[2]}\n'


def module(theme, numbers):
    letters = str.maketrans("0123456789", "ghijklmnop")  # digits are no part of words
    return "\n\n".join(function(theme, f"{number:x}".translate(letters)) for number in numbers)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("HOGWILD_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "site-packages"
    for theme in THEMES:
        package = root / theme
        package.mkdir(parents=True)
        for part in range(4):
            (package / f"part{part}.py").write_text(module(theme, range(part * 20, part * 20 + 20)))
    return root


def load(root, **options):
    return load_python_sources(**{"n_jobs": 1, "roots": [root], "min_functions": 30} | options)


def test_rows_are_weighed_labelled_and_split(root):
    corpus = load(root)
    assert corpus.packages == ("ovens", "ships", "songs")
    assert corpus.n_files == 12 and corpus.n_skipped == 0 and not corpus.from_cache
    n_train, n_test = len(corpus.y_train), len(corpus.y_test)
    assert n_train + n_test == 240
    assert 0.1 < n_test / 240 < 0.3
    assert 10 * 240 <= corpus.n_tokens <= 15 * 240
    for X, y in ((corpus.X_train, corpus.y_train), (corpus.X_test, corpus.y_test)):
        assert X.shape == (len(y), 2**18) and X.dtype == np.float32 and X.indices.dtype == np.int32
        assert sp.csr_matrix((X.data, X.indices, X.indptr), shape=X.shape).has_canonical_format
        np.testing.assert_allclose(np.sqrt(X.multiply(X).sum(axis=1)), 1, atol=1e-5)
        assert y.dtype.kind == "U" and set(y) == set(THEMES)
    nearest = np.asarray((corpus.X_test @ corpus.X_train.T).argmax(axis=1)).ravel()
    assert (corpus.y_train[nearest] == corpus.y_test).mean() > 0.95


def test_processes_give_what_one_process_gives(root, monkeypatch):
    one = load(root, cache=False)
    monkeypatch.setattr(python_sources, "_TASK_BYTES", 2_000)
    seen = []
    two = load(root, cache=False, n_jobs=2, progress=lambda done, total: seen.append((done, total)))
    assert (one.X_train != two.X_train).nnz == 0 and (one.X_test != two.X_test).nnz == 0
    assert one.y_train.tolist() == two.y_train.tolist()
    assert seen[-1] == (12, 12) and seen == sorted(seen) and len(seen) > 3
    assert not (root.parent / "cache").exists()


def test_the_split_belongs_to_the_document(root):
    before = load(root)
    (root / "ships" / "part0.py").unlink()
    after = load(root)
    assert not after.from_cache
    assert len(after.y_train) + len(after.y_test) == 220
    assert (after.y_test == "ovens").sum() == (before.y_test == "ovens").sum()
    assert (after.y_test == "songs").sum() == (before.y_test == "songs").sum()


def test_the_cache_is_used_until_a_file_changes(root):
    made, kept = load(root), load(root)
    assert (made.from_cache, kept.from_cache) == (False, True)
    assert (made.X_train != kept.X_train).nnz == 0 and made.y_test.tolist() == kept.y_test.tolist()
    assert (made.packages, made.n_tokens, made.n_files) == (kept.packages, kept.n_tokens, kept.n_files)
    assert not load(root, max_functions=50).from_cache
    with (root / "ovens" / "part0.py").open("a") as file:
        file.write("\n\n" + module("ovens", [1_000]))
    changed = load(root)
    assert not changed.from_cache
    assert len(changed.y_train) + len(changed.y_test) == 241


@pytest.mark.parametrize("tear", [lambda whole: whole[: len(whole) // 2], lambda whole: b"", "flip"])
def test_a_torn_cache_is_made_again(root, tear):
    made = load(root)
    (path,) = (root.parent / "cache" / "demo").rglob("*.*")
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    path.write_bytes(flipped if tear == "flip" else tear(whole))
    again = load(root)
    assert not again.from_cache
    assert (made.X_train != again.X_train).nnz == 0
    assert load(root).from_cache


def test_an_unwritable_cache_costs_nothing_but_time(root, monkeypatch):
    (root.parent / "file").write_text("")
    monkeypatch.setenv("HOGWILD_CACHE", str(root.parent / "file"))
    assert not load(root).from_cache
    assert not load(root).from_cache


def test_what_cannot_be_read_is_skipped_and_counted(root):
    whole = load(root, cache=False)
    (root / "ships" / "latin.py").write_bytes(b"def f():\n    return '\xff\xfe'\n")
    (root / "ships" / "old.py").write_text("print 'hello'\n")
    (root / "ships" / "null.py").write_bytes(b"x = 1\0\n")
    (root / "ships" / "unknown.py").write_text("# coding: no-such-encoding\n")
    (root / "ships" / "deep.py").write_text("x = " + "(" * 5_000 + ")" * 5_000 + "\n")
    (root / "ships" / "empty.py").write_text("")
    corpus = load(root, cache=False)
    assert corpus.n_skipped == 5 and corpus.n_files == 12 + 5
    assert corpus.y_train.tolist() == whole.y_train.tolist()


def test_other_encodings_are_read(root):
    source = "# coding: latin-1\n" + function("ships", "caf") + "    # \xe9t\xe9\n"
    (root / "ships" / "latin.py").write_bytes(source.encode("latin-1"))
    corpus = load(root)
    assert corpus.n_skipped == 0 and len(corpus.y_train) + len(corpus.y_test) == 241


def test_vendored_copies_and_duplicates_are_left_out(root):
    for folder in ("_vendor", "vendored", "extern", "externals", "third_party"):
        copy = root / "ovens" / folder / "ships"
        copy.mkdir(parents=True)
        (copy / "other.py").write_text(module("ships", range(500, 540)))
    (root / "songs" / "copy.py").write_text((root / "songs" / "part0.py").read_text())
    corpus = load(root)
    assert len(corpus.y_train) + len(corpus.y_test) == 240


def test_only_large_packages_and_no_metadata_are_taken(root):
    (root / "tiny.py").write_text(module("ships", range(500, 510)))
    (root / "big-1.0.dist-info").mkdir()
    (root / "big-1.0.dist-info" / "code.py").write_text(module("ships", range(600, 700)))
    (root / "large.py").write_text(module("ships", range(700, 800)))
    assert load(root).packages == ("large", "ovens", "ships", "songs")
    assert "large" in load(root, max_packages=2).packages
    sampled = load(root, max_functions=40)
    labels, counts = np.unique(np.concatenate([sampled.y_train, sampled.y_test]), return_counts=True)
    assert labels.tolist() == ["large", "ovens", "ships", "songs"] and counts.max() == 40


def test_a_document_is_an_outermost_function_with_its_words(tmp_path):
    path = tmp_path / "code.py"
    path.write_text(
        "import os\n"
        "@decorated('route')\n"
        "def readHTTPHeader_fast(first_value, second):\n"
        "    # A comment \x0c with a form feed\n"
        "    def inner(): return os.pathSep\n"
        "    return 'finished'\n"
        "class Holder:\n"
        "    if os:\n"
        "        async def method(self): 'one two three four five six seven'\n"
        "    def short(self): pass\n"
    )
    first, second = python_sources._documents(str(path))
    assert " ".join(first) == (
        "decorated route def read http header fast first value second a comment with a form feed"
        " def inner return os path sep return finished"
    )
    assert " ".join(second) == "async def method self one two three four five six seven"


def test_scanned_code_is_never_run_and_warns_of_nothing(root):
    bomb = "raise SystemExit('executed')\npattern = '\\d'\n"
    (root / "ovens" / "__init__.py").write_text(bomb)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(root, cache=False).n_skipped == 0


def test_too_few_packages_are_an_error_that_says_where(root, tmp_path):
    with pytest.raises(ValueError, match=r"found 0 Python packages with at least 9000 functions.*site-packages"):
        load(root, min_functions=9_000)
    with pytest.raises(ValueError, match=r"found 0 Python packages.*absent"):
        load(tmp_path / "absent")
    assert not list((root.parent / "cache").rglob("*.npz"))
