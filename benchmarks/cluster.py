"""All benchmarks of the cluster, one after the other: ``python benchmarks/cluster.py [part ...]``.

Parts: simulation (events a second), merging and rules (merge rules by phase length and workers), stragglers (with and
without leases), ray and ray_stragglers (beside one process; slow workers), faults (processes killed). Each is a program
of its own, ``cluster_<part>.py``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PARTS = ("simulation", "merging", "rules", "stragglers", "ray", "ray_stragglers", "faults")


def main() -> None:
    """Run the parts that the command line names, or all."""
    unknown = set(sys.argv[1:]) - set(PARTS)
    if unknown:
        sys.exit(f"found {', '.join(sorted(unknown))}, expected some of {', '.join(PARTS)}")
    for part in sys.argv[1:] or PARTS:
        subprocess.run([sys.executable, str(Path(__file__).with_name(f"cluster_{part}.py"))], check=True)


if __name__ == "__main__":
    main()
