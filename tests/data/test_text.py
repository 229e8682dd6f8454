"""The compiled reader of raw text against a naive twin and scikit-learn's vectorizers."""

import json
import pickle
import string
import tarfile
from dataclasses import replace
from pathlib import Path

import naive_text
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_table import rows_of
from scipy import sparse
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, HashingVectorizer, TfidfTransformer

from hogwild.data.batch import concatenate, merge_repeats
from hogwild.data.errors import DataError
from hogwild.data.numerals import PADDING
from hogwild.data.parts import Part, split_lines
from hogwild.data.registry import to_json
from hogwild.data.text import Text, read_folder

NEWS = Path(__file__).parents[3] / "shared" / "data" / "20news-bydate.tar.xz"


def parsed(text, content, size=1 << 20):
    return [text.parse(part) for part in split_lines(np.frombuffer(content, np.uint8), size, PADDING)]


def batches(text, content, size=1 << 20):
    found = parsed(text, content, size)
    assert all(one.error == -1 for one in found)
    return [one.batch if one.unique else merge_repeats(one.batch) for one in found]


def read(text, content):
    return concatenate(batches(text, content))


def in_one_part(text, content):
    content = content.removeprefix(b"\xef\xbb\xbf") + b"\n"
    found = text.parse(Part(np.frombuffer(content + b"\n" * PADDING, np.uint8), 0, len(content), 0))
    return found.batch if found.unique else merge_repeats(found.batch)


def fitted(text, content):
    return text.fit(one.batch for one in parsed(text.counting(), content))


def close(batch, expected):
    found = rows_of(batch)
    assert [row.keys() for row in found] == [row.keys() for row in expected]
    for row, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(list(row.values()), [other[index] for index in row], rtol=1e-6)


# ------------------------------------------------------------------------------------------------ against the twin

raw_words = st.one_of(
    st.sampled_from([b"the", b"The", b"a", b"red", b"RED", b"car", b"x1_", b"caf\xc3\xa9", b"\xc3\xa9", b"\xff\xfe"]),
    st.binary(max_size=12).map(lambda word: word.replace(b"\n", b"")),
    st.text(string.ascii_letters, max_size=12).map(str.encode),
).filter(lambda word: b"__label__" not in word)
gaps = st.sampled_from([b" ", b"  ", b", ", b"\t", b"-", b"\0", b"\r", b"."])


@st.composite
def contents(draw, label):
    lines = []
    for _ in range(draw(st.integers(0, 8))):
        line = b""
        if label != "none":
            name = draw(st.sampled_from([b"1", b"-2", b"2.5", b"spam", b"k\xc3\xa4se"]))
            line = name + b"\t" if label == "tab" else draw(gaps.filter(bytes.isspace)) + b"__label__" + name + b" "
        for word in draw(st.lists(raw_words, max_size=9)):
            line += word + draw(gaps)
        lines.append(line)
        lines += draw(st.lists(st.sampled_from([b"", b" ", b"\r"]), max_size=1))
    return b"\n".join(lines) + draw(st.sampled_from([b"", b"\n", b"\r\n"]))


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_random_text_against_the_naive_reader(data):
    label = data.draw(st.sampled_from(["tab", "fasttext", "none"]))
    fewest = data.draw(st.integers(1, 3))
    weighs = data.draw(st.booleans())
    text = Text(
        bits=data.draw(st.sampled_from([2, 20, 31] if not weighs else [2, 20])),
        signed=data.draw(st.booleans()),
        lowercase=data.draw(st.booleans()),
        ngrams=(fewest, data.draw(st.integers(fewest, 4))),
        stop_words=data.draw(st.sampled_from([(), ("The", "red"), "english"])),
        min_length=data.draw(st.integers(1, 3)),
        label=label,
    )
    if weighs:
        text = replace(
            text,
            signed=False,
            tfidf=data.draw(st.booleans()),
            sublinear=data.draw(st.booleans()),
            norm=data.draw(st.sampled_from(["l2", None])),
            minimum=data.draw(st.integers(1, 2)),
        )
    content = data.draw(contents(label))
    words = ENGLISH_STOP_WORDS if text.stop_words == "english" else text.stop_words
    stops = {word.encode().lower() if text.lowercase else word.encode() for word in words}
    rows = naive_text.split(content.removeprefix(b"\xef\xbb\xbf"), text)
    counts = naive_text.counts([document for _, document in rows], text, stops)
    if weighs:
        text = fitted(text, content)
        counts = naive_text.weighed(counts, counts, text)
    parts = batches(text, content, data.draw(st.sampled_from([1, 30])))
    close(concatenate(part._replace(labels=np.zeros(part.n_rows)) for part in parts), counts)  # of any kinds
    batch = in_one_part(text, content)
    close(batch, counts)
    if label != "none":
        assert list(map(str, batch.labels)) == same_kind([word for word, _ in rows])
    for (_, document), row in zip(rows, rows_of(batch), strict=True):
        head = {"none": b"", "tab": b"x\t", "fasttext": b"__label__x "}[label]
        assert len(set(text.names(head + document))) >= len(row)


