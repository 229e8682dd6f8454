"""Pictures of these tests are drawn in memory."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_window():
    """Let pyplot open no window, and forget its figures."""
    try:
        import matplotlib
    except ImportError:
        yield
        return
    before = matplotlib.get_backend()
    matplotlib.use("Agg")
    yield
    from matplotlib import pyplot

    pyplot.close("all")
    matplotlib.use(before)
