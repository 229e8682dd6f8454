"""FFM on clicks: what is told of the fits, the log loss, libffm's program, and files of clicks."""

from __future__ import annotations

import lzma
import math
from pathlib import Path

import numpy as np
import pytest

from hogwild import FFMClassifier
from hogwild.data import dump_libffm, make_click_log
from hogwild.experiments import find
from hogwild.experiments.ffm_criteo import statements
from hogwild.experiments.ffm_criteo.clicks import Clicks, load_clicks, log_loss
from hogwild.experiments.ffm_criteo.runs import ITERATIONS, Fit, libffm, run_all, run_libffm
from hogwild.experiments.findings import Measured, Picture, Setting
from hogwild.experiments.writing import write_findings

CRITEO = Path(__file__).parents[3] / "shared" / "data" / "criteo-8000.tsv.xz"

PRINTS = """#!/bin/sh
echo "$@" > said
echo 'First check if the text file has already been converted to binary format (0.0 seconds)'
echo 'iter   tr_logloss   va_logloss      tr_time'
for k in $(seq "$4"); do echo "   $k      0.6$k      0.5$k      $k.0"; done
"""


@pytest.fixture(scope="module")
def clicks():
    log = make_click_log(1_300, 6, 300, random_state=1)
    return Clicks(log.rows(0, 1_000), log.rows(1_000, 1_300), 0.5, True, "few rows")


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    def put(text):
        program = tmp_path / "ffm-train"
        program.write_text(text)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        return str(program)

    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return put


def test_log_loss_is_the_mean_of_each_rows():
    labels, scores = np.array([1, 0, 1]), np.array([0.3, -2.0, -800.0])
    chances = [1 / (1 + math.exp(-0.3)), 1 - 1 / (1 + math.exp(2.0))]
    assert log_loss(labels, scores) == pytest.approx((-math.log(chances[0]) - math.log(chances[1]) + 800) / 3)


def test_a_fit_on_one_thread_is_the_models_own(clicks, on_path):
    fits = {fit.label: fit for fit in run_all(clicks, Setting(threads=1, seed=3))}
    assert list(fits) == ["FFM, 1 thread", "FM, 1 thread", "linear, 1 thread"]
    rows, held = clicks.field_rows()
    model = FFMClassifier(random_state=3).fit(rows, clicks.train.labels, validation=(held, clicks.valid.labels))
    ffm = fits["FFM, 1 thread"]
    assert ffm.losses == [-score for score in model.validation_scores_] and ffm.training == model.loss_curve_
    assert ffm.best == min(ffm.losses) == ffm.losses[ffm.best_iteration - 1]
    assert log_loss(clicks.valid.labels, model.decision_function(held)) == pytest.approx(ffm.losses[-1], abs=1e-6)
    assert all(len(fit.losses) == len(fit.training) == ITERATIONS and fit.seconds > 0 for fit in fits.values())


def test_a_run_with_a_program_of_libffms_is_whole(clicks, on_path, tmp_path, monkeypatch):
    on_path(PRINTS)
    monkeypatch.setattr("hogwild.experiments.ffm_criteo.load_clicks", lambda setting: clicks)
    findings = find("ffm-criteo").run(Setting(threads=2))
    assert [each.holds is None for each in findings.statements] == [True, False, False, True, False, True]  # few rows
    write_findings(find("ffm-criteo"), findings, {}, tmp_path / "out")
    for part in findings.parts:
        if isinstance(part, Measured | Picture):
            assert (tmp_path / "out" / f"{part.key}.{'csv' if isinstance(part, Measured) else 'png'}").exists()
    programs, iterations = [part for part in findings.parts if isinstance(part, Measured)]
    assert [row[:2] for row in programs.rows[-3:-1]] == [["libffm", 1], ["libffm", 2]]
    assert all(len(row) == len(iterations.columns) == 7 for row in iterations.rows)


