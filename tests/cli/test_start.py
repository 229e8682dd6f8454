"""The command line starts at once: nothing slow is imported for help."""

import subprocess
import sys

import pytest

SLOW = ("numba", "numpy", "scipy", "sklearn", "matplotlib", "safetensors", "pandas")


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        *(
            [name, "--help"]
            for name in (
                *("train", "predict", "evaluate", "inspect", "ffm-train", "ffm-predict", "aliases", "demo"),
                *("serve", "proxy", "convert-model"),
            )
        ),
    ],
)
def test_help_imports_nothing_slow(words):
    script = (
        "import sys\nfrom hogwild.cli.main import app\n"
        f"try: app({words!r})\nexcept SystemExit as end: assert not end.code\n"
        f"print([name for name in {SLOW} if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "[]"
