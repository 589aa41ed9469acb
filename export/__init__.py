"""Checkpoint to ONNX: operator bodies, graph passes, parity with PyTorch, bundles; and from there to engines.

Only exporting needs torch. A machine that builds engines may lack it, so the names below load it when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .exporter import export_checkpoint, export_foreign
    from .foreign import ForeignInterface

__all__ = ["ForeignInterface", "export_checkpoint", "export_foreign"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = ".foreign" if name == "ForeignInterface" else ".exporter"
    return getattr(importlib.import_module(module, __name__), name)
