"""Reports are valid HTML and are shown whole, on a desk and on a phone, without anything from elsewhere."""

from __future__ import annotations

import sys
from math import nan

import pytest
from report.browser import chromium, complaints, html_validate, load, measure, screenshot

from hogwild.experiments.findings import Experiment, Findings, Measured, Picture, Published, Remark, Statement
from hogwild.report import Bars, Chapter, Code, Groups, Lines, Table, Text, write_report

pytest.importorskip("matplotlib")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="flags of the browser on Linux"),
    pytest.mark.xdist_group("browser"),  # html-validate is installed once
]

HOSTILE = '<script>document.title = "taken"</script> & "quotes" \u202e \N{SNOWMAN}'
LONG = "a name without any place to break it " + "x" * 90
EPOCHS = list(range(1, 41))
PLOTS = [
    Lines(
        "Loss by epoch",
        "epoch",
        "mean loss",
        {"training": (EPOCHS, [1 / epoch for epoch in EPOCHS]), HOSTILE: (EPOCHS, [2 / epoch for epoch in EPOCHS])},
    ),
    Lines(
        "Error against the number of rows",
        "rows",
        "test error",
        {
            "SGD": ([1e3, 1e4, 1e5, 1e6], [0.4, 0.2, 0.1, 0.05]),
            "bound": ([1e3, 1e6], [0.1, 0.01]),
            "all": ([1e6], [0.04]),
        },
        log_x=True,
        log_y=True,
        dashed=["bound"],
        dots=["all"],
        spread={"SGD": [0.1, 0.05, 0.02, 0.01]},
    ),
    Lines("Throughput", "epoch", "rows/s", {"rows/s": ([1, 2, 3], [1e6, 1.1e6, nan])}, from_zero=True),
    Bars("Time", "seconds", {"scikit-learn": 3.2, "hogwild": 0.2, "another library with a long name": 1.4}),
    Groups("Seconds an epoch", "seconds", {"rcv1": {"shared": 1, "locked": 9}, "dblife": {"shared": 2}}, log_y=True),
]
PARTS = [
    Text(f"Rows & columns, x < y. {HOSTILE} {LONG}"),
    Code("The command", "hogwild train " + " ".join(f"--option-{k} {k}" for k in range(20))),
    Table("Result", ["", "training", "<validation>"], [["log loss", "0.5", HOSTILE], [LONG, "0.9", "-"]], "A note."),
    Table("Wide", [f"column {k}" for k in range(15)], [[f"{k}.000" for k in range(15)]]),
    Table("Settings", ["", ""], [["loss", "log_loss"], ["file", LONG.replace(" ", "/")]]),
]
EXPERIMENT = Experiment(
    "made-up",
    "An experiment that measures nothing",
    "It is there to be looked at.",
    "",
    lambda setting: Findings(
        [
            Remark("What comes next."),
            Measured("times", "Times", {"engine": "", "seconds": ".2f"}, [["shared", 1.25], ["locked", None]], "Note."),
            Published("Times then", "Somebody, somewhere, 2011, table 2", ["engine", "seconds"], [["shared", "9.5"]]),
            *(Picture(f"picture-{number}", plot) for number, plot in enumerate(PLOTS)),
        ],
        [Statement("Locks cost time", True), Statement("All is well", None, "nobody"), Statement("No", False)],
    ),
)


def all_parts(path):
    write_report(path, f"A model {HOSTILE}", [*PARTS, *PLOTS])


def chapters(path):
    write_report(path, "Chapters", [Text("Before."), Chapter("One"), *PARTS, Chapter(HOSTILE), *PLOTS, *PLOTS])


def without_anything(path):
    write_report(path, "Nothing", [])


def _rows(path):
    from hogwild.data import dump_svmlight, make_rcv1_like

    X, y = make_rcv1_like(1_200, 60, row_length=12, random_state=1)
    rows = path.with_suffix(".svm")
    dump_svmlight(X, y, rows)
    return rows


