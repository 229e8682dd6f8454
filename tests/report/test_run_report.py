"""Reports of runs: what they show of large, tiny, strange and interrupted ones."""

import itertools
import re

import numpy as np
import pytest
from report.test_report import Page

from hogwild.report import Bars, Chapter, Groups, Lines, Table, Text, write_report
from hogwild.report.judged import Judged
from hogwild.report.judging import Sample
from hogwild.report.record import Cluster, Epoch, Record, Search, WorkerShares
from hogwild.report.run import run_parts, write_run
from hogwild.report.weights import Heaviest

HOSTILE = ["$x^{$", "a\u202eb", "<b>&amp;", "_hidden", "x" * 5000, "\x00\ud800", "日本語", ""]


def headings(parts):
    return [part.heading for part in parts if not isinstance(part, Text)]


def judged(n=500, classes=(0, 1), probabilities=True):
    rng = np.random.default_rng(0)
    sample = Sample("validation rows")
    if classes is None:
        true = rng.normal(size=n)
        predicted = true + rng.normal(size=n)
    elif len(classes) == 2:
        predicted = rng.random(n)
        true = (rng.random(n) < predicted).astype(int)
    else:
        true = rng.integers(0, len(classes), n)
        predicted = np.where(rng.random(n) < 0.5, true, rng.integers(0, len(classes), n))
    sample.add(true, predicted, np.ones(n))
    return sample.judge(classes, probabilities)


def binary():
    return Record(
        "hogwild: rows.svm",
        command="hogwild train rows.svm",
        environment={"cores": "2"},
        settings=[("loss", "log_loss")],
        outcome=[("trained", "1 s")],
        epochs=[Epoch(k, 1 / k, 1.1 / k, 0.1, 1e6, 0.5 / k) for k in (1, 2, 3)],
        metric="log loss",
        metric_is_loss=True,
        progressive=[(1024.0, 0.7), (2048.0, 0.6)],
        seconds={"reading": 1.0, "stepping": 0.3},
        scores={"training": {"log loss": 0.5}, "validation": {"log loss": 0.6, "AUC": None}},
        judged=judged(),
        weights=[Heaviest("spam", [("viagra", 2.0)]), Heaviest("ham", [("noon", -1.0), ("tea", -0.5)])],
    )


def test_everything_of_a_binary_run(tmp_path):
    found = headings(run_parts(binary()))
    assert found == [
        "Result", "Scores", "ROC: 500 validation rows", "Precision and recall: 500 validation rows",
        "Calibration: 500 validation rows", "Training", "Loss by epoch", "Progressive loss", "Step size", "Throughput",
        "Time", "Epochs", "Weights", "Heaviest weights", "Features with the heaviest weights", "Run", "Outcome",
        "Settings", "Environment", "The command to repeat it",
    ]  # fmt: skip
    write_run(binary(), tmp_path / "r.html")
    page = Page()
    page.feed((tmp_path / "r.html").read_text(encoding="utf-8"))
    page.close()
    assert page.open == [] and len(page.ids) == len(set(page.ids))
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_what_stands_before_the_first_chapter_is_of_its_rank(tmp_path):
    table = Table("T", ["", ""], [["a", "b"]])
    write_report(tmp_path / "p.html", "t", [table, Chapter("C"), table])
    text = (tmp_path / "p.html").read_text()
    assert text.index("<h2>T</h2>") < text.index('<h2 class="chapter">C</h2>') < text.index("<h3>T</h3>")


@pytest.mark.parametrize(
    "record",
    [
        Record("nothing"),
        Record("one epoch", epochs=[Epoch(1, 0.5)], progressive=[(100.0, 0.5)]),
        Record("unknown", epochs=[Epoch(1, None), Epoch(2, float("nan"), None, None, None, None)], interrupted=True),
        Record("no weights", weights=[Heaviest("a", []), Heaviest("b", [])]),
        Record("all alike", judged=judged(3), epochs=[Epoch(1, 0.0, 0.0, 0.0, 0.0, 0.0), Epoch(2, 0.0)]),
        Record("regression of one row", judged=judged(1, None)),
    ],
    ids=lambda record: record.title,
)
def test_small_runs(record, tmp_path):
    write_run(record, tmp_path / "r.html")
    record.save(tmp_path / "run")
    assert Record.load(tmp_path / "run").title == record.title


