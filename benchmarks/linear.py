"""All benchmarks of the linear models, one after the other: ``python benchmarks/linear.py [part ...]``.

Parts: dual (solvers beside LIBLINEAR, SAGA, Snap ML), settings (many in one pass), own_step, engines, torch (where
PyTorch is installed). Each is a program of its own, ``linear_<part>.py``, with options of its own.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

PARTS = ("dual", "settings", "own_step", "engines", "torch")


def main() -> None:
    """Run the parts that the command line names, or all."""
    unknown = set(sys.argv[1:]) - set(PARTS)
    if unknown:
        sys.exit(f"found {', '.join(sorted(unknown))}, expected some of {', '.join(PARTS)}")
    for part in sys.argv[1:] or PARTS:
        if part == "torch" and find_spec("torch") is None:
            print("torch: left out, PyTorch is not installed")
            continue
        subprocess.run([sys.executable, str(Path(__file__).with_name(f"linear_{part}.py"))], check=True)


if __name__ == "__main__":
    main()
