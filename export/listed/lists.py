"""Pass that lists the active pixels of each mask once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ...plugins.compaction.reference import INDEXED
from ...plugins.sparse_conv2d.reference import pack_weight
from ..operators.bodies import renew_function_bodies
from ..operators.table import BY_NAME, CHANNELS, DOMAIN, INDEX, Operator
from ..passes.base import GraphPass, PassError, PassResult
from ..passes.graph import (
    attribute_of,
    drop_unused,
    element_types,
    initializers_of,
    makers_of,
    operator_of,
    replace_nodes,
)

PLUGIN_ATTRIBUTES = {"plugin_version": "1", "plugin_namespace": DOMAIN}
"""Attributes that make TensorRT's parser look for a plugin."""
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
_PACKED = {"packed": "weight", "scale": "weight_scale"}
"""Constants that a listed form gets in another form, and the names of what they are made of."""
Stored = Mapping[str, onnx.TensorProto]


class ListActivePixels(GraphPass[PassResult]):
    """Pass that gives sparse operators the list of their mask.

    Without it the plugin of each operator lists the active pixels of its mask, packs its weights and multiplies its
    scales anew for every picture. The pass adds one SparseIndex for each mask, whose outputs the listed forms of the
    operators take, and stores packed weights and multiplied scales. Only plugins of engines have these forms.

    Requires: any graph. A convolution stays if its weights, bias or scales are no constants, or its window is none that
    an index lists.
    Ensures: the same results, with plugins and, up to the rounding of scales, through function bodies.
    """

    def rewrite(self, model: onnx.ModelProto) -> PassResult:
        """Add the lists and change the operators under them."""
        graph = model.graph
        stored, origins = initializers_of(graph), _Origins(model)
        lists: dict[str, list[str]] = {}
        made: dict[str, onnx.TensorProto] = {}
        kept = []
        for node in graph.node:
            operator = operator_of(node)
            if operator is not None and _may_list(node, operator, stored):
                assert operator.mask is not None
                mask = origins.find(node.input[operator.position(operator.mask)])
                if mask not in lists:
                    index = _make_index(mask)
                    lists[mask] = list(index.output)
                    kept.append(index)
                _take_list(node, operator, lists[mask], stored, made)
            kept.append(node)
        if not lists:
            return PassResult(False)
        replace_nodes(graph, [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept])
        graph.initializer.extend(made.values())
        drop_unused(graph)
        renew_function_bodies(model)
        return PassResult(True)

    def ensures(self, model: onnx.ModelProto) -> None:
        """Raise PassError where a mask is listed twice."""
        origins = _Origins(model)
        masks = [origins.find(node.input[0]) for node in model.graph.node if node.op_type == INDEX]
        if len(masks) != len(set(masks)):
            raise PassError(f"the masks {', '.join(masks)} are not listed once each")


class _Origins:
    """Masks from which others were cast."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._makers, self._types = makers_of(model.graph), element_types(model)

    def find(self, mask: str) -> str:
        """Return the tensor that a mask was cast from.

        It is a float as well, and is 0 at the same pixels.
        """
        node = self._makers.get(mask)
        if node is None or node.op_type != "Cast" or self._types.get(node.input[0]) not in _FLOATS:
            return mask
        return self.find(node.input[0])


def _may_list(node: onnx.NodeProto, operator: Operator, stored: Stored) -> bool:
    """Return whether a node's listed form can replace it."""
    if operator.listed_form is None:
        return False
    constants = [stored.get(node.input[place]) for place in operator.positions_of("weight")]
    if not constants:
        return True
    weight = constants[0]
    if weight is None or None in constants or len(weight.dims) != 4 or attribute_of(node, "pads") is None:
        return False
    dilations = attribute_of(node, "dilations") or [1, 1]
    return weight.dims[2] == weight.dims[3] and weight.dims[2] in (1, INDEXED) and list(dilations) == [1, 1]


def _make_index(mask: str) -> onnx.NodeProto:
    """Make the node that lists a mask's active pixels."""
    outputs = [f"{mask}_{name}" for name in ("index", "taps", "count")]
    return helper.make_node(INDEX, [mask], outputs, name=f"{mask}_list", domain=DOMAIN, **PLUGIN_ATTRIBUTES)


def _take_list(
    node: onnx.NodeProto,
    operator: Operator,
    lists: list[str],
    stored: Stored,
    made: dict[str, onnx.TensorProto],
) -> None:
    """Change a node into its listed form.

    Args:
        node: the node.
        operator: its operator.
        lists: names of index, taps and count of its mask.
        stored: constants of the graph.
        made: constants that were made, by name; those of the node are added.
    """
    assert operator.listed_form is not None
    form = BY_NAME[operator.listed_form]
    by_name = dict(zip(("index", "taps", "count"), lists, strict=True))
    names = {part.name: name for part, name in zip(operator.inputs, node.input, strict=True)} | by_name
    for name, source in _PACKED.items():
        if form.has_input(name):
            scale = names["x_scale"] if name == "scale" else ""
            tensor = _make_constant(stored[names[source]], stored.get(scale), name)
            made[tensor.name] = tensor
            names[name] = tensor.name
    if form.has_input("packed"):
        channels = stored[names["weight"]].dims[1]
        node.attribute.append(helper.make_attribute(CHANNELS, [channels]))
    node.op_type = form.name
    node.input[:] = [names[part.name] for part in form.inputs]
    if "sum_slope" in form.attributes:
        node.attribute.append(helper.make_attribute("sum_slope", 1.0))


def _make_constant(source: onnx.TensorProto, scale: onnx.TensorProto | None, name: str) -> onnx.TensorProto:
    """Pack weights, or multiply scales."""
    value = numpy_helper.to_array(source)
    if scale is None:
        return numpy_helper.from_array(pack_weight(value), f"{source.name}_{name}")
    product = value.astype(np.float32) * numpy_helper.to_array(scale).astype(np.float32).reshape(1)
    return numpy_helper.from_array(product, f"{source.name}_{scale.name}_{name}")
