"""What the original core answered, where its recorded calls are present."""

from __future__ import annotations

import json
import lzma
import math
from pathlib import Path

FILE = Path(__file__).parents[2] / "shared" / "data" / "jubatus" / "golden.json.xz"
CASES = json.loads(lzma.decompress(FILE.read_bytes()))["cases"] if FILE.exists() else []
RANKED = ("similar_row", "neighbor_row")  # the best first
ROUNDED = 1e-6  # the original keeps some sums as float32


def of_types(*kinds):
    """The cases of some types of server, as parameters of a test."""
    return [(f"{case['type']}-{case['name']}", case) for case in CASES if case["type"] in kinds]


def close(expected, got, tolerance=ROUNDED):
    return math.isclose(float(expected), float(got), rel_tol=tolerance, abs_tol=tolerance)


def check(method, expected, got):
    """Assert that a result on the wire is the original's; orders count where the original has one."""
    where = f"{method}: expected {expected}, found {got}"
    if isinstance(expected, bool) or isinstance(got, bool):
        assert expected is got, where
    elif isinstance(expected, dict):
        assert expected == got, where
    elif isinstance(expected, float) or expected == "inf":  # what is not finite is written as text
        assert isinstance(got, float) and close(expected, got), where
    elif isinstance(expected, list):
        assert isinstance(got, (list, tuple)) and len(expected) == len(got), where
        if got and all(isinstance(one, (list, tuple)) and len(one) == 2 and isinstance(one[0], str) for one in got):
            _check_pairs(method, expected, got, where)
        else:
            ordered = sorted(got) if method == "get_all_rows" else got
            for one, other in zip(expected, ordered, strict=True):
                check(method, one, other)
    else:
        assert type(expected) is type(got) and expected == got, where


def _check_pairs(method, expected, got, where):
    if method.startswith(RANKED):
        scores = [score for _, score in got]
        assert scores == sorted(scores, reverse=method.startswith("similar")), where
    for (name, value), (other, found) in zip(sorted(expected), sorted(map(tuple, got)), strict=True):
        assert name == other and close(value, found), where
