"""Graphs that engines are built from."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import onnx

from ..listed.compose import ComposePixels
from ..listed.epilogues import FuseEpilogues
from ..listed.halves import TakeHalves
from ..listed.joins import JoinChannels
from ..listed.lists import ListActivePixels
from ..listed.quantizers import QuantizeWhereWritten
from ..operators.bodies import remove_function_bodies
from ..passes.base import refusing
from ..passes.pixels import Layout, TakePixels
from ..passes.quantizers import QuantizeWhereRead
from ..passes.reading import read_model
from ..passes.residuals import FuseResiduals
from ..passes.unread import SkipUnreadPixels
from .tuning.tilings import NO_TILINGS, Tilings, set_tilings


def prepare_engine_graph(
    path: Path,
    *,
    bodies: bool = True,
    pixels: bool = False,
    layout: Layout = "pixels",
    tilings: Tilings = NO_TILINGS,
) -> bytes:
    """Rewrite a bundle's graph for a builder with plugins.

    Sums are fused into sparse convolutions, and quantizers into those that write or else into those that read. Zeros
    that no node reads are not written, and the active pixels of a mask are listed once. The result computes the same
    values, with plugins and, through its function bodies, without them.

    Args:
        path: the ONNX file.
        bodies: keep the function bodies; False for parsers that get the plugins from elsewhere: where a plugin is
            missing, they then refuse the graph, and never build a dense engine from the bodies.
        pixels: take and give bytes, see `TakePixels`; for the whole network only.
        layout: order of the bytes.
        tilings: tilings of layers, as far as they are not the library's first choice.

    Returns:
        the ONNX file's content; equal for equal inputs.

    Raises:
        UserError: the graph cannot be read, or one of its nodes is not as expected.
    """
    model = read_model(path)
    with refusing(f"prepare {path} for a builder of engines", "export the bundle again"):
        rewrite_for_plugins(model)
        set_tilings(model, tilings)
        if pixels:
            TakePixels(layout)(model)
    if not bodies:
        remove_function_bodies(model)
    return model.SerializeToString(deterministic=True)


def rewrite_for_plugins(model: onnx.ModelProto) -> None:
    """Make a graph cheap for plugins, in place.

    Raises:
        PassError: a node is not as expected.
    """
    TakeHalves()(model)
    FuseResiduals()(model)
    QuantizeWhereRead()(model)
    SkipUnreadPixels()(model)
    ListActivePixels()(model)
    FuseEpilogues()(model)
    JoinChannels()(model)
    QuantizeWhereWritten()(model)
    ComposePixels()(model)


def match_tensors(model: onnx.ModelProto, patterns: Sequence[str]) -> dict[str, list[str]]:
    """List the tensors whose names match patterns.

    Args:
        model: the graph; its inputs and constants are no candidates.
        patterns: names, in which * stands for any characters and ? for one.

    Returns:
        The names by pattern, in the graph's order.
    """
    names = [name for node in model.graph.node for name in node.output if name]
    return {pattern: [name for name in names if fnmatchcase(name, pattern)] for pattern in patterns}
