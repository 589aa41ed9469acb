"""Pass that lets sparse convolutions add the residual after them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import onnx

from ..operators.bodies import renew_function_bodies
from .base import GraphPass, PassResult
from .graph import makers_of, operator_of, output_names, replace_nodes


class FuseResiduals(GraphPass[PassResult]):
    """Pass that fuses sparse convolutions with sums after them.

    The residual form of the convolution adds where it writes, at active pixels only. The residual then costs one read
    of active pixels, where an Add reads two whole tensors and writes a third. Only plugins of engines have this form.

    Requires: any graph; a graph without such sums stays as it is.
    Ensures: the same results at all pixels. The pass takes only residuals that are zero at clean pixels: operators
    under the convolution's mask, products with that mask, and sums, ReLUs and casts of such tensors.
    """

    def rewrite(self, model: onnx.ModelProto) -> PassResult:
        """Fuse every sum whose residual is zero at clean pixels."""
        graph = model.graph
        makers, uses = makers_of(graph), _count_uses(graph)
        convolutions: dict[str, onnx.NodeProto] = {}
        for node in graph.node:
            if node.op_type != "Add" or node.domain:
                continue
            for index in (1, 0):
                convolution = makers.get(node.input[index])
                residual = node.input[1 - index]
                if convolution is None or not _may_fuse(convolution, residual, uses, makers):
                    continue
                _add_residual(convolution, node, residual)
                makers[node.output[0]] = convolutions[node.output[0]] = convolution
                break
        if not convolutions:
            return PassResult(False)
        _move_convolutions(graph, convolutions)
        renew_function_bodies(model)
        return PassResult(True)


def _count_uses(graph: onnx.GraphProto) -> Counter[str]:
    """Count the reads of each tensor, outputs included."""
    return Counter([*output_names(graph), *(name for node in graph.node for name in node.input)])


def _may_fuse(
    convolution: onnx.NodeProto, residual: str, uses: Mapping[str, int], makers: Mapping[str, onnx.NodeProto]
) -> bool:
    """Return whether a node may take a residual.

    It must have a residual form, only the sum may read its output, and the residual must be zero at its clean pixels.
    """
    operator = operator_of(convolution)
    if operator is None or operator.residual_form is None or operator.mask is None:
        return False
    mask = convolution.input[operator.position(operator.mask)]
    return uses[convolution.output[0]] == 1 and _is_masked(residual, mask, makers)


def _is_masked(name: str, mask: str, makers: Mapping[str, onnx.NodeProto]) -> bool:
    """Return whether a tensor is zero where a mask is."""
    node = makers.get(name)
    if node is None:
        return False
    if node.domain:
        operator = operator_of(node)
        return (
            operator is not None and operator.mask is not None and node.input[operator.position(operator.mask)] == mask
        )
    if node.op_type == "Mul":
        return mask in node.input or any(_is_masked(part, mask, makers) for part in node.input)
    if node.op_type in ("Add", "Sub"):
        return all(_is_masked(part, mask, makers) for part in node.input)
    return node.op_type in ("Relu", "Cast") and _is_masked(node.input[0], mask, makers)


def _add_residual(convolution: onnx.NodeProto, add: onnx.NodeProto, residual: str) -> None:
    """Let a convolution add a residual and replace `add`."""
    operator = operator_of(convolution)
    assert operator is not None and operator.residual_form is not None
    convolution.op_type = operator.residual_form
    convolution.input.append(residual)
    convolution.output[0] = add.output[0]


def _move_convolutions(graph: onnx.GraphProto, convolutions: Mapping[str, onnx.NodeProto]) -> None:
    """Put each fused convolution in the place of its sum.

    Its residual has been computed there, but not always where the convolution stood.
    """
    kept = []
    for node in graph.node:
        fused = convolutions.get(node.output[0]) if node.output else None
        if fused is None:
            kept.append(node)
        elif node.op_type == "Add" and not node.domain:
            kept.append(fused)
    replace_nodes(graph, [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept])