def same_kind(words):
    if all(word in ("1", "-2") for word in words):
        return words
    return [str(float(word)) for word in words] if not {"spam", "käse"} & set(words) else words


# ------------------------------------------------------------------------------------------------ scikit-learn

DOCUMENTS = [
    "The quick brown fox; the lazy dog!",
    "a b c dd ee_1 DD dd",
    "now is the time for all good men to come to the aid of the party",
    "quick quick slow",
    "",
    "fox and dog and fox",
]


@pytest.mark.parametrize("ngrams", [(1, 1), (1, 3), (2, 2)])
@pytest.mark.parametrize("stop_words", [(), "english"])
@pytest.mark.parametrize("signed", [False, True])
def test_counts_are_those_of_hashing_vectorizer(ngrams, stop_words, signed):
    text = Text(bits=12, ngrams=ngrams, stop_words=stop_words, signed=signed, label="tab")
    batch = read(text, "".join(f"0\t{document}\n" for document in DOCUMENTS).encode())
    theirs = HashingVectorizer(
        n_features=2**12, ngram_range=ngrams, stop_words=stop_words or None, alternate_sign=signed, norm=None
    ).transform(DOCUMENTS)
    np.testing.assert_array_equal(batch.matrix(2**12).toarray(), theirs.toarray())


@pytest.mark.parametrize("sublinear", [False, True])
@pytest.mark.parametrize("norm", [None, "l2"])
def test_weights_are_those_of_tfidf_transformer(sublinear, norm):
    content = "".join(f"0\t{document}\n" for document in DOCUMENTS).encode()
    text = fitted(Text(bits=14, tfidf=True, sublinear=sublinear, norm=norm), content)
    unseen = b"0\tsome new words and a fox\n"
    hasher = HashingVectorizer(n_features=2**14, alternate_sign=False, norm=None)
    transformer = TfidfTransformer(sublinear_tf=sublinear, norm=norm).fit(hasher.transform(DOCUMENTS))
    documents = [*DOCUMENTS, "some new words and a fox"]
    theirs = transformer.transform(sparse.csr_matrix(hasher.transform(documents)))
    found = read(text, content + unseen).matrix(2**14)
    np.testing.assert_allclose(found.toarray(), theirs.toarray(), rtol=1e-6)


# ------------------------------------------------------------------------------------------------ labels and errors


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["1", "-1", "+3"], np.array([1, -1, 3])),
        (["1", "2.5", ".5e1"], np.array([1, 2.5, 5])),
        (["1", "spam"], np.array(["1", "spam"])),
        (["9223372036854775808"], np.array([2.0**63])),
        (["1e999", "1"], np.array(["1e999", "1"])),
        (["nan", "1"], np.array(["nan", "1"])),
        (["k\u00e4se", "x" * 300], np.array(["k\u00e4se", "x" * 300])),
        ([str(i) for i in range(500)] * 2, np.arange(1000) % 500),
    ],
)
def test_kinds_of_labels(words, expected):
    for text, form in ((Text(), "{}\tword"), (Text(label="fasttext"), "__label__{} word")):
        labels = read(text, "\n".join(map(form.format, words)).encode()).labels
        assert labels.dtype == expected.dtype
        np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(
    ("label", "content", "rows", "error", "expected"),
    [
        ("tab", b"1\tgood\nno label\n1\tx\n", 1, 7, "a label and a tab"),
        ("tab", b"\ttext\n", 0, 0, "a label and a tab"),
        ("tab", b"a\tx\n\nb\ty\nsp\xff\tz\nb\tx\n", 2, 9, "a label in UTF-8"),
        ("fasttext", b"__label__a x\n label y\n", 1, 14, "'__label__' and a label"),
        ("fasttext", b"__label__ x\n", 0, 0, "'__label__' and a label"),
        ("fasttext", b"__label__", 0, 0, "'__label__' and a label"),
        ("fasttext", b"__label__a  __label__b x\n", 0, 12, "one label"),
    ],
)
def test_bad_lines(label, content, rows, error, expected):
    (found,) = parsed(Text(label=label), content)
    assert (found.batch.n_rows, found.error) == (rows, error)
    assert expected in found.expected


