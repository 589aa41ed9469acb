"""Graphs of a bundle as pieces of another graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx.inliner
from onnx import TensorProto

from ...runtime.errors import UserError
from ..operators.table import DOMAIN
from ..packed.emit import Emitter
from ..passes.graph import bodies_of
from ..passes.reading import read_model


@dataclass(frozen=True)
class Part:
    """Graph of a bundle in standard operators alone."""

    graph: onnx.GraphProto
    """Nodes and constants; every name but those of inputs and outputs begins with the part's name."""
    opset: int
    """Version of the standard operators."""
    ir_version: int
    """Version of the file format."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(value.name for value in self.graph.input)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(value.name for value in self.graph.output)

    def emit(self, emit: Emitter, given: Mapping[str, str]) -> dict[str, str]:
        """Append the part's nodes; it may be done once.

        The constants go to the graph or body that the nodes go to. ONNX Runtime 1.32 blocks the channels of a
        convolution only where its weights lie in its own graph; weights of the graph around a branch would let the
        branch take about a tenth more time. So branches do not share weights.

        Args:
            emit: emitter of the graph around it.
            given: name of a tensor for each input.

        Returns:
            Name of a tensor for each output.
        """
        found = {name: emit.name() for name in self.outputs}
        names = {**given, **found}
        for node in self.graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            _rename(copy, lambda name: names.get(name, name))
            emit.nodes.append(copy)
        emit.stored.extend(self.graph.initializer)
        return found


def read_part(path: Path, name: str) -> Part:
    """Read a graph and write its operators out.

    Args:
        path: the ONNX file.
        name: what the names of its tensors and nodes shall begin with.

    Raises:
        UserError: an input or output is not float32.
    """
    model = read_model(path)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    graph = model.graph
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type != TensorProto.FLOAT:
            raise UserError(f"the graph {path} takes or gives {value.name} in another type than float32; export again")
    outside = {value.name for value in (*graph.input, *graph.output)}

    def rename(inner: str) -> str:
        return inner if inner in outside else f"{name}/{inner}"

    for node in graph.node:
        _rename(node, rename)
    for tensor in graph.initializer:
        tensor.name = rename(tensor.name)
    versions = {opset.domain: opset.version for opset in model.opset_import if opset.domain != DOMAIN}
    return Part(graph, versions[""], model.ir_version)


def _rename(node: onnx.NodeProto, rename: Callable[[str], str]) -> None:
    """Rename a node and its tensors, also inside its subgraphs."""
    node.name = rename(node.name) if node.name else ""
    for names in (node.input, node.output):
        names[:] = [rename(name) if name else "" for name in names]
    for body in bodies_of(node):
        for value in (*body.input, *body.output, *body.initializer):
            value.name = rename(value.name)
        del body.value_info[:]
        for inner in body.node:
            _rename(inner, rename)
