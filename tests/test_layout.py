"""A file imports only from its own folder or from the floors below it; only the lowest know Numba's inside."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "hogwild"
FLOORS = [
    {"folders"},
    {"compiled"},
    {"vectors"},
    {"losses", "penalties", "schedules"},
    {"steps"},
    {"data"},
    {"storage", "ranking"},
    {"engine"},
    {"estimators", "torch"},
    {"own", "gradients"},
    {"encoding"},
    {"models"},
    {"cluster"},
    {"online"},
    {"report"},
    {"experiments"},
    {"cli"},
]
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def floor(name: str) -> int:
    return next(level for level, names in enumerate(FLOORS) if name in names)


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return modules | {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_from_below(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in imported(path):
        parts = module.split(".")
        if parts[0] == "hogwild" and len(parts) > 1 and parts[1] != own:
            assert floor(parts[1]) < floor(own), f"{path.name} imports {module} from above"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_lowest_know_the_compiler(path):
    if path.name != "compiled.py" and path.parent.name != "vectors":
        inside = [m for m in imported(path) if m.startswith(("llvmlite", "numba.core", "numba.cpython"))]
        assert not inside
