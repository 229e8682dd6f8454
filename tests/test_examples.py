"""The examples run, small, and print and draw what they promise."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="draws with Matplotlib")
def test_segmentation(tmp_path):
    drawn = tmp_path / "cut.png"
    command = [sys.executable, str(FOLDER / "segmentation.py"), "--step", "8", "--output", str(drawn)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr[-3_000:]
    figures = {
        name: float(re.search(rf"{name} +([\d,.]+)", done.stdout)[1].replace(",", ""))
        for name in ("objective / 2", "rounded cut", "exact cut")
    }
    assert figures["rounded cut"] == figures["exact cut"]
    assert figures["objective / 2"] == pytest.approx(figures["exact cut"], rel=0.01)
    assert drawn.read_bytes().startswith(b"\x89PNG") and drawn.stat().st_size > 10_000