def test_without_labels_and_without_words():
    batch = read(Text(label="none"), b"one two\n\n... !\n")
    assert batch.n_rows == 2
    assert np.isnan(batch.labels).all()
    assert batch.indptr.tolist() == [0, 2, 2]
    assert read(Text(), b"").n_rows == 0
    assert read(Text(), b"\n \n\r\n").n_rows == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 0}, "bits"),
        ({"ngrams": (2, 1)}, "ngrams"),
        ({"ngrams": (0, 1)}, "ngrams"),
        ({"stop_words": "german"}, "stop_words"),
        ({"label": "first"}, "label"),
        ({"norm": "l1"}, "norm"),
        ({"minimum": 0}, "minimum"),
        ({"min_length": 0}, "min_length"),
        ({"signed": True, "sublinear": True}, "sublinear"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        Text(**options)


# ------------------------------------------------------------------------------------------------ two passes


def test_what_was_learned_travels_apart_from_the_options():
    content = b"1\tred car\n0\tred bus\n1\tRed tram, red\n"
    text = Text(bits=8, tfidf=True, norm="l2", minimum=2, ngrams=[1, 2], stop_words=["bus"])
    with pytest.raises(ValueError, match="first pass"):
        parsed(text, content)
    with pytest.raises(ValueError, match="first pass"):
        text.names(b"1\tred")
    learned = fitted(text, content)
    assert {name: array.shape for name, array in learned.arrays().items()} == {
        "document_frequency": (256,),
        "documents": (1,),
    }
    again = Text(**json.loads(json.dumps(to_json(learned)))).with_arrays(learned.arrays())
    assert again == learned
    for other in (again, pickle.loads(pickle.dumps(learned))):
        close(read(other, content), rows_of(read(learned, content)))
    assert learned.names(b"1\tthe red car in red") == ["red"]
    with pytest.raises(ValueError, match="document_frequency has shape"):
        replace(text, bits=9).with_arrays(learned.arrays())
    with pytest.raises(ValueError, match="index"):
        Text(bits=1, tfidf=True).fit([read(text.counting(), content)])


def test_fitting_leaves_batches_as_they_are():
    (one,) = parsed(Text(label="none"), b"red red car\n")
    before = [array.copy() for array in one.batch]
    frequency = Text(label="none", tfidf=True).fit([one.batch, one.batch]).arrays()["document_frequency"]
    assert sorted(frequency[frequency > 0]) == [2, 2]
    for array, old in zip(one.batch, before, strict=True):
        np.testing.assert_array_equal(array, old)


# ------------------------------------------------------------------------------------------------ folders


def make_folder(path, documents):
    for name, content in documents.items():
        place = path / name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)


def test_folders(tmp_path):
    make_folder(
        tmp_path,
        {
            "spam/2": b"cheap\nwatches\r\nCheap",
            "spam/10": b"",
            "ham/1": b"\nsee you\n",
            "ham/2.txt": b"1\tnoon",
            "readme": b"not a document",
        },
    )
    (tmp_path / "ham" / "nested").mkdir()
    text = Text(ngrams=(1, 2), min_length=1)
    whole = list(read_folder(tmp_path, text))
    single = list(read_folder(tmp_path, text, batch_bytes=1))
    assert len(whole) == 1 and len(single) == 4
    for batch in (whole[0], concatenate(single)):
        assert batch.labels.tolist() == ["ham", "ham", "spam", "spam"]
        documents = [b"see you", b"1 noon", b"", b"cheap watches Cheap"]
        close(batch, naive_text.counts(documents, text, set()))
    with pytest.raises(DataError, match="without subfolders"):
        list(read_folder(tmp_path / "ham" / "nested", text))


def test_encodings_of_folders(tmp_path):
    make_folder(tmp_path, {"a/1": "caf\u00e9".encode("latin-1")})
    text = Text()
    (batch,) = read_folder(tmp_path, text, encoding="latin-1")
    close(batch, naive_text.counts(["caf\u00e9".encode()], text, set()))
    (batch,) = read_folder(tmp_path, text)
    close(batch, naive_text.counts([b"caf\xe9"], text, set()))
    with pytest.raises(DataError, match=r"1: found byte 0xe9 at place 3, expected text in utf-8"):
        list(read_folder(tmp_path, text, encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.skipif(not NEWS.exists(), reason="the real data is not there")
def test_twenty_newsgroups(tmp_path):
    from hogwild import SGDClassifier

    with tarfile.open(NEWS) as archive:
        archive.extractall(tmp_path, filter="data")
    train, test = (next(tmp_path.rglob(f"20news-bydate-{part}")) for part in ("train", "test"))
    text = Text(tfidf=True, sublinear=True, norm="l2", stop_words="english")
    text = text.fit(read_folder(train, text.counting()))
    (X, y), (A, b) = (
        (batch.matrix(text.n_features), batch.labels)
        for batch in (concatenate(read_folder(part, text)) for part in (train, test))
    )
    assert (X.shape[0], A.shape[0]) == (11_314, 7_532)
    assert SGDClassifier(alpha=1e-4, max_iter=10, tol=None, random_state=0).fit(X, y).score(A, b) > 0.85
