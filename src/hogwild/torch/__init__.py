"""PyTorch's modules by HOGWILD!: parameters in shared memory, worker processes that step on them without locks.

Needs PyTorch: ``pip install "hogwild[torch]"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hogwild.torch.fitting import History as History
    from hogwild.torch.fitting import fit as fit

__all__ = ["History", "fit"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hogwild.torch' has no attribute {name!r}")
    try:
        from hogwild.torch import fitting
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError('hogwild.torch needs PyTorch: pip install "hogwild[torch]"') from error
    return getattr(fitting, name)
