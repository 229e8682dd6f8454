"""Running the command line in tests, and its output without times and rates."""

import re

from typer.testing import CliRunner

from hogwild.cli.main import app

_CHANGING = [
    (re.compile(r"\d+\.\d\d s, [\d,]+ rows/s"), "T s, R rows/s"),
    (re.compile(r" +$", re.MULTILINE), ""),
]


def run(*words, status=0):
    """Run `hogwild words...`; returns the result, its output normalised in `.text`."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == status, (result.exit_code, result.output, result.exception)
    result.text = result.stdout
    for pattern, replacement in _CHANGING:
        result.text = pattern.sub(replacement, result.text)
    return result


def error(*words, status=1):
    """Run what must fail; returns its one line."""
    result = run(*words, status=status)
    assert result.stdout == ""
    *before, line = result.stderr.strip().splitlines()
    assert all(text.startswith(("warning: ", "columns: ")) for text in before)
    assert line.startswith("error: ")
    return line
