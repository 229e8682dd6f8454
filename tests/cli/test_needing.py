"""Commands whose extras are not installed say which one to install."""

import re
import subprocess
import sys

import pytest

HIDE = "import sys; sys.modules |= dict.fromkeys(['msgpack', 'msgspec']); from hogwild.cli.main import main; main()"


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["serve", "stat", "-f", "c.json"], "serve"),
        (["proxy", "stat", "--members", "127.0.0.1:1"], "online"),
        (["convert-model", "a.jubatus", "b.hogwild"], "online"),
    ],
)
def test_a_missing_extra_is_named(words, extra):
    done = subprocess.run([sys.executable, "-c", HIDE, *words], capture_output=True, text=True)
    assert done.returncode == 1
    found = re.fullmatch(r"error: this needs msg(pack|spec), which is not installed: (.*)\n", done.stderr)
    assert found and found.group(2) == f"pip install hogwild[{extra}]"