def train(path):
    from cli.lines import run

    rows = _rows(path)
    words = ("--valid", rows, "--metric", "auc", "--epochs", 3, "-j", 1, "--report", path)
    run("train", rows, "-m", path.with_suffix(".model"), *words)


def search(path):
    from cli.lines import run

    lists = ("--alpha", "1e-6,...,1e-3", "--eta0", "0.01,0.3", "--cv", 3, "--epochs", 3)
    run("train", _rows(path), "-m", path.with_suffix(".model"), *lists, "-j", 1, "--report", path)


def simulate(path):
    from cli.lines import run

    words = ("--straggler", "constant:2=5", "--rows", 60_000, "--phase-rows", 1_000, "--report", path)
    run("simulate", "--workers", 6, "--shards", 2, *words)


def simulate_plan(path):
    from cli.lines import run

    grid = ("--workers", "1,2", "--consistency", "bsp,asp", "--phase-rows", "100,200", "--epochs", 2)
    run("simulate", "--plan", _rows(path), *grid, "--report", path)


def reproduce(path):
    from cli.lines import run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hogwild.cli.reproducing.find", lambda name: EXPERIMENT)
        run("reproduce", "made-up", "-o", path.with_suffix(""), "--report", path)


MAKERS = [all_parts, chapters, without_anything, train, search, simulate, simulate_plan, reproduce]


@pytest.fixture(scope="module", params=MAKERS, ids=lambda maker: maker.__name__)
def page(request, tmp_path_factory):
    """Write a report of each kind."""
    path = tmp_path_factory.mktemp("pages") / f"{request.param.__name__}.html"
    request.param(path)
    return path


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture(scope="module")
def validator():
    return html_validate()


def test_it_is_valid(validator, page):
    assert complaints(validator, page) == []


def test_the_validator_complains(validator, tmp_path):
    path = tmp_path / "page.html"
    path.write_text('<!DOCTYPE html>\n<html lang="en"><head><title>x</title></head><body><p><div></p></body></html>\n')
    assert complaints(validator, path)


def test_the_browser_complains(driver, tmp_path):
    path = tmp_path / "page.html"
    drawn = '<svg viewBox="0 0 10 10" width="20" height="20"><path d=""/><text x="50" y="5">cut</text></svg>'
    body = f'<img src="none.png"><p style="white-space: nowrap">{LONG}</p>{drawn}<script>console.error("no")</script>'
    path.write_text(f"<!DOCTYPE html>\n<html><body>{body}</body></html>\n")
    asked = load(driver, path, 360)
    found = measure(driver)
    assert len(asked) == 2 and found["overflow"] > 0
    (svg,) = (picture for picture in found["pictures"] if picture["tag"] == "svg")
    assert svg["width"] < 100 and svg["longest"] == 0 and svg["cut"] == ["cut"]
    assert any("no" in entry["message"] for entry in driver.get_log("browser"))


@pytest.mark.parametrize("width", [360, 1200])
def test_it_is_shown_whole(driver, page, width, tmp_path):
    asked = load(driver, page, width)
    screenshot(driver, tmp_path / f"{page.stem}-{width}.png")
    found = measure(driver)
    assert [entry for entry in driver.get_log("browser") if entry["level"] != "DEBUG"] == []
    assert set(asked) == {page.as_uri()}
    assert found["fetched"] == []
    assert driver.title != "taken" and found["headings"] == 1
    assert found["overflow"] <= 0
    source = page.read_text(encoding="utf-8")
    assert len([picture for picture in found["pictures"] if picture["tag"] == "svg"]) == source.count("<svg")
    for picture in found["pictures"]:
        assert picture["inside"], picture
        assert picture["width"] > 100 and picture["height"] > 50, picture
        if picture["tag"] == "svg":
            assert picture["longest"] > 0, picture
            assert picture["texts"] > 0 and picture["cut"] == [], picture
