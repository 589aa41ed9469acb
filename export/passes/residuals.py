"""A graph pass: sparse convolutions take the sums that follow them, for engines whose plugins add in the same pass."""

from __future__ import annotations

import onnx

from ..operators.bodies import DOMAIN, add_function_bodies

FORMS = {
    "SparseConv2d": "SparseConv2dAdd",
    "SparseConv2dInt8": "SparseConv2dInt8Add",
    "SparseConv2dQuantize": "SparseConv2dQuantizeAdd",
}
"""Operator -> its form with a residual as last input."""
MASK_INPUT = {
    "SparseConv2d": 1,
    "SparseConv2dAdd": 1,
    "SparseConv2dInt8": 1,
    "SparseConv2dInt8Add": 1,
    "SparseConv2dQuantize": 1,
    "SparseConv2dQuantizeAdd": 1,
    "SparseNonLocal": 3,
}
"""Operator -> the input that holds the mask outside which its output is zero."""


class FuseResiduals:
    """Replaces a sparse convolution and the Add after it by the operator's form with a residual.

    The sum is then made where the convolution writes, at active pixels only: a residual costs one read of those, where
    an Add of its own reads two whole tensors and writes a third.

    Requires: nothing; graphs without such sums stay as they are.
    Ensures: the same results, also at clean pixels, since only residuals that are zero there are taken: sums, ReLUs and
    products with the same mask of operators under the same mask.
    """

    def __call__(self, model: onnx.ModelProto) -> bool:
        """Rewrite in place; True if the graph changed."""
        graph = model.graph
        makers = {name: node for node in graph.node for name in node.output}
        uses = _count_uses(graph)
        fused: dict[str, onnx.NodeProto] = {}
        for node in graph.node:
            if node.op_type != "Add" or node.domain:
                continue
            for index in (1, 0):
                convolution = makers.get(node.input[index])
                residual = node.input[1 - index]
                if convolution is None or not _may_fuse(convolution, residual, uses, makers):
                    continue
                _add_residual(convolution, node, residual)
                makers[node.output[0]] = convolution
                fused[node.output[0]] = node
                break
        if not fused:
            return False
        _replace_nodes(graph, fused)
        del model.functions[:]
        add_function_bodies(model)
        self.ensures(model)
        return True

    def ensures(self, model: onnx.ModelProto) -> None:
        """Raise if the rewritten graph is not valid ONNX."""
        onnx.checker.check_model(model)


def _count_uses(graph: onnx.GraphProto) -> dict[str, int]:
    uses: dict[str, int] = {value.name: 1 for value in graph.output}
    for node in graph.node:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    return uses


def _may_fuse(
    convolution: onnx.NodeProto, residual: str, uses: dict[str, int], makers: dict[str, onnx.NodeProto]
) -> bool:
    """Whether the node is a sparse convolution for this sum alone, and the residual zero at its clean pixels."""
    if convolution.domain != DOMAIN or convolution.op_type not in FORMS:
        return False
    return uses[convolution.output[0]] == 1 and _is_masked(residual, convolution.input[1], makers)


def _is_masked(name: str, mask: str, makers: dict[str, onnx.NodeProto]) -> bool:
    """Whether a tensor is zero wherever the mask is, by the operators that made it."""
    node = makers.get(name)
    if node is None:
        return False
    if node.domain == DOMAIN:
        index = MASK_INPUT.get(node.op_type)
        return index is not None and node.input[index] == mask
    if node.op_type == "Mul":
        return mask in node.input or any(_is_masked(part, mask, makers) for part in node.input)
    if node.op_type in ("Add", "Sub"):
        return all(_is_masked(part, mask, makers) for part in node.input)
    return node.op_type in ("Relu", "Cast") and _is_masked(node.input[0], mask, makers)


def _add_residual(convolution: onnx.NodeProto, add: onnx.NodeProto, residual: str) -> None:
    convolution.op_type = FORMS[convolution.op_type]
    convolution.input.append(residual)
    convolution.output[0] = add.output[0]


def _replace_nodes(graph: onnx.GraphProto, fused: dict[str, onnx.NodeProto]) -> None:
    """Drop the sums; each fused convolution takes its sum's place, where the residual is there already."""
    by_output = {node.output[0]: node for node in graph.node if node.op_type in FORMS.values()}
    kept = []
    for node in graph.node:
        if node.op_type in FORMS.values() and node.output[0] in fused:
            continue
        output = node.output[0] if node.output else ""
        kept.append(by_output[output] if output in fused else node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del graph.node[:]
    graph.node.extend(copies)
