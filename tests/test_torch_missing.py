"""Without PyTorch, hogwild.torch says what it needs."""

from __future__ import annotations

import sys

import pytest


@pytest.mark.parametrize("name", ["fit", "History"])
def test_what_is_missing_is_told(monkeypatch, name):
    import hogwild.torch

    for loaded in [module for module in sys.modules if module.startswith("hogwild.torch.")]:
        monkeypatch.delitem(sys.modules, loaded)
        monkeypatch.delattr(hogwild.torch, loaded.rsplit(".", 1)[1])
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'hogwild.torch needs PyTorch: pip install "hogwild\[torch\]"'):
        getattr(hogwild.torch, name)
    with pytest.raises(AttributeError, match="no attribute 'fix'"):
        hogwild.torch.fix  # noqa: B018
