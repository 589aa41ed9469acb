"""Launches of a graph's plugins, and bytes between them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import onnx

from ...plugins.compaction.cost import count_index
from ...plugins.cost import Activity, Launch, NumberType
from ...plugins.masked_modulation.cost import count_masked_modulation
from ...plugins.sparse_compose.cost import count_sparse_compose
from ...plugins.sparse_conv2d.cost import count_sparse_conv2d
from ...plugins.sparse_non_local.cost import count_sparse_non_local
from ...runtime.backends.package import load_onnxruntime
from ...runtime.errors import UserError
from ..operators.table import INDEX, Operator
from ..passes.graph import attribute_of, operator_of
from ..passes.unread import ATTRIBUTE

_ONE = Activity(1, (1,), (1,), (1,))
"""Made mask: the number of launches is the same for every other."""
_COMPACTION = "compact"
"""First part of the names of kernels that list active pixels."""


def list_launches(model: onnx.ModelProto) -> list[str]:
    """List the kernels and memsets of a graph's plugins.

    They are launched for one picture, and stand in the order of the graph, under the names of `plugins/*/cost.py`.
    """
    found: list[str] = []
    for node in model.graph.node:
        operator = operator_of(node)
        if operator is not None:
            found += [launch.name for launch in _list_launches(node, operator)]
    return found


def count_compactions(launches: list[str]) -> int:
    """Count the launches that list active pixels."""
    return sum(name.startswith(_COMPACTION) for name in launches)


def _list_launches(node: onnx.NodeProto, operator: Operator) -> tuple[Launch, ...]:
    clear = bool(1 if attribute_of(node, ATTRIBUTE) is None else attribute_of(node, ATTRIBUTE))
    if operator.family == "MaskedModulation":
        return count_masked_modulation(1, 1, 1)
    if operator.family == "SparseCompose":
        return count_sparse_compose(_ONE, 1)
    if operator.name == INDEX:
        return count_index(_ONE)
    listed = bool(operator.positions_of("list"))
    if operator.family == "SparseNonLocal":
        return count_sparse_non_local(_ONE, [1], 1, 1, 1, clear_output=clear, listed=listed)
    kind: NumberType = "int8" if "int8" in {part.type for part in operator.inputs} else "fp16"
    return count_sparse_conv2d(_ONE, 1, 1, 1, kind=kind, gives=operator.gives, clear_output=clear, listed=listed)


def count_bytes_between(model: onnx.ModelProto, width: int, height: int) -> int:
    """Count the bytes of the other layers of Net_R.

    They are no plugins. Every tensor that one of them reads or writes counts once for it, as if it ran by itself: what
    TensorRT fuses is less. Layers of Net_R are those behind a mask, and those before that read the picture for a plugin
    without being needed for the mask; all others are Net_L's. How sizes follow from the picture's is found by two small
    pictures on ONNX Runtime.

    Args:
        model: a graph whose only input is a picture [N,C,H,W], with function bodies.
        width: width of the picture in pixels, a multiple of 8 as the small ones are.
        height: height of the picture in pixels.

    Raises:
        UserError: the size of a tensor is no multiple of the picture's.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    uses = [name for node in _list_dense(model.graph) for name in (*node.input, *node.output) if name]
    made = sorted({name for name in uses if name not in stored})
    sizes = {name: onnx.numpy_helper.to_array(tensor).nbytes for name, tensor in stored.items() if name in uses}
    first, second = (run_inner(model, made, *small) for small in _SMALL)
    for name, one, other in zip(made, first, second, strict=True):
        shape = [_scale(pair, (width, height), name) for pair in zip(one.shape, other.shape, strict=True)]
        sizes[name] = math.prod(shape) * one.itemsize
    return sum(sizes[name] for name in uses)


_SMALL = ((64, 64), (192, 128))
"""Two pictures, width and height: 3 times as wide and twice as high."""


def run_inner(model: onnx.ModelProto, names: Sequence[str], width: int, height: int) -> list[np.ndarray]:
    """Run a black picture and return inner tensors.

    Args:
        model: graph with one input, a picture.
        names: tensors to return, in this order.
        width: width of the picture in pixels.
        height: its height.
    """
    onnxruntime = load_onnxruntime()
    shown = onnx.ModelProto.FromString(model.SerializeToString())
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (given,) = model.graph.input
    kind = onnx.helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
    channels = given.type.tensor_type.shape.dim[1].dim_value
    found: list[np.ndarray] = session.run(None, {given.name: np.zeros((1, channels, height, width), kind)})
    return found


def _scale(sizes: tuple[int, int], picture: tuple[int, int], name: str) -> int:
    """Return a tensor's size along an axis.

    It follows from the sizes for the two small pictures.
    """
    (before, after), (small, large) = sizes, _SMALL
    for axis, whole in enumerate(picture):
        if before * large[axis] == after * small[axis] and before * whole % small[axis] == 0:
            return before * whole // small[axis]
    if before == after:
        return before
    raise UserError(f"a size of the tensor {name} is {before} and {after} for two pictures, no multiple of their sizes")


def _list_dense(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """List the layers of Net_R that are no plugins."""
    operators = [(node, operator_of(node)) for node in graph.node]
    masks = {node.input[place] for node, operator in operators if operator for place in operator.positions_of("mask")}
    of_masks = _find_sources(graph, masks)
    of_plugins = _find_sources(graph, {name for node, operator in operators if operator for name in node.input})
    pictures = {graph.input[0].name}
    for node, operator in operators:
        made = set(node.output)
        if masks.intersection(node.input):
            masks |= made
            if operator is None:
                yield node
        elif pictures.intersection(node.input) and node.op_type != "Shape" and made & of_plugins:
            if not made & of_masks:
                yield node
            if not made & of_masks or node.op_type in _PASSING:
                pictures |= made


def _find_sources(graph: onnx.GraphProto, names: Collection[str]) -> set[str]:
    """Find all tensors that some depend on, and these."""
    found = set(names)
    for node in reversed(graph.node):
        if found.intersection(node.output):
            found |= set(node.input)
    return found


_PASSING = frozenset({"Pad", "Cast"})
"""Layers of Net_L whose output is the picture still."""
