"""Graph cut at the nodes that are plugins."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
import onnxruntime

from tests.emulated.double.execution import open_session

DOMAIN = "spair"


@dataclass
class Piece:
    """Nodes between plugins, which ONNX Runtime computes."""

    inputs: list[str]
    outputs: list[str]
    session: onnxruntime.InferenceSession


@dataclass
class PluginStep:
    """Node that is a plugin."""

    node: onnx.NodeProto

    @property
    def inputs(self) -> list[str]:
        """Names of its inputs."""
        return list(self.node.input)

    @property
    def outputs(self) -> list[str]:
        """Names of its outputs."""
        return list(self.node.output)


def cut_graph(model: onnx.ModelProto, threads: int) -> list[Piece | PluginStep]:
    """Return a graph's plugins and the pieces between them."""
    nodes = list(model.graph.node)
    types = _list_types(model)
    steps: list[Piece | PluginStep] = []
    start = 0
    for end in range(len(nodes) + 1):
        if end < len(nodes) and nodes[end].domain != DOMAIN:
            continue
        if end > start:
            steps.append(_make_piece(model, start, end, types, threads))
        if end < len(nodes):
            steps.append(PluginStep(nodes[end]))
        start = end + 1
    return steps


def open_probe(model: onnx.ModelProto, names: list[str], threads: int) -> onnxruntime.InferenceSession:
    """Open a graph with further outputs.

    They tell the shapes inside of it.
    """
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    known = {value.name for value in probe.graph.output}
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    return open_session(probe, threads)


def _make_piece(model: onnx.ModelProto, start: int, end: int, types: dict[str, int], threads: int) -> Piece:
    """Return the nodes from `start` to before `end`."""
    nodes = model.graph.node[start:end]
    weights = {part.name: part for part in model.graph.initializer}
    made = {name for node in nodes for name in node.output}
    outside = [*model.graph.node[:start], *model.graph.node[end:]]
    read = {name for node in outside for name in node.input} | {value.name for value in model.graph.output}
    taken = dict.fromkeys(name for node in nodes for name in node.input if name and name not in made)
    inputs, outputs = [name for name in taken if name not in weights], sorted(made & read)
    graph = onnx.helper.make_graph(
        nodes,
        "piece",
        [_describe(name, types) for name in inputs],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [weights[name] for name in taken if name in weights],
    )
    own = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    return Piece(inputs, outputs, open_session(own, threads))


def _list_types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = (*inferred.value_info, *model.graph.input, *model.graph.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def _describe(name: str, types: dict[str, int]) -> onnx.ValueInfoProto:
    value = onnx.helper.make_tensor_value_info(name, types.get(name, onnx.TensorProto.FLOAT), None)
    value.type.tensor_type.ClearField("shape")
    return value
