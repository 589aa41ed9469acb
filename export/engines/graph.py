"""The graph that engines are built from: the bundle's, rewritten for plugins that do more than the function bodies."""

from __future__ import annotations

from pathlib import Path

import onnx

from ..passes.quantizers import QuantizeWhereRead
from ..passes.residuals import FuseResiduals
from ..passes.unread import SkipUnreadPixels
from .worker import remove_bodies


def prepare_engine_graph(path: Path, *, bodies: bool = True) -> bytes:
    """A graph of the bundle for a builder with plugins: sums and quantizers fused, zeros that nobody reads not written.

    The result computes the same, with plugins and, through its function bodies, without them.

    Args:
        path: the ONNX file.
        bodies: keep the function bodies; False for parsers that get the plugins from elsewhere: where a plugin is
            missing, they then refuse the graph, and never build a dense engine from the bodies.

    Returns:
        the ONNX file's content; equal for equal inputs.
    """
    model = onnx.load(str(path))
    FuseResiduals()(model)
    QuantizeWhereRead()(model)
    SkipUnreadPixels()(model)
    if not bodies:
        remove_bodies(model)
    return model.SerializeToString(deterministic=True)