def test_hostile_names(tmp_path):
    record = binary()
    record.title = HOSTILE[1]
    record.weights = [Heaviest(name, [(each, 1.0) for each in HOSTILE]) for name in HOSTILE[:3]]
    record.judged = judged(classes=HOSTILE)
    record.cluster = Cluster([WorkerShares(name, 1, 1, 0.5, 0.25, 0.25, 9) for name in HOSTILE], [(0, 3)], [], [], [])
    record.settings = [(name, name) for name in HOSTILE]
    record.save(tmp_path / "run")
    write_run(Record.load(tmp_path / "run"), tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "\u202e" not in text and "\x00" not in text and "<b>" not in text and r"a\u202eb" in text
    assert text.count("$x^{$") >= 4  # drawn and listed as it is
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []


def test_classes():
    few, many = judged(classes=tuple("abc")), judged(2000, tuple(map(str, range(30))))
    found = headings(run_parts(Record("r", judged=few)))
    assert found == ["Result", "F1 by class", "Classes", "Confusion", "Most frequent mistakes"]
    assert few.classes.confusion and sum(map(sum, few.classes.confusion)) == 500
    assert not many.classes.confusion and len(many.classes.each) == 20 and len(many.classes.mistaken) == 20
    assert "Confusion" not in headings(run_parts(Record("r", judged=many)))
    f1 = [each[4] for each in many.classes.each]
    assert f1 == sorted(f1)


def test_regression():
    parts = run_parts(Record("r", judged=judged(classes=None)))
    assert headings(parts) == ["Result", "Predicted and true: 500 validation rows", "Errors: 500 validation rows"]
    assert sum(share for _, share in judged(classes=None).numbers.residuals) == pytest.approx(1)


def test_curves_agree_with_scikit_learn():
    from sklearn import metrics

    rng = np.random.default_rng(3)
    predicted, weights = rng.random(5000), rng.random(5000)
    true = (rng.random(5000) < predicted**2).astype(int)
    sample = Sample("rows")
    for part in np.array_split(np.arange(5000), 7):
        sample.add(true[part], predicted[part], weights[part])
    found = sample.judge(["no", "yes"], True).binary
    assert found.roc_area == pytest.approx(metrics.roc_auc_score(true, predicted, sample_weight=weights))
    assert len(found.roc) <= 200 and len(found.precision_recall) <= 200
    assert found.roc[0] == (0, 0) and found.roc[-1] == (1, 1)
    x, y = map(np.array, zip(*found.roc, strict=True))
    assert metrics.auc(x, y) == pytest.approx(found.roc_area, abs=2e-3)
    assert found.share == pytest.approx(np.average(true, weights=weights))
    assert len(found.calibration) == 10 and sum(rows for _, _, rows in found.calibration) == 5000
    for mean, share, _ in found.calibration:
        assert share == pytest.approx(mean**2, abs=0.1)


def test_a_sample_of_many_rows_is_a_random_choice():
    sample = Sample("rows", limit=1000)
    for start in range(0, 10_000, 100):
        rows = np.arange(start, start + 100)
        sample.add(rows, rows, np.ones(100))
    found = sample.judge(None, False)
    assert (found.rows, found.all_rows) == (1000, 10_000)
    assert np.mean([mean for mean, *_ in found.numbers.binned]) == pytest.approx(5000, rel=0.1)


def test_rows_that_tell_nothing_are_left_out():
    assert Sample("rows").judge([0, 1], True) is None
    one_class = Sample("rows")
    one_class.add(np.ones(5), np.full(5, 0.5), np.ones(5))
    assert one_class.judge([0, 1], True) == Judged("rows", 5, 5)
    no_weight = Sample("rows")
    no_weight.add(np.ones(5), np.full(5, np.nan), np.zeros(5))
    assert no_weight.judge(None, False) is None


def test_search_and_cluster():
    search = Search("accuracy", 3, ["alpha"], [[0.1], [1.0], [10.0]], [0.9, None, 0.8], [0.1, None, 0.1], [1, 3, 2], 0)
    parts = run_parts(Record("r", search=search))
    assert headings(parts) == ["Result", "Settings tried", "Score by alpha"]
    assert [row[1] for row in parts[1].rows] == [
        "0.90000\u00a0±\u00a00.10000",
        "diverged",
        "0.80000\u00a0±\u00a00.10000",
    ]
    cluster = Cluster(
        [WorkerShares(f"worker/{k}", 10, 2, 0.5, 0.3, 0.2, 1_000_000) for k in range(20)],
        [(late, 5) for late in range(20)], [(0.0, 100), (1.0, 200)], [(0.5, "lost", "worker/3")],
        [("worker/4", "slow")],
    )  # fmt: skip
    parts = run_parts(Record("r", cluster=cluster))
    assert headings(parts)[1:] == [
        "Time of the workers", "Workers", "Staleness: pushes of others since the pull", "Phase length",
        "What happened",
    ]  # fmt: skip
    staleness = next(part for part in parts if isinstance(part, Groups) and part.heading.startswith("Staleness"))
    assert len(staleness.groups) == 17 and staleness.groups["more"]["share"] == pytest.approx(0.2)


def test_plots_of_all_kinds_are_drawn(tmp_path):
    parts = [
        Lines("many", "x", "y", {f"line {k}": ([1, 2], [k, k + 1]) for k in range(12)}, log_x=True),
        Lines("steps", "x", "y", {"y": ([1, 20_000], [1, 2])}, filled=["y"]),
        Bars("both sides", "weight", {"a": 2.0, "b": -1.0}),
        Bars("negative", "weight", {"a": -2.0}),
        Bars("none", "weight", {}),
        Groups("stacked", "y", {"a": {"s": 0.4, "t": 0.6}, "b": {"t": 1.0}}, stacked=True),
        Table("shaded", ["", "1", "2"], [["a", "5", ""]], shades=[[1.0, 0.0]]),
    ]
    write_report(tmp_path / "p.html", "t", parts)
    text = (tmp_path / "p.html").read_text()
    assert text.count("<svg ") == 6 and '<td class="s9">5</td><td></td>' in text
    assert "mathdefault" not in re.sub("<!--.*?-->", "", text)


def test_columns_of_words_are_told_from_numbers(tmp_path):
    rows = [
        ["a claim that is a sentence of more than forty letters", "holds", "-1.5", ""],
        ["b", "fails", "diverged", ""],
    ]
    write_report(tmp_path / "p.html", "t", [Table("T", ["claim", "here", "n", ""], [*rows, ["c", "-", "3 %", ""]])])
    text = (tmp_path / "p.html").read_text()
    assert '<table class="numbers told">' in text
    assert '<td class="words">holds</td><td class="short">-1.5</td><td></td>' in text
    write_report(tmp_path / "p.html", "t", [Table("none", ["a", "b"], [])])
    assert '<th scope="col">b</th>' in (tmp_path / "p.html").read_text()
