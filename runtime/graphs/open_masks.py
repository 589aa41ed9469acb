"""Tensors whose values at clean pixels nothing reads.

A sparse convolution gives zeros at clean pixels. Where all readers look at distorted pixels alone, anything may stand
there instead, and the product with the mask can be left out.
"""

from __future__ import annotations

from .facts import GraphFacts, Node

DOMAIN = "spair"
"""ONNX domain of the sparse operators."""
CONVOLUTION = "SparseConv2d"
"""Sparse convolution in floats; its inputs are a map, its mask, weights and biases."""
ATTENTION = "SparseNonLocal"
"""Attention, which masks its result; its inputs are queries, keys, values, and the masks of queries and keys."""
_POINTWISE = frozenset({"Add", "Clip", "Identity", "LeakyRelu", "Relu"})
"""Operators whose result at a pixel depends on their maps at this pixel alone."""
_HALVED: dict[str, object] = {"kernel_shape": (2, 2), "strides": (2, 2)}
"""Attributes of the pool that makes a coarse mask of a fine one."""


class OpenMasks:
    """Search for the masks that may stay away."""

    def __init__(self, graph: GraphFacts) -> None:
        """Take the facts about a graph without subgraphs."""
        self._graph = graph
        self._makers = {name: node for node in graph.nodes for name in node.outputs}
        self._readers: dict[str, list[tuple[Node, int]]] = {}
        for node in graph.nodes:
            for place, name in enumerate(node.inputs):
                self._readers.setdefault(name, []).append((node, place))
        self._known: dict[tuple[str, str], bool] = {}

    def is_open(self, name: str, mask: str) -> bool:
        """Tell whether a map may hold anything at clean pixels.

        Args:
            name: a map.
            mask: its mask, 1 at distorted pixels and 0 at clean ones.
        """
        key = (name, mask)
        if key not in self._known:
            self._known[key] = name not in self._graph.outputs and all(
                self._ignores(node, place, mask) for node, place in self._readers.get(name, ())
            )
        return self._known[key]

    def is_shuffle_mask(self, node: Node) -> bool:
        """Tell whether a product masks a pixel shuffle in vain.

        The values of the shuffle lie under a coarse mask. The product zeroes what is clean under the fine one.
        """
        if node.operator != "Mul" or node.domain or len(node.inputs) != 2:
            return False
        shuffle, mask = self._makers.get(node.inputs[0]), node.inputs[1]
        return shuffle is not None and is_shuffle(shuffle) and self.is_open(node.outputs[0], mask)

    def _ignores(self, node: Node, place: int, mask: str) -> bool:
        """Tell whether a node ignores an input at clean pixels."""
        if node.domain == DOMAIN:
            if node.operator == CONVOLUTION:
                return place == 0 and node.inputs[1] == mask and node.attributes.get("clean_input") == 0.0
            return node.operator == ATTENTION and place == 0 and node.inputs[3] == mask
        if node.domain:
            return False
        if node.operator in _POINTWISE:
            return self.is_open(node.outputs[0], mask)
        if node.operator == "Where":
            return place == 1 and self._is_distorted(node.inputs[0], mask)
        return is_shuffle(node) and self._is_masked_finely(node.outputs[0], mask)

    def _is_distorted(self, condition: str, mask: str) -> bool:
        """Tell whether a condition holds at distorted pixels alone."""
        node = self._makers.get(condition)
        if node is None or node.operator != "Greater" or node.inputs[0] != mask:
            return False
        threshold = self._graph.constants.get(node.inputs[1])
        return threshold is not None and len(threshold.values) == 1 and 0.0 <= threshold.values[0] < 1.0

    def _is_masked_finely(self, name: str, coarse: str) -> bool:
        """Tell whether only products with finer masks read a map.

        A pixel that is distorted under the finer mask lies in a distorted one of the coarse mask.
        """
        if name in self._graph.outputs:
            return False
        return all(
            node.operator == "Mul" and not node.domain and self._is_halved(node.inputs[1 - place], coarse)
            for node, place in self._readers.get(name, ())
        )

    def _is_halved(self, fine: str, coarse: str) -> bool:
        node = self._makers.get(coarse)
        if node is None or node.operator != "MaxPool" or node.domain or node.inputs[0] != fine:
            return False
        plain = all(set(pad) == {0} for pad in (node.attributes.get("pads", (0,)),) if isinstance(pad, tuple))
        return plain and all(node.attributes.get(name) == value for name, value in _HALVED.items())


def is_shuffle(node: Node) -> bool:
    """Tell whether a node is PyTorch's pixel shuffle by 2."""
    known = node.attributes.get("blocksize") == 2 and node.attributes.get("mode") == "CRD"
    return node.operator == "DepthToSpace" and not node.domain and known
