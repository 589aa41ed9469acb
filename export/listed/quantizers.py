"""Pass that lets sparse convolutions quantize their own output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
from onnx import helper, numpy_helper

from ..operators.bodies import renew_function_bodies
from ..operators.table import OUT_SCALE
from ..passes.base import GraphPass, PassResult
from ..passes.graph import drop_unused, initializers_of, operator_of, output_names, readers_of, replace_nodes

Stored = Mapping[str, onnx.TensorProto]


class QuantizeWhereWritten(GraphPass[PassResult]):
    """Pass that moves quantizers to the convolutions before them.

    A convolution that quantizes what it reads does so for every tap and for each block of its outputs. The listed
    convolution that makes the tensor does it once for each number, after the same rounding to the tensor's type, and
    its readers gather bytes. Where something else reads the tensor as well, such as a residual, both are written.

    Requires: any graph. A tensor stays if no listed convolution makes it, if its readers quantize it with different
    scales, or if such a reader has joined channels.
    Ensures: the same results.
    """

    def rewrite(self, model: onnx.ModelProto) -> PassResult:
        """Quantize what listed convolutions write."""
        graph = model.graph
        stored, outputs, readers = initializers_of(graph), output_names(graph), readers_of(graph)
        modified = False
        for node in graph.node:
            operator = operator_of(node)
            if operator is None or operator.int8_output_form is None or operator.both_outputs_form is None:
                continue
            name = node.output[0]
            fed = [reader for reader in readers.get(name, []) if _may_feed(reader, name)]
            scale = _find_scale(fed, stored)
            if scale is None:
                continue
            steps = f"{name}_int8"
            for reader in fed:
                _feed(reader, steps)
            kept = name in outputs or any(name in reader.input for reader in readers[name])
            node.op_type = operator.both_outputs_form if kept else operator.int8_output_form
            node.output[:] = [name, steps] if kept else [steps]
            node.attribute.append(helper.make_attribute(OUT_SCALE, scale))
            modified = True
        if modified:
            replace_nodes(graph, [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node])
            drop_unused(graph)
            renew_function_bodies(model)
        return PassResult(modified)


def _may_feed(reader: onnx.NodeProto, name: str) -> bool:
    """Return whether a node quantizes a tensor that it reads.

    It must have a form that takes it in INT8.
    """
    operator = operator_of(reader)
    return operator is not None and operator.fed_form is not None and reader.input[operator.position("x")] == name


def _find_scale(readers: Sequence[onnx.NodeProto], stored: Stored) -> float | None:
    """Return the scale that all readers quantize with.

    None says that there are no readers, or that their scales are not one positive number.
    """
    scales: set[float] = set()
    for reader in readers:
        operator = operator_of(reader)
        assert operator is not None
        tensor = stored.get(reader.input[operator.position("x_scale")])
        values = [] if tensor is None else numpy_helper.to_array(tensor).ravel().tolist()
        scales.add(values[0] if len(values) == 1 else 0.0)
    return scales.pop() if len(scales) == 1 and min(scales) > 0 else None


def _feed(reader: onnx.NodeProto, steps: str) -> None:
    """Let a convolution take an INT8 tensor."""
    operator = operator_of(reader)
    assert operator is not None and operator.fed_form is not None
    reader.input[operator.position("x")] = steps
    reader.op_type = operator.fed_form