def test_libffm_is_told_from_our_alias(on_path):
    assert libffm() is None
    path = on_path(PRINTS)
    assert libffm() == path
    on_path("#!/bin/sh\n# written by `hogwild aliases`\nexec python -m hogwild.cli.main ffm-train\n")
    assert libffm() is None


def test_libffms_lines_are_read(on_path, tmp_path):
    fit = run_libffm(on_path(PRINTS), tmp_path, 4, 2)
    assert fit == Fit("libffm", 2, [0.51, 0.52, 0.53, 0.54], [0.61, 0.62, 0.63, 0.64], 1.0)
    assert (tmp_path / "said").read_text() == "-s 2 -t 4 -p valid.ffm train.ffm libffm.model\n"
    with pytest.raises(RuntimeError, match="status 3"):
        run_libffm(on_path("#!/bin/sh\necho no >&2\nexit 3\n"), tmp_path, 4, 2)


def fit(name, threads, losses, seconds=1.0):
    return Fit(name, threads, losses, [0.6 - 0.01 * number for number in range(len(losses))], seconds)


def verdicts(clicks, *fits):
    plain = fit("FM", 1, [0.52, 0.53]), fit("linear", 1, [0.53, 0.54])
    return [each.holds for each in statements(clicks, [*fits, *plain])]


def test_statements_follow_the_figures(clicks):
    log = make_click_log(100_000, 1, 10, random_state=1)
    many = clicks._replace(train=log)
    ours = fit("FFM", 1, [0.51, 0.50, 0.505], 2.0)
    assert verdicts(many, ours) == [True, True, None, None, None, None]
    assert verdicts(clicks, ours, fit("FFM", 4, [0.5015], 1.0)) == [None, True, True, None, None, None]
    others = fit("FFM", 2, [0.503], 2.5), fit("libffm", 1, [0.4995], 3.0), fit("libffm", 2, [0.4], 0.1)
    assert verdicts(many, ours, *others) == [True, True, False, False, True, True]
    assert verdicts(many, fit("FFM", 1, [0.56, 0.55]))[:2] == [False, False]
    disturbed = [one._replace(share=0.6) for one in (ours, *others)]
    assert verdicts(many, *disturbed) == [True, True, False, None, True, None]


def test_rows_come_from_libffms_files(tmp_path):
    log = make_click_log(300, 4, 50, random_state=0)
    names = [str(tmp_path / name) for name in ("train.ffm", "valid.ffm")]
    dump_libffm(log.rows(0, 200), names[0])
    dump_libffm(log.rows(200, 300), names[1])
    two = load_clicks(Setting(data=tuple(names)))
    assert (two.train.n_rows, two.valid.n_rows, two.best) == (200, 100, None)
    assert np.array_equal(two.valid.labels, log.labels[200:])
    one = load_clicks(Setting(data=(names[0],)))
    assert (one.train.n_rows, one.valid.n_rows) == (180, 20)


def test_data_that_do_not_serve_are_told(tmp_path):
    name = tmp_path / "rows.csv"
    name.write_text("click,site\n1,a\n")
    with pytest.raises(ValueError, match="csv format, expected libffm's"):
        load_clicks(Setting(data=(str(name),)))
    with pytest.raises(ValueError, match="found 3 files"):
        load_clicks(Setting(data=(str(name),) * 3))
    name = tmp_path / "rows.ffm"
    name.write_text("1 0:1:1\n" * 30)
    with pytest.raises(ValueError, match="of one class"):
        load_clicks(Setting(data=(str(name),)))


@pytest.mark.skipif(not CRITEO.exists(), reason="no Criteo rows here")
def test_criteos_own_rows_are_read(tmp_path):
    name = tmp_path / "day.tsv"
    with lzma.open(CRITEO) as file:
        name.write_bytes(b"".join(file.readlines()[:1_000]))
    found = load_clicks(Setting(data=(str(name),)))
    assert (found.train.n_rows, found.valid.n_rows) == (900, 100)
    assert found.field_rows()[0].n_fields == 39
