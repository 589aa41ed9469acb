"""Facts about space that a graph itself tells.

The lengths of all axes are taken at two sizes of picture. An axis whose length changes runs over space, so an operator
that reduces it sees the whole picture.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from ...runtime.backends.onnxruntime import OnnxGraph
from ...temporary.places import scratch_folder
from ..passes.graph import attribute_of, attributes_of, initializers_of, make_node, output_names

Shapes = Mapping[str, tuple[int, ...]]
"""Lengths of each tensor's axes."""

REDUCTIONS = ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")
"""Operators of ONNX that reduce axes, without "Reduce" before their names."""
SPATIAL = ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "InstanceNormalization", "GroupNormalization")
"""Operators that reduce all axes of space, whichever those are."""
ALONG = ("Softmax", "LogSoftmax", "Hardmax", "ArgMax", "ArgMin", "LpNormalization", "TopK")
"""Operators that see all values along the axis in their attribute, and its default."""
NO_TENSOR = ("SequenceConstruct", "SplitToSequence", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SequenceMap")
"""Operators whose outputs are no tensors."""
RESERVE = 1.5
"""Factor on the memory of all living tensors, for the work space of operators."""


GROWTH = 1.15
"""Factor by which the memory of a pixel must grow where the larger picture has twice as many pixels, or it is rounding
of sizes inside."""


@dataclasses.dataclass(frozen=True)
class Space:
    """Facts about space in a graph."""

    reason: str
    """Words that name an operator that sees the whole picture; empty where none does."""
    bytes_per_pixel: float
    """Estimated memory of a run in bytes for each pixel of the picture."""
    bytes_per_pair: float
    """Estimated memory in bytes for each pair of pixels, where a network compares all pixels with all."""

    def to_json(self) -> dict[str, float]:
        """Return the entries of the memory in the manifest."""
        return {"bytes_per_pixel": self.bytes_per_pixel, "bytes_per_pair": self.bytes_per_pair}


def read_space(model: onnx.ModelProto, sizes: tuple[tuple[int, int], tuple[int, int]]) -> Space:
    """Find the reach and the memory of a graph.

    Args:
        model: graph of one picture with free height and width.
        sizes: two heights and widths in pixels that the graph takes; both differ in both.
    """
    small, large = (trace_shapes(model, size) for size in sizes)
    found = next(_list_reasons(model.graph, small, large), "")
    pixels = [float(height * width) for height, width in sizes]
    bytes_ = [RESERVE * _peak_bytes(model.graph, shapes) for shapes in (small, large)]
    ratios = [amount / count for amount, count in zip(bytes_, pixels, strict=True)]
    grows = ratios[1] > GROWTH * ratios[0]
    pair = (ratios[1] - ratios[0]) / (pixels[1] - pixels[0]) if grows else 0.0
    each = ratios[0] - pair * pixels[0] if grows else max(ratios)
    return Space(found, round(max(each, 0.0), 1), round(pair, 6))


def trace_shapes(model: onnx.ModelProto, size: tuple[int, int]) -> Shapes:
    """Return the lengths of all tensors' axes.

    The graph runs once.

    Tensors inside of subgraphs are not among them.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    names = [value.name for value in graph.input]
    names += [name for node in graph.node if node.op_type not in NO_TENSOR for name in node.output if name]
    del graph.output[:]
    del graph.value_info[:]
    for place, name in enumerate(names):
        graph.node.append(make_node("Shape", [name], f"spair_shape_{place}"))
        graph.output.append(onnx.helper.make_tensor_value_info(f"spair_shape_{place}", onnx.TensorProto.INT64, None))
    channels = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    with scratch_folder("shapes") as folder:
        file = folder / "shapes.onnx"
        onnx.save(copy, file)
        with OnnxGraph(file) as session:
            found = session.run({names[0]: np.full((1, channels, *size), 0.5, np.float32)})
    shapes = {name: tuple(map(int, found[f"spair_shape_{place}"])) for place, name in enumerate(names)}
    return shapes | {name: tuple(tensor.dims) for name, tensor in initializers_of(graph).items()}


def _list_reasons(graph: onnx.GraphProto, small: Shapes, large: Shapes) -> Iterator[str]:
    stored = {name: numpy_helper.to_array(tensor) for name, tensor in initializers_of(graph).items()}
    for node in graph.node:
        if node.op_type == "Constant":
            value = attribute_of(node, "value")
            if value is not None:
                stored[node.output[0]] = numpy_helper.to_array(value)
    for node in graph.node:
        source = node.input[0] if node.input else ""
        if source not in small:
            continue
        changing = [
            axis for axis, pair in enumerate(zip(small[source], large[source], strict=True)) if len(set(pair)) > 1
        ]
        if any(axis in changing for axis in _reduced_axes(node, small, stored)):
            lengths = "x".join(map(str, small[source]))
            where = f"{lengths} in a picture of {_say(graph, small)}"
            yield f"its operator {node.op_type} sees all of a map at once, {where}"


def _say(graph: onnx.GraphProto, shapes: Shapes) -> str:
    return "x".join(map(str, shapes[graph.input[0].name][2:]))


def _reduced_axes(node: onnx.NodeProto, shapes: Shapes, stored: Mapping[str, np.ndarray]) -> list[int]:
    """Return the axes that a node reduces.

    They are those of its first input whose values all reach every output.
    """
    rank = len(shapes[node.input[0]])
    operator = node.op_type
    if operator in SPATIAL:
        return list(range(2, rank))
    if operator.startswith("Reduce") and operator.removeprefix("Reduce") in REDUCTIONS:
        return [axis % rank for axis in _axes_of(node, stored, rank)]
    if operator in ALONG:
        default = {"ArgMax": 0, "ArgMin": 0}.get(operator, -1)
        return [attributes_of(node).get("axis", default) % rank] if rank else []
    if operator == "LayerNormalization":
        return list(range(attributes_of(node).get("axis", -1) % rank, rank))
    if operator == "MatMul":
        return [rank - 1] if rank else []
    if operator == "Gemm":
        return [0 if attribute_of(node, "transA") else 1]
    if operator == "Einsum":
        inputs, _, output = attribute_of(node, "equation").decode().replace(" ", "").partition("->")
        first = inputs.split(",")[0]
        return [axis for axis, letter in enumerate(first) if letter not in output] if "." not in inputs else []
    if operator == "DFT":
        return [attributes_of(node).get("axis", 1) % rank]
    return []


def _axes_of(node: onnx.NodeProto, stored: Mapping[str, np.ndarray], rank: int) -> list[int]:
    own = attribute_of(node, "axes")
    if own is not None:
        return list(own)
    if len(node.input) > 1 and node.input[1]:
        return [int(axis) for axis in stored.get(node.input[1], np.arange(rank)).ravel()]
    return [] if attribute_of(node, "noop_with_empty_axes") else list(range(rank))


def _peak_bytes(graph: onnx.GraphProto, shapes: Shapes) -> int:
    """Return the largest memory of living tensors in bytes.

    Each value takes four bytes. A tensor lives from the node that makes it to the last that reads it.
    """
    last = {name: place for place, node in enumerate(graph.node) for name in node.input}
    last |= {name: len(graph.node) for name in output_names(graph)}
    stored = initializers_of(graph)
    living = {value.name: _size(shapes, value.name) for value in graph.input if value.name not in stored}
    now = peak = sum(living.values())
    for place, node in enumerate(graph.node):
        for name in node.output:
            if name in last:
                living[name] = _size(shapes, name)
                now += living[name]
        peak = max(peak, now)
        for name in {*node.input, *node.output}:
            if name in living and last.get(name, -1) <= place:
                now -= living.pop(name)
    return peak


def _size(shapes: Shapes, name: str) -> int:
    return 4 * int(np.prod(shapes.get(name, (0,)), dtype=np.int64))
