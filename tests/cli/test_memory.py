"""Sizes as people write them, and what memory and disk there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hogwild.cli import memory
from hogwild.cli.memory import free_disk, free_memory, parse_size, shown_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("500", 500),
        ("500B", 500),
        ("1e9", 10**9),
        ("4GB", 4 * 10**9),
        ("4g", 4 * 10**9),
        (" 500 MB ", 500 * 10**6),
        ("1.5GiB", 3 << 29),
        ("64k", 64_000),
        ("64Ki", 1 << 16),
        ("2TB", 2 * 10**12),
        ("0.5M", 500_000),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "0", "0.1B", "-1GB", "4 XB", "1e9999", "4GBs", "inf", "nan", "1,5GB"])
def test_no_sizes(text):
    with pytest.raises(ValueError, match="expected a size such as 500MB"):
        parse_size(text)


@given(st.integers(1, 10**15))
def test_shown_sizes_are_read_again(size):
    assert parse_size(shown_size(size).replace(",", "")) == pytest.approx(size, rel=0.06)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1234, "1.23 kB"),
        (99_449, "99.4 kB"),
        (99_949, "100 kB"),
        (999_600, "1 MB"),
        (5e12, "5.0 TB"),
    ],
)
def test_shown(size, text):
    assert shown_size(size) == text


def test_free_memory(monkeypatch):
    assert free_memory() > 1 << 20
    files = {
        "/proc/meminfo": ["MemTotal: 100 kB", "MemAvailable:   50 kB"],
        "/sys/fs/cgroup/memory.max": ["20000"],
        "/sys/fs/cgroup/memory.current": ["5000"],
    }
    monkeypatch.setattr(memory, "_lines", lambda path: files.get(path, []))
    assert free_memory() == 15_000
    files["/sys/fs/cgroup/memory.max"] = ["max"]
    assert free_memory() == 50 * 1024


def test_free_disk(tmp_path):
    assert free_disk(tmp_path / "not" / "yet") == pytest.approx(free_disk(tmp_path), rel=0.1)
