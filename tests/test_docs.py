"""The Python blocks of the documentation and the README run as they stand, page by page."""

from __future__ import annotations

import importlib.util
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
_BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    """Python blocks of a page; those in tabs are indented."""
    return [textwrap.dedent(code) for _, code in _BLOCK.findall(page.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "docs"}
    for block in blocks(page):
        exec(compile(block, str(page), "exec"), names)


# ----------------------------------------------------------------------------------------------------- pictures


def drawn(folder):
    path = DOCS / "drawings.py"
    spec = importlib.util.spec_from_file_location("drawings", path)
    drawings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawings)
    return drawings.main(folder)


def test_drawings_are_the_committed_pictures_and_repeat_bit_by_bit(tmp_path):
    pytest.importorskip("matplotlib")
    first, second = drawn(tmp_path / "a"), drawn(tmp_path / "b")
    assert {path.name for path in first} == {path.name for path in (DOCS / "pictures").iterdir()}
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))


def test_each_picture_is_shown_on_a_page_and_exists():
    shown = {
        (page.parent / name).resolve()
        for page in PAGES
        for name in re.findall(r"!\[[^\]]*\]\(([^)#]+\.(?:svg|png))\)", page.read_text())
    }
    assert all(path.exists() for path in shown), shown
    assert {*(DOCS / "pictures").iterdir(), *(DOCS / "measured").iterdir()} <= shown


# ---------------------------------------------------------------------------------------------------- reference


def described() -> list[str]:
    """What the reference takes docstrings from, and what it tells in words."""
    text = "\n".join(page.read_text() for page in sorted((DOCS / "reference").glob("*.md")))
    return re.findall(r"^::: (\S+)", text, re.MULTILINE) + re.findall(r"`(hogwild\.\S+)` is ", text)


@pytest.mark.parametrize("package", ["hogwild", "hogwild.data", "hogwild.cluster", "hogwild.engine", "hogwild.online"])
def test_the_reference_has_each_public_name_once(package):
    module, found = importlib.import_module(package), described()
    for name in module.__all__:
        try:
            thing = getattr(module, name)
        except ModuleNotFoundError as error:  # of an extra that is not installed
            if str(error.name).startswith("hogwild"):
                raise
            continue
        if hasattr(thing, "__qualname__"):
            assert found.count(f"{thing.__module__}.{thing.__qualname__}") == 1, name
        elif name != "__version__":
            assert found.count(f"{package}.{name}") == 1, name


def test_each_page_is_in_the_navigation_once():
    listed = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))
