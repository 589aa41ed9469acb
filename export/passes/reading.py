"""Reader of ONNX files."""

from __future__ import annotations

from pathlib import Path

import onnx

from ...runtime.errors import UserError


def read_model(path: Path) -> onnx.ModelProto:
    """Read an ONNX file.

    Raises:
        UserError: it cannot be read, is damaged, or has no graph.
    """
    try:
        model = onnx.load(str(path))
    except MemoryError:
        raise
    except Exception as error:  # of the decoder, which shares no base class with those of missing weights
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"the graph {path} cannot be read: {reason}; export the bundle again") from error
    if not model.graph.node:
        raise UserError(f"the graph {path} has no nodes; export the bundle again")
    return model
