"""Search for operators that no graph of free sizes has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from .probing import Adaptation


class _PoolingWatch(TorchFunctionMode):
    """Record of the adaptive pooling to more than one cell."""

    def __init__(self) -> None:
        super().__init__()
        self.found = ""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if "adaptive" in name and not self.found:
            size = [*args, *(kwargs or {}).values()][1]
            cells = [size] if isinstance(size, int) else [side for side in size if side is not None]
            if any(side != 1 for side in cells):
                self.found = f"{name} to {'x'.join(map(str, cells))}"
        return func(*args, **(kwargs or {}))


def find_fixed_pooling(adaptation: Adaptation) -> str:
    """Name an adaptive pooling to more than one cell.

    Returns:
        Its function and its size; empty without one.
    """
    interface = adaptation.interface
    side = max(64 // interface.multiple, 1) * interface.multiple
    size = interface.sizes[0] if interface.sizes else (max(side, interface.smallest),) * 2
    watch = _PoolingWatch()
    with torch.no_grad(), watch:
        adaptation.module(torch.rand(1, interface.channels, *size))
    return watch.found
