"""Pass that composes the restored picture in one node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..operators.bodies import renew_function_bodies
from ..operators.table import DOMAIN
from ..passes.base import GraphPass, PassResult
from ..passes.graph import drop_unused, element_types, initializers_of, makers_of, operator_of, replace_nodes
from .lists import PLUGIN_ATTRIBUTES


class ComposePixels(GraphPass[PassResult]):
    """Pass that makes the end of a network one node.

    An addition to the picture, its limit, a comparison of the mask and a selection read and write every pixel, mostly
    to leave it as it is. SparseCompose reads the picture once, reads the residual at distorted pixels, and takes a
    residual of halves without a cast. Only plugins of engines have it.

    Requires: any graph.
    Ensures: the same results.
    """

    def rewrite(self, model: onnx.ModelProto) -> PassResult:
        """Replace every selection between a picture and its changed form."""
        graph = model.graph
        found = _Graph(model)
        made = {node.output[0]: new for node in graph.node if (new := found.compose(node)) is not None}
        if not made:
            return PassResult(False)
        kept = [made.get(node.output[0], node) if node.output else node for node in graph.node]
        replace_nodes(graph, [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept])
        drop_unused(graph)
        renew_function_bodies(model)
        return PassResult(True)


class _Graph:
    """Makers, types and constants of a graph's tensors."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._makers, self._types = makers_of(model.graph), element_types(model)
        self._stored = initializers_of(model.graph)
        operators = [(node, operator_of(node)) for node in model.graph.node]
        named = [node.input[place] for node, part in operators if part for place in part.positions_of("mask")]
        self._masks = {name: frozenset(self._sources(name)) for name in named}

    def compose(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """Make the node that takes a selection's place.

        None says that the selection is no end of a network.
        """
        if node.op_type != "Where" or node.domain:
            return None
        condition, limited, picture = node.input
        clip = self._maker(limited, "Clip")
        total = None if clip is None else self._maker(clip.input[0], "Add")
        if clip is None or total is None or picture not in total.input:
            return None
        limits = [self._number(name) for name in clip.input[1:]]
        added = next((name for name in total.input if name != picture), picture)
        pair = self._pair(added, condition)
        if pair is None or len(limits) != 2 or None in limits or self._types.get(picture) != TensorProto.FLOAT:
            return None
        attributes: dict[str, Any] = {"low": limits[0], "high": limits[1], **PLUGIN_ATTRIBUTES}
        return helper.make_node(
            "SparseCompose", [picture, *pair], node.output, name=node.name, domain=DOMAIN, **attributes
        )

    def _pair(self, added: str, condition: str) -> tuple[str, str] | None:
        """Find a residual and the mask of its type.

        The condition must say that the mask exceeds a number from 0 to below 1, which the masks of operators do where
        they are not 0.
        """
        compared = self._maker(condition, "Greater")
        bound = None if compared is None else self._number(compared.input[1])
        if compared is None or bound is None or not 0 <= bound < 1:
            return None
        sources = set(self._sources(compared.input[0]))
        masks = [name for name, origins in self._masks.items() if sources & origins]
        for residual in reversed(list(self._sources(added))):
            for mask in masks:
                if self._types.get(mask) == self._types.get(residual):
                    return residual, mask
        return None

    def _sources(self, name: str) -> Iterator[str]:
        """List a tensor and the floats before its casts."""
        yield name
        node = self._maker(name, "Cast")
        if node is not None and self._types.get(node.input[0]) in (TensorProto.FLOAT, TensorProto.FLOAT16):
            yield from self._sources(node.input[0])

    def _maker(self, name: str, kind: str) -> onnx.NodeProto | None:
        """Return a tensor's maker if it has the type."""
        node = self._makers.get(name)
        return node if node is not None and node.op_type == kind and not node.domain else None

    def _number(self, name: str) -> float | None:
        """Return the value of a constant that is one number."""
        tensor = self._stored.get(name)
        value = None if tensor is None else numpy_helper.to_array(tensor)
        return float(value.reshape(())) if isinstance(value, np.ndarray) and value.size == 1 else None
