"""All benchmarks of the models of factors, one after the other: ``python benchmarks/factorisation.py [part ...]``.

Parts: ffm (beside libffm), fm, matrix (MovieLens, beside a plain twin, implicit, popularity and neighbours), cut
(beside the exact minimum cut). Each is a program of its own, ``factorisation_<part>.py``, with options of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PARTS = ("ffm", "fm", "matrix", "cut")


def main() -> None:
    """Run the parts that the command line names, or all."""
    unknown = set(sys.argv[1:]) - set(PARTS)
    if unknown:
        sys.exit(f"found {', '.join(sorted(unknown))}, expected some of {', '.join(PARTS)}")
    for part in sys.argv[1:] or PARTS:
        subprocess.run([sys.executable, str(Path(__file__).with_name(f"factorisation_{part}.py"))], check=True)


if __name__ == "__main__":
    main()
