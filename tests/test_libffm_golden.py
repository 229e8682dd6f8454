"""What libffm itself made of a small click log: read, predicted with, and made again (where the files are present)."""

from pathlib import Path

import numpy as np
import pytest
from cli.lines import run

from hogwild.data.files import read_bytes
from hogwild.data.libffm import load_libffm
from hogwild.data.libffm_cache import cached_hashes, read_cache, text_hashes, write_cache
from hogwild.data.libffm_model import read_model, write_model

GOLDEN = Path(__file__).parents[2] / "shared" / "data" / "libffm"
TRAIN, VALID = GOLDEN / "train.ffm", GOLDEN / "valid.ffm"
RUNS = {
    "default": ("-k", 4, "-t", 8, "-p", VALID),
    "nonorm": ("-k", 6, "-t", 5, "-l", 0.001, "-r", 0.1, "--no-norm"),
    "autostop": ("-t", 60, "-p", VALID, "--auto-stop"),
}
# another processor's estimate of reciprocal roots, or none, changes the last printed digit
DIGIT = 1.01e-5

pytestmark = pytest.mark.skipif(not GOLDEN.exists(), reason="libffm's own files are not here")


@pytest.mark.parametrize("text", [TRAIN, VALID], ids=["train", "valid"])
def test_caches_have_the_same_bytes(tmp_path, text):
    golden = Path(f"{text}.bin")
    hashes = text_hashes(read_bytes(text))
    assert hashes == cached_hashes(golden)
    rows = load_libffm(text)
    write_cache(rows, tmp_path / golden.name, hashes)
    assert (tmp_path / golden.name).read_bytes() == golden.read_bytes()
    found = read_cache(golden).rows
    for name in ("indptr", "indices", "values", "fields"):
        np.testing.assert_array_equal(getattr(found, name), getattr(rows, name))


@pytest.mark.parametrize("name", RUNS)
def test_models_have_the_same_bytes(tmp_path, name):
    golden = GOLDEN / f"{name}.model"
    write_model(read_model(golden), tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == golden.read_bytes()


def lines_of(text):
    """Words of each line, numbers as numbers; without times."""
    lines = []
    for line in text.splitlines():
        words = line.replace("(", " ").split()
        if words[0] == "iter" or not words[0].isdigit():
            lines.append([word for word in words if not word[0].isdigit() or word.endswith("th")])
        else:
            lines.append([int(words[0]), *(float(word) for word in words[1:] if word[-2] != ".")])
    return lines


@pytest.mark.parametrize("name", RUNS)
def test_runs_print_the_same_digits(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    if name != "default":  # in whose run the caches were made
        for text in (TRAIN, VALID):
            (tmp_path / f"{text.name}.bin").write_bytes(Path(f"{text}.bin").read_bytes())
    found = lines_of(run("ffm-train", "--compat", *RUNS[name], TRAIN, "m").stdout)
    expected = lines_of((GOLDEN / f"{name}.out").read_text())
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == (theirs if isinstance(theirs[0], str) else pytest.approx(theirs, abs=DIGIT))
    model, golden = read_model("m"), read_model(GOLDEN / f"{name}.model")
    assert model[:4] == golden[:4]
    np.testing.assert_allclose(model.weights[..., 0, :], golden.weights[..., 0, :], atol=3e-4)
    np.testing.assert_allclose(model.weights[..., 1, :], golden.weights[..., 1, :], rtol=1e-3)


@pytest.mark.parametrize("name", RUNS)
def test_predictions_have_the_same_digits(tmp_path, name):
    shown = run("ffm-predict", VALID, GOLDEN / f"{name}.model", tmp_path / "p").stdout
    assert shown == (GOLDEN / f"{name}.predict.out").read_text()
    found, expected = (tmp_path / "p").read_text().split(), (GOLDEN / f"{name}.pred").read_text().split()
    assert sum(ours == theirs for ours, theirs in zip(found, expected, strict=True)) >= 495
    np.testing.assert_allclose(np.array(found, float), np.array(expected, float), rtol=1e-5)


def test_our_own_order_is_as_good(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    losses = []
    for seed in range(3):
        lines = run("ffm-train", "--no-bin", "--seed", seed, "-t", 5, "-p", VALID, TRAIN, "m").stdout.splitlines()
        losses.append(float(lines[-1].split()[2]))
    assert np.mean(losses) == pytest.approx(0.64274, abs=0.012)
    assert not (tmp_path / "train.ffm.bin").exists()
