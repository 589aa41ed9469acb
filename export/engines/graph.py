"""The graph that engines are built from: the bundle's, rewritten for plugins that do more than the function bodies."""

from __future__ import annotations

from pathlib import Path

import onnx

from ..passes.quantizers import QuantizeWhereRead
from ..passes.residuals import FuseResiduals
from ..passes.unread import SkipUnreadPixels


def prepare_engine_graph(path: Path, *, bodies: bool = True) -> bytes:
    """A graph of the bundle for a builder with plugins: sums and quantizers fused, zeros that nobody reads not written.

    The result computes the same, with plugins and, through its function bodies, without them.

    Args:
        path: the ONNX file.
        bodies: keep the function bodies; False for parsers that would take a body even where a plugin is registered.

    Returns:
        the ONNX file's content; equal for equal inputs.
    """
    model = onnx.load(str(path))
    FuseResiduals()(model)
    QuantizeWhereRead()(model)
    SkipUnreadPixels()(model)
    if not bodies:
        del model.functions[:]
    return model.SerializeToString(deterministic=True)
