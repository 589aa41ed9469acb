"""Net_L's graph as steps on maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from ...runtime.cpu.program import AddDoubled, ConvolveMap, FindMask, MapStep
from ..passes.base import PassError
from ..passes.graph import is_pixel_shuffle
from .walk import Walk

Attributes = dict[str, Any]

_NEAREST = {
    "mode": b"nearest",
    "nearest_mode": b"floor",
    "coordinate_transformation_mode": b"asymmetric",
}


class LocalizationWalk(Walk):
    """Walk through Net_L.

    Convolutions take over the sum and the ReLU behind them.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__(model)
        self.facts["image"] = ("map",)

    def list_steps(self) -> tuple[MapStep, ...]:
        """Return the steps in their order.

        Raises:
            PassError: the graph is not that of a Net_L.
        """
        self.run()
        outputs = {value.name for value in self._graph.output}
        if missing := outputs - set(self.steps) - {"mask"}:
            raise PassError(f"the graph makes {', '.join(sorted(missing))} in a way that has no form on maps")
        if not any(isinstance(step, FindMask) for step in self.steps.values()):
            raise PassError("the graph has no mask that a pixel shuffle makes")
        return tuple(self.steps.values())

    def _on_conv(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        x, layer = self.read_convolution(*node.input)
        kernel = list(self.constant(layer["weight"]).shape[2:])
        pads, strides = attributes["pads"], attributes["strides"]
        plain = attributes["group"] == 1 and attributes["dilations"] == [1, 1] and attributes["auto_pad"] == b"NOTSET"
        stride, pad = strides[0], pads[0]
        fits = kernel[0] - 2 * pad == 1 if stride == 1 else stride == 2 and kernel[0] - 2 * pad in (1, 2)
        if not (plain and fits and kernel == kernel[:1] * 2 and strides == [stride] * 2 and pads == [pad] * 4):
            raise PassError(f"Conv {node.output[0]} has a kernel, stride or padding that has no form on maps")
        if self.fact(x)[0] != "map":
            raise self.refuse(node)
        self.steps[node.output[0]] = ConvolveMap(**layer, x=x, out=node.output[0], stride=stride, pads=pad)
        self.facts[node.output[0]] = ("map",)

    def _is_open(self, name: str) -> bool:
        """Tell whether a convolution can still take over what follows."""
        step = self.steps.get(name)
        return isinstance(step, ConvolveMap) and not step.relu and self.is_private(name)

    def _on_relu(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        x, out = node.input[0], node.output[0]
        if self._is_open(x) and self.fact(x)[0] == "map":
            self.change(x, out, relu=True)
        elif self.fact(x)[0] == "features":
            self.facts[out] = self.facts[x]
            self._complete(self.facts[x][1], features=out)
        else:
            raise self.refuse(node)

    def _on_add(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        out, kinds = node.output[0], self.sort(node)
        if set(kinds) == {"map", "doubled"}:
            fine, coarse = kinds["map"], self.facts[kinds["doubled"]][1]
            self.steps[out], self.facts[out] = AddDoubled(fine, coarse, out), ("map",)
            return
        for x, other in (tuple(node.input), tuple(reversed(node.input))):
            if set(kinds) == {"map"} and x != other and self._is_open(x) and not self.steps[x].add:
                self.change(x, out, add=other)
                return
        raise self.refuse(node)

    def _on_resize(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        scales = self.constant(node.input[2]).tolist() if len(node.input) == 3 else []
        nearest = all(attributes.get(name) == value for name, value in _NEAREST.items())
        if scales != [1, 1, 2, 2] or not nearest or self.fact(node.input[0])[0] != "map":
            raise self.refuse(node)
        self.facts[node.output[0]] = ("doubled", node.input[0])

    def _on_depthtospace(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        x = node.input[0]
        if not (is_pixel_shuffle(node) and self._is_open(x)) or self.steps[x].add or self.steps[x].stride != 1:
            raise self.refuse(node)
        self.facts[node.output[0]] = ("shuffled", self.steps.pop(x))

    def _on_slice(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        fact = self.fact(node.input[0])
        start, stop, axis, step = (self.constant(name).reshape(-1).tolist() for name in node.input[1:])
        if fact[0] != "shuffled" or axis != [1] or step != [1]:
            raise self.refuse(node)
        channels = self.arrays[fact[1].weight].shape[0] // 4
        part = start[0], min(stop[0], channels)
        kinds = {(0, 1): "logit", (1, channels): "features"}
        if part not in kinds:
            raise self.refuse(node)
        self.facts[node.output[0]] = (kinds[part], fact[1])

    def _on_greater(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        threshold, fact = self.constant(node.input[1]), self.fact(node.input[0])
        if fact[0] != "logit" or threshold.size != 1:
            raise self.refuse(node)
        self.facts[node.output[0]] = ("found", fact[1], float(np.float32(threshold.reshape(-1)[0])))

    def _on_cast(self, node: onnx.NodeProto, attributes: Attributes) -> None:
        fact = self.fact(node.input[0])
        if fact[0] != "found" or attributes["to"] != onnx.TensorProto.FLOAT:
            raise self.refuse(node)
        self.facts[node.output[0]] = ("mask", *fact[1:])
        self._complete(fact[1], mask=node.output[0])

    def _complete(self, layer: ConvolveMap, *, mask: str = "", features: str = "") -> None:
        """Add the last step once both results are known."""
        for name, fact in self.facts.items():
            if fact[0] == "mask":
                mask, threshold = name, fact[2]
            if fact[0] == "features" and name in self._outputs:
                features = name
        if mask and features:
            self.steps[features] = FindMask(
                *(layer.name, layer.x, layer.weight, layer.bias, layer.pads, threshold, mask, features),
                step=layer.step,
                scales=layer.scales,
            )
