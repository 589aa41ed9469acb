"""Net_R's graph as steps on rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from ...runtime.cpu.program import AddResidual, AttendRows, ConvolveAround, ConvolveRows, RowStep
from ..packed.layers import check_packable
from ..passes.base import PassError
from ..passes.graph import is_pixel_shuffle
from .walk import Fact, LayerNames, Walk

Attributes = dict[str, Any]
KERNELS = (1, 3)
"""Sides of kernels that have a form on rows."""


class RestorationWalk(Walk):
    """Walk through Net_R.

    Facts name the scale that a value belongs to: a mask, a picture, features on their way to be modulated, or rows.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__(model)
        for value in model.graph.input:
            name = value.name
            if name in ("image", "mask", "keys", "key_mask"):
                self.facts[name] = ({"image": "picture"}.get(name, name), 0)
            else:
                self.facts[name] = ({"f": "features"}.get(name[:-1], name[:-1]), int(name[-1]))
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}

    def list_steps(self) -> tuple[RowStep, ...]:
        """Return the steps, each as late as possible.

        Raises:
            PassError: the graph is not that of a Net_R whose clean pixels stay as they are.
        """
        self.run()
        last = next((step for step in self.steps.values() if isinstance(step, AddResidual)), None)
        if last is None:
            raise PassError("the graph does not add a residual to the distorted pixels alone")
        ordered: dict[str, RowStep] = {}
        self._visit(last, ordered)
        return tuple(ordered.values())

    def _visit(self, step: RowStep, ordered: dict[str, RowStep]) -> None:
        for name in (getattr(step, "add", ""), getattr(step, "x", "")):
            if name and name not in ordered:
                self._visit(self.steps[name], ordered)
        ordered[step.out] = step

    # Masks, pictures and features at each scale

    def _halved(self, node: onnx.NodeProto, attributes: Attributes, kind: str) -> None:
        fact = self.fact(node.input[0])
        if fact[0] != kind or attributes["kernel_shape"] != [2, 2] or attributes["strides"] != [2, 2]:
            raise self.refuse(node)
        self.facts[node.output[0]] = (kind, fact[1] + 1)

    def _on_maxpool(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        self._halved(node, attributes, "mask")

    def _on_averagepool(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        self._halved(node, attributes, "picture")

    def _on_sub(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        fact = self.fact(node.input[0])
        if fact[0] != "scale" or self.constant(node.input[1]).tolist() != 1.0:
            raise self.refuse(node)
        self.facts[node.output[0]] = ("scale less 1", fact[1])

    def _on_concat(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        facts = [self.fact(name) for name in node.input]
        kinds, scales = [fact[0] for fact in facts], {fact[1] for fact in facts}
        if attributes["axis"] != 1 or kinds[0] != "picture" or kinds[1:] not in _AFTER_PICTURE or len(scales) > 1:
            raise self.refuse(node)
        self.facts[node.output[0]] = ("around", facts[0][1], kinds[1] == "modulated")

    def _on_mul(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        self._pair(node, _PRODUCTS)

    def _pair(self, node: onnx.NodeProto, results: dict[frozenset[str], str]) -> None:
        facts = [self.fact(name) for name in node.input]
        kind = results.get(frozenset(fact[0] for fact in facts))
        if kind is None or len(facts) != 2 or facts[0][1] != facts[1][1]:
            raise self.refuse(node)
        self.facts[node.output[0]] = (kind, facts[0][1], *(part for fact in facts for part in fact[2:]))

    # Rows

    def _on_sparseconv2d(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        check_packable(node, self._tensors)
        x, mask, weight, bias = node.input
        self._add_convolution(node, attributes, x, mask, self.read_layer(weight, bias))

    def _on_sparseconv2dint8(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        check_packable(node, self._tensors)
        steps, mask, weight, bias, step, scales = node.input
        kind, *found = self.fact(steps)
        if kind != "steps" or self.constant(step).tolist() != found[1]:
            raise self.refuse(node)
        self._add_convolution(node, attributes, found[0], mask, self.read_steps(weight, bias, scales, found[1]))

    def _add_convolution(
        self, node: onnx.NodeProto, attributes: Attributes, x: str, mask: str, layer: LayerNames
    ) -> None:
        out, (kind, scale, *more), slope = node.output[0], self.fact(x), float(attributes["negative_slope"])
        kernel = self.constant(layer["weight"]).shape[2]
        if kernel not in KERNELS:
            raise PassError(
                f"the layer {layer['name']} has a kernel of {kernel}x{kernel}; only 1x1 and 3x3 have a form on rows"
            )
        if self.fact(mask) != ("mask", scale):
            raise self.refuse(node)
        if kind == "around" and attributes["clean_input"] and kernel == 3:
            self.steps[out] = ConvolveAround(**layer, out=out, scale=scale, modulated=more[0], slope=slope)
        elif kind == "rows" and not attributes["clean_input"]:
            self.steps[out] = ConvolveRows(**layer, x=x, out=out, scale=scale, slope=slope)
        else:
            raise self.refuse(node)
        self.facts[out] = ("rows", scale)

    def _on_conv(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        x, weight, bias = node.input
        given, *stored = self.fact(weight)
        if given == "restored weights":
            weight = self._restore(*stored)
        step = 0.0
        if self.fact(x)[0] == "restored steps":
            _, x, step = self.fact(x)
        if self.fact(x)[0] != "keys" or self.constant(weight).shape[2:] != (1, 1):
            raise self.refuse(node)
        self.read_layer(weight, bias)
        self.facts[node.output[0]] = ("projection", 0, weight, bias, step)

    def _restore(self, weight: str, scales: str) -> str:
        """Keep the float32 values of int8 weights; return their name."""
        restored = f"{weight.removesuffix('_int8')}_restored"
        factors = self.constant(scales).astype(np.float32).reshape(-1, 1, 1, 1)
        self.stored[restored] = self.constant(weight).astype(np.float32) * factors
        return restored

    def _on_sparsenonlocal(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        facts = [self.fact(name) for name in node.input]
        kinds = [fact[0] for fact in facts]
        if kinds != ["rows", "projection", "projection", "mask", "key_mask"] or facts[0][1] != facts[3][1]:
            raise self.refuse(node)
        (key, key_bias, key_step), (value, value_bias, value_step) = facts[1][2:], facts[2][2:]
        name = key.removeprefix("model.").rpartition(".weight")[0].rpartition(".")[0]
        factor, out = float(attributes["scale"]), node.output[0]
        if not factor > 0.0:
            raise self.refuse(node)
        weights = (key, key_bias, value, value_bias, key_step, value_step)
        self.steps[out] = AttendRows(name, node.input[0], out, facts[0][1], factor, *weights)
        self.facts[out] = ("rows", facts[0][1])

    def _on_depthtospace(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        x = node.input[0]
        if not is_pixel_shuffle(node) or not self._is_open(x) or self.steps[x].add:
            raise self.refuse(node)
        self.change(x, x, folded=True)
        self.facts[node.output[0]] = ("shuffled", self.facts[x][1] - 1, x)

    def _is_open(self, name: str) -> bool:
        """Tell whether a convolution can still take over what follows."""
        step = self.steps.get(name)
        return isinstance(step, ConvolveRows) and not step.relu and not step.folded and self.is_private(name)

    def _on_relu(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        if not self._is_open(node.input[0]):
            raise self.refuse(node)
        self.change(node.input[0], node.output[0], relu=True)

    def _on_add(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        kinds = self.sort(node)
        if frozenset(kinds) in _SUMS:
            self._pair(node, _SUMS)
            if "rows" in kinds:
                self.facts[node.output[0]] = ("sum", 0, kinds["rows"])
            return
        for x, other in (tuple(node.input), tuple(reversed(node.input))):
            fact = self.fact(other)
            if fact[0] in ("rows", "unfolded") and x != other and self._is_open(x) and not self.steps[x].add:
                if fact[1] != self.fact(x)[1]:
                    raise self.refuse(node)
                self.change(x, node.output[0], add=fact[2] if fact[0] == "unfolded" else other)
                return
        raise self.refuse(node)

    # The picture

    def _on_clip(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        low, high = (self.constant(name).tolist() for name in node.input[1:])
        if self.fact(node.input[0])[0] != "sum" or (low, high) != (0.0, 1.0):
            raise self.refuse(node)
        self.facts[node.output[0]] = ("clipped", *self.facts[node.input[0]][1:])

    def _on_greater(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        threshold = self.constant(node.input[1])
        if self.fact(node.input[0]) != ("mask", 0) or not 0.0 <= float(np.max(threshold)) < 1.0:
            raise self.refuse(node)
        self.facts[node.output[0]] = ("distorted", 0)

    def _on_where(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        facts: list[Fact] = [self.fact(name) for name in node.input]
        if [fact[0] for fact in facts] != ["distorted", "clipped", "picture"] or facts[2][1] != 0:
            raise self.refuse(node)
        self.steps[node.output[0]] = AddResidual(facts[1][2], node.output[0])
        self.facts[node.output[0]] = ("restored", 0)


_AFTER_PICTURE = (["features"], ["modulated"])
_PRODUCTS = {
    frozenset(("features", "scale less 1")): "scaled",
    frozenset(("mask", "change")): "masked change",
    frozenset(("mask", "shuffled")): "unfolded",
}
_SUMS = {
    frozenset(("scaled", "shift")): "change",
    frozenset(("features", "masked change")): "modulated",
    frozenset(("picture", "rows")): "sum",
}
"""Kind of the result by the kinds of both inputs."""
