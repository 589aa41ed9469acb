"""Checkpoint to ONNX: operator bodies, graph passes, parity with PyTorch, bundles."""

from .exporter import export_checkpoint, export_foreign
from .foreign import ForeignInterface

__all__ = ["ForeignInterface", "export_checkpoint", "export_foreign"]
