"""Each format from its file to an evaluated model, and from one format to another."""

import gzip
import json

import numpy as np
import pytest
from cli.lines import error, run

import hogwild
from hogwild.data import dump_svmlight, load_svmlight, make_rcv1_like
from hogwild.data.hashing import hash_names, place
from hogwild.models import describe

N_ROWS = 1200
CITIES, WORDS = ["Paris", "Rome", "Oslo", "Köln"], ["good", "great", "fine", "bad", "awful", "sad", "film", "book"]


class Records:
    """Rows that all formats can hold: a city, two numbers, words; the label goes by all of them."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.city, self.user = rng.integers(0, 4, N_ROWS), rng.integers(0, 3, N_ROWS)
        self.age = np.round(rng.normal(size=N_ROWS), 3)
        self.words = [[WORDS[k] for k in rng.permutation(8)[:4]] for _ in range(N_ROWS)]
        tone = np.array([sum((WORDS.index(w) < 3) - (2 < WORDS.index(w) < 6) for w in words) for words in self.words])
        crossed = (self.city + self.user) % 2  # seen in crosses only
        self.by_cross = crossed
        self.y = (self.age + tone + 0.1 * rng.normal(size=N_ROWS) > 0).astype(int)


RECORDS = Records()


def csv(separator=",", label="y", rows=slice(None), cross=False):
    labels = RECORDS.by_cross if cross else RECORDS.y
    lines = [separator.join(["city", "user", "age", "words", label])]
    for i in range(N_ROWS)[rows]:
        fields = [
            CITIES[RECORDS.city[i]],
            f"u{RECORDS.user[i]}",
            str(RECORDS.age[i]),
            RECORDS.words[i][0],
            str(labels[i]),
        ]
        lines.append(separator.join(fields))
    return "\n".join(lines) + "\n"


def vw(rows=slice(None), cross=False):
    labels = 2 * (RECORDS.by_cross if cross else RECORDS.y) - 1
    return "".join(
        f"{labels[i]} |city {CITIES[RECORDS.city[i]]} |user u{RECORDS.user[i]} |n age:{RECORDS.age[i]} "
        f"|w {' '.join(RECORDS.words[i])}\n"
        for i in range(N_ROWS)[rows]
    )


def jsonl(rows=slice(None)):
    return "".join(
        json.dumps(
            {"y": int(RECORDS.y[i]), "city": CITIES[RECORDS.city[i]], "age": RECORDS.age[i], "words": RECORDS.words[i]}
        )
        + "\n"
        for i in range(N_ROWS)[rows]
    )


def text(rows=slice(None)):
    return "".join(
        f"{'gut' if RECORDS.y[i] else 'schlecht'}\t{' '.join(RECORDS.words[i])}\n" for i in range(N_ROWS)[rows]
    )


TRAIN, TEST = slice(0, 1000), slice(1000, None)
FORMATS = {
    "csv": (csv, ("--label", "y")),
    "tsv": (lambda rows: csv("\t", rows=rows), ("--label", "y")),
    "vw": (vw, ()),
    "jsonl": (jsonl, ("--label", "y")),
    "txt": (text, ("-f", "text")),
}
QUICK = ("-j", 1, "--epochs", 5)


def accuracy(model, *rows):
    return json.loads(run("evaluate", model, *rows, "--json").stdout)["accuracy"]


def files(folder, make, name):
    for rows, stem in ((TRAIN, "train"), (TEST, "test")):
        (folder / f"{stem}.{name}").write_text(make(rows=rows))
    return folder / f"train.{name}", folder / f"test.{name}"


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("way", ["memory", "cache", "stream", "hog"])
def test_from_file_to_evaluated_model(tmp_path, name, way):
    make, options = FORMATS[name]
    train, test = files(tmp_path, make, name)
    model = tmp_path / "m"
    if way == "hog":
        run("cache", train, tmp_path / "rows.hog", *options, "--quiet")
        run("train", tmp_path / "rows.hog", "-m", model, *QUICK, "--quiet")
    else:
        extra = {
            "memory": (),
            "cache": ("--cache", tmp_path / "rows.hog"),
            "stream": ("--cache", "off", "--memory", "1kB"),
        }
        shown = run("train", train, "-m", model, *QUICK, *options, *extra[way], "--valid", test).text
        assert "classification, 2 classes" in shown and "validation" in shown
        assert ("cache" in shown) == (way == "cache") and ("read anew in each epoch" in shown) == (way == "stream")
    found = accuracy(model, test)
    assert found > 0.7
    lines = run("predict", model, test).stdout.splitlines()
    labels = np.array([line.split("\t")[0] for line in test.read_text().splitlines()]) if name == "txt" else None
    if name == "txt":
        assert set(lines) <= {"gut", "schlecht"} and np.mean(labels == lines) == pytest.approx(found)
    assert len(lines) == 200
    assert run("predict", model, test, "--proba", "-q").stdout.count("\n") == 200


def test_ways_lead_to_one_model(tmp_path):
    train, _ = files(tmp_path, csv, "csv")
    options = ("--label", "y", "-j", 1, "--epochs", 20, "--alpha", 1e-3, "--quiet")
    run("train", train, "-m", tmp_path / "memory", *options)
    run("train", train, "-m", tmp_path / "cache", *options, "--cache", tmp_path / "rows.hog")
    run("train", train, "-m", tmp_path / "stream", *options, "--cache", "off", "--memory", "1kB")
    memory, *others = (hogwild.load(tmp_path / name) for name in ("memory", "cache", "stream"))
    for other in others:
        assert other.coef_.shape == memory.coef_.shape
        np.testing.assert_allclose(other.coef_, memory.coef_, atol=0.15)
        assert np.array_equal(other.coef_ != 0, memory.coef_ != 0)


# ------------------------------------------------------------------------------------------------ schemas and crosses


def test_crosses(tmp_path):
    for name, make, options, cross in (
        ("csv", csv, ("--label", "y"), "city*user"),
        ("vw", vw, (), "c*u"),
    ):
        train, test = files(tmp_path, lambda rows, make=make: make(rows=rows, cross=True), name)
        run("train", train, "-m", tmp_path / "plain", *QUICK, *options, "--quiet")
        assert accuracy(tmp_path / "plain", test) < 0.75
        run("train", train, "-m", tmp_path / "crossed", *QUICK, *options, "--cross", cross, "--quiet")
        assert accuracy(tmp_path / "crossed", test) > 0.99
        names = run("inspect", tmp_path / "crossed", "--names", train, "--top", 20).stdout
        assert ("city=Paris*user=u0:" if name == "csv" else "city^Paris*user^u0:") in names, names


def test_schema(tmp_path):
    train, test = files(tmp_path, csv, "csv")
    run(
        *(
            "train",
            train,
            "-m",
            tmp_path / "m",
            *QUICK,
            "--label",
            "y",
            "--quiet",
            "--numeric",
            "a*",
            "--transform",
            "bins",
        ),
        *("--categorical", "city,words", "--ignore", "user", "--bits", 12),
    )
    options = describe(tmp_path / "m")["extra"]["reader"]["options"]["columns"]
    assert options["bits"] == 12 and options["transform"] == "bins"
    assert hogwild.load(tmp_path / "m").n_features_in_ == 4096
    assert accuracy(tmp_path / "m", test) > 0.65
    (tmp_path / "other.csv").write_text("town,y\nParis,1\n")
    assert "other.csv, line 1" in error("evaluate", tmp_path / "m", tmp_path / "other.csv")


def test_weights_of_rows(tmp_path):
    header, *lines = csv().splitlines()
    weighted = "\n".join([header + ",w", *(f"{line},{0 if line.endswith('1') else 2}" for line in lines)]) + "\n"
    (tmp_path / "rows.csv").write_text(weighted)
    for extra in ((), ("--cache", tmp_path / "rows.hog"), ("--cache", "off", "--memory", "1kB")):
        run("train", tmp_path / "rows.csv", "-m", tmp_path / "m", *QUICK, "--label", "y", "--weight", "w", "-q", *extra)
        assert set(run("predict", tmp_path / "m", tmp_path / "rows.csv").stdout.split()) == {"0"}
        assert accuracy(tmp_path / "m", tmp_path / "rows.csv") == 1  # by weight


# ------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("csv", ("age", "words=good", "words=bad")),
        ("vw", ("n^age", "w^good", "w^bad")),
        ("jsonl", ("age", "words=good", "words=bad")),
        ("txt", ("good", "bad")),
    ],
)
def test_names_are_recovered(tmp_path, name, expected):
    make, options = FORMATS[name]
    train, _ = files(tmp_path, make, name)
    run("train", train, "-m", tmp_path / "m", *QUICK, *options, "--quiet")
    plain = run("inspect", tmp_path / "m", "--top", 20).stdout
    named = run("inspect", tmp_path / "m", "--top", 20, "--names", train).stdout
    weights = hogwild.load(tmp_path / "m").coef_[0]
    for feature in expected:
        assert f"  {feature}:" in named and feature not in plain
        number = int(place(hash_names([feature]), 1 << 20)[0][0])
        assert f"{feature}:{weights[number]:.4g}" in named and f"  {number}:{weights[number]:.4g}" in plain


def test_names_need_text(tmp_path):
    train, _ = files(tmp_path, csv, "csv")
    run("cache", train, tmp_path / "rows.hog", "--label", "y", "-q")
    run("train", tmp_path / "rows.hog", "-m", tmp_path / "m", *QUICK, "--quiet")
    assert "found no text" in error("inspect", tmp_path / "m", "--names", tmp_path / "rows.hog")
    assert "words=good" in run("inspect", tmp_path / "m", "--names", train, "--top", 20).stdout


# ------------------------------------------------------------------------------------------------ text


TFIDF = ("-f", "text", "--option", "tfidf=true", "--option", "norm=l2", "--option", "ngrams=[1,2]")


@pytest.mark.parametrize("way", ["memory", "cache", "stream"])
def test_text_weighed_by_tfidf(tmp_path, way):
    train, test = files(tmp_path, text, "txt")
    extra = {"memory": (), "cache": ("--cache", tmp_path / "rows.hog"), "stream": ("--cache", "off", "--memory", "1kB")}
    run("train", train, "-m", tmp_path / "m", *QUICK, *TFIDF, "--quiet", *extra[way])
    assert accuracy(tmp_path / "m", test) > 0.7
    assert "good" in run("inspect", tmp_path / "m", "--names", train).stdout


def test_tfidf_of_a_cache_file(tmp_path):
    train, test = files(tmp_path, text, "txt")
    run("train", train, "-m", tmp_path / "memory", *QUICK, *TFIDF, "--quiet")
    run("cache", train, tmp_path / "rows.hog", *TFIDF, "-q")
    run("train", tmp_path / "rows.hog", "-m", tmp_path / "m", *QUICK, "--quiet")
    assert accuracy(tmp_path / "m", test) == pytest.approx(accuracy(tmp_path / "memory", test), abs=0.03)


@pytest.mark.parametrize("extra", [(), ("--option", "tfidf=true")])
def test_folder_of_documents(tmp_path, extra):
    for part, rows in (("train", TRAIN), ("test", TEST)):
        for i in range(N_ROWS)[rows][:300]:
            folder = tmp_path / part / ("yes" if RECORDS.y[i] else "no")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{i}.txt").write_text("\n".join(RECORDS.words[i]))
    run("train", tmp_path / "train", "-m", tmp_path / "m", "-f", "text", *QUICK, "--quiet", *extra)
    assert accuracy(tmp_path / "m", tmp_path / "test") > 0.7
    assert set(run("predict", tmp_path / "m", tmp_path / "test").stdout.split()) == {"yes", "no"}


# ------------------------------------------------------------------------------------------------ parquet, libffm


def test_parquet(tmp_path):
    import pandas as pd

    for rows, stem in ((TRAIN, "train"), (TEST, "test")):
        table = {
            "city": [CITIES[k] for k in RECORDS.city[rows]],
            "age": RECORDS.age[rows],
            "words": RECORDS.words[rows],
        }
        pd.DataFrame(table | {"y": RECORDS.y[rows]}).to_parquet(tmp_path / f"{stem}.parquet")
    for extra in ((), ("--cache", tmp_path / "rows.hog"), ("--cache", "off", "--memory", "1kB")):
        run("train", tmp_path / "train.parquet", "-m", tmp_path / "m", "--label", "y", *QUICK, "--quiet", *extra)
        assert accuracy(tmp_path / "m", tmp_path / "test.parquet") > 0.8
    assert "found no text" in error("inspect", tmp_path / "m", "--names", tmp_path / "train.parquet")


def ffm(folder, n_rows=600):
    X, y = make_rcv1_like(n_rows, 40, row_length=8, random_state=0)
    lines = []
    for i in range(n_rows):
        row = X[i]
        entries = (f"{j % 4}:{j}:{x:.5g}" for j, x in zip(row.indices, row.data, strict=True))
        lines.append(f"{int(y[i] > 0)} {' '.join(entries)}")
    (folder / "rows.ffm").write_text("\n".join(lines) + "\n")
    return folder / "rows.ffm"


@pytest.mark.parametrize("extra", [(), ("--cache", "on"), ("--cache", "off", "--memory", "1kB")])
def test_linear_models_leave_fields_out_and_say_so(tmp_path, monkeypatch, extra):
    monkeypatch.setenv("HOGWILD_CACHE", str(tmp_path))
    rows = ffm(tmp_path)
    result = run("train", rows, "-m", tmp_path / "m", *QUICK, "--quiet", *extra)
    assert "warning: rows.ffm: the rows have fields, which a linear model does not use" in result.stderr
    assert result.stderr.count("warning") == 1
    assert accuracy(tmp_path / "m", rows) > 0.7


# ------------------------------------------------------------------------------------------------ conversions


def same_rows(one, other):
    (X, y), (Z, z) = one, other
    assert X.shape == Z.shape
    assert np.array_equal(X.toarray(), Z.toarray()) and np.array_equal(y, z)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("way", [("a.svm.gz",), ("a.parquet", "b.svm"), ("a.parquet", "b.parquet", "c.svm")])
def test_svmlight_and_back(tmp_path, first, way):
    X, y = make_rcv1_like(300, 40, row_length=8, random_state=0)
    X = X[:, np.flatnonzero(np.diff(X.tocsc().indptr))]  # the first feature and the last occur
    dump_svmlight(X, y, tmp_path / "rows.svm", zero_based=first == 0)
    before = tmp_path / "rows.svm"
    for name in way:
        shown = run("convert", before, tmp_path / name).stdout
        assert f"{name}: 300 rows" in shown
        before = tmp_path / name
    same_rows(load_svmlight(before), load_svmlight(tmp_path / "rows.svm"))
    if len(way) == 1:
        written = gzip.decompress(before.read_bytes())
        assert written.split()[1] == (tmp_path / "rows.svm").read_bytes().split()[1]  # indices are as they were


def test_models_agree_on_converted_rows(tmp_path):
    X, y = make_rcv1_like(300, 40, row_length=8, random_state=0)
    dump_svmlight(X, y, tmp_path / "rows.svm", zero_based=False)
    run("train", tmp_path / "rows.svm", "-m", tmp_path / "m", *QUICK, "--quiet")
    run("convert", tmp_path / "rows.svm", tmp_path / "rows.parquet", "-q")
    run("cache", tmp_path / "rows.svm", tmp_path / "rows.hog", "-q")
    run("convert", tmp_path / "rows.hog", tmp_path / "again.svm", "-q")
    expected = accuracy(tmp_path / "m", tmp_path / "rows.svm")
    for name in ("rows.parquet", "rows.hog", "again.svm"):
        assert accuracy(tmp_path / "m", tmp_path / name) == pytest.approx(expected), name
    run("train", tmp_path / "rows.parquet", "-m", tmp_path / "p", *QUICK, "--quiet")
    same = [hogwild.load(tmp_path / name).coef_ for name in ("m", "p")]
    assert np.array_equal(*same)


def test_libffm_and_back(tmp_path):
    rows = ffm(tmp_path)
    run("convert", rows, tmp_path / "rows.parquet", "-q")
    result = run("convert", rows, tmp_path / "rows.svm", "-q")
    assert "warning:" in result.stderr and "the rows have fields, for which svmlight has no place" in result.stderr
    run("convert", rows, tmp_path / "again.ffm.gz", "-q")
    assert gzip.decompress((tmp_path / "again.ffm.gz").read_bytes()) == rows.read_bytes()
    one, other = (next(iter(hogwild.data.open(tmp_path / name))) for name in ("rows.ffm", "rows.svm"))
    assert one.indices.tolist() == other.indices.tolist() and one.labels.tolist() == other.labels.tolist()
    message = error("convert", tmp_path / "rows.svm", tmp_path / "x.ffm")
    assert "need a field for each entry" in message and not (tmp_path / "x.ffm").exists()


def test_hashed_rows_are_converted(tmp_path):
    train, _ = files(tmp_path, csv, "csv")
    run("convert", train, tmp_path / "rows.svm", "--label", "y", "-q")
    run("convert", train, tmp_path / "rows.parquet", "--label", "y", "-q")
    run("train", train, "-m", tmp_path / "m", "--label", "y", *QUICK, "-q")
    expected = accuracy(tmp_path / "m", train)
    for name in ("rows.svm", "rows.parquet"):
        assert json.loads(
            run(
                "evaluate", tmp_path / "m", tmp_path / name, "--json", "-f", "svmlight" if name[-1] == "m" else "arrow"
            ).stdout
        )["accuracy"] == pytest.approx(expected), name


def test_conversions_that_make_no_sense(tmp_path):
    train, _ = files(tmp_path, csv, "csv")
    assert "expected one of .svm" in error("convert", train, tmp_path / "x.csv", "--label", "y")
    assert "found one path" in error("convert", train, status=2)
    assert "expected .hog" in error("cache", train, tmp_path / "x.csv", "--label", "y")
    (tmp_path / "empty.svm").write_text("")
    assert "no rows" in error("convert", tmp_path / "empty.svm", tmp_path / "x.svm")
    assert "no rows" in error("cache", tmp_path / "empty.svm", tmp_path / "x.hog")
    assert not (tmp_path / "x.svm").exists() and not (tmp_path / "x.hog").exists()


# ------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("r.csv", "a,y\n1,0\n1,1,1\n", ("--label", "y"), "r.csv, line 3, column"),
        ("r.csv", "a,b\n1,0\n", ("--label", "y"), "y"),
        ("r.vw", "1 |a b:x\n", (), "r.vw, line 1, column 8"),
        ("r.jsonl", '{"y": 1}\n{"y": }\n', ("--label", "y"), "r.jsonl, line 2, column 7"),
        ("r.ffm", "1 1:2:3\n0 1:2\n", (), "r.ffm, line 2, column"),
        ("r.parquet", "PAR0", (), "r.parquet"),
        ("r.hog", "HOG", (), "r.hog"),
        (
            "r.svm",
            "1 1:1\n",
            ("--option", "zero_base=true"),
            "format svmlight has no option 'zero_base'; it has columns,",
        ),
        ("r.csv", "a,y\n1,0\n", ("--label", "y", "--cross", "a"), "expected A*B"),
    ],
)
def test_errors_are_one_line_that_names_the_place(tmp_path, name, content, options, message):
    (tmp_path / name).write_text(content)
    status = 2 if "--cross" in options else 1
    found = error("train", tmp_path / name, "-m", tmp_path / "m", *options, status=status)
    assert message in found and "\n" not in found


def test_help_stays_readable():
    shown = run("train", "--help").stdout
    assert max(map(len, shown.splitlines())) <= 100
    assert len(shown.splitlines()) < 130
    for panel in ("Rows", "Long runs", "--memory", "--checkpoint", "--resume", "--cache"):
        assert panel in shown
