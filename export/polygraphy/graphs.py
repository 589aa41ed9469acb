"""Graphs for Polygraphy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import helper

from ..engines.graph import prepare_engine_graph
from ..operators.bodies import remove_function_bodies
from ..passes.unread import ATTRIBUTE


def make_graphs(path: Path) -> Mapping[str, bytes]:
    """Make the graphs of one precision.

    All take and give bytes, as engines do, and have the same nodes and names of tensors.

    Args:
        path: the bundle's graph of the whole network.

    Returns:
        The ONNX files by what comes between the precision and ".onnx" in their names. "" has function bodies, so ONNX
        Runtime runs it. ".plugins" has none, so TensorRT refuses it where a plugin is missing, and never builds a dense
        engine; the types of its tensors are written down, because only a plugin could tell them. ".layers" is the same
        for a comparison of tensors inside of the network: its plugins write every pixel, also those that no node reads.
    """
    content = prepare_engine_graph(path, pixels=True)
    typed = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(content), strict_mode=True, data_prop=True)
    remove_function_bodies(typed)
    plugins = typed.SerializeToString(deterministic=True)
    for node in typed.graph.node:
        for attribute in node.attribute:
            if attribute.name == ATTRIBUTE:
                attribute.CopyFrom(helper.make_attribute(ATTRIBUTE, 1))
    return {"": content, ".plugins": plugins, ".layers": typed.SerializeToString(deterministic=True)}
