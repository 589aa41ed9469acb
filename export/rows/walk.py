"""Walk through a graph that turns nodes into steps."""

from __future__ import annotations

import dataclasses
from typing import Any, TypedDict

import numpy as np
import onnx
from onnx import numpy_helper

from ..passes.base import PassError
from ..passes.graph import attributes_of, output_names, readers_of

Fact = tuple[Any, ...]
"""Kind of a value, then what is known about it."""


class LayerNames(TypedDict, total=False):
    """Names of a layer and of its weights.

    The last two belong to layers of int8 alone.
    """

    name: str
    weight: str
    bias: str
    scales: str
    step: float


class Walk:
    """Walk through a graph in its order.

    A subclass has a method `_on_<operator>` for each operator that it knows, which takes the node and its attributes.
    Values are known by facts; steps that make them can still be changed by the nodes that follow.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = _without_identities(model.graph)
        self.stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in self._graph.initializer}
        self.arrays: dict[str, np.ndarray] = {}
        """Weights that the steps name."""
        self.steps: dict[str, Any] = {}
        """Steps by the value that they make, in the order in which they can run."""
        self.facts: dict[str, Fact] = {}
        self._readers, self._outputs = readers_of(self._graph), output_names(self._graph)

    def run(self) -> None:
        """Visit every node.

        Raises:
            PassError: a node has no form on rows.
        """
        for node in self._graph.node:
            visit = getattr(self, f"_on_{node.op_type.lower()}", None)
            if visit is None:
                raise PassError(f"{node.op_type} {node.output[0]} has no form on rows")
            visit(node, attributes_of(node))

    def refuse(self, node: onnx.NodeProto) -> PassError:
        """Return the refusal of a node for its inputs."""
        known = ", ".join(f"{name} ({self.fact(name)[0]})" for name in node.input if name)
        return PassError(f"{node.op_type} {node.output[0]} has no form on rows here; it reads {known}")

    def fact(self, name: str) -> Fact:
        """Return what is known about a value."""
        return self.facts.get(name, ("constant",) if name in self.stored else ("unknown",))

    def constant(self, name: str) -> np.ndarray:
        """Return a constant.

        Raises:
            PassError: the value is computed.
        """
        if name not in self.stored:
            raise PassError(f"{name} must be a constant")
        return self.stored[name]

    def is_private(self, name: str) -> bool:
        """Tell whether one node alone reads a value."""
        return len(self._readers.get(name, [])) == 1 and name not in self._outputs

    def read_layer(self, weight: str, bias: str) -> LayerNames:
        """Keep a layer's float32 weights and return the names.

        Raises:
            PassError: the weights are not float32 constants.
        """
        for name in (weight, bias):
            self._keep(name, np.float32)
        return {"name": _layer_name(weight), "weight": weight, "bias": bias}

    def read_steps(self, weight: str, bias: str, scales: str, step: float) -> LayerNames:
        """Keep a layer's int8 weights and return the names.

        Args:
            weight: int8 weights.
            bias: float32 biases.
            scales: factors of the weights, one for each output.
            step: value of one step of the layer's input.

        Raises:
            PassError: they are not constants of these types, or not one factor for each output.
        """
        for name, kind in ((weight, np.int8), (bias, np.float32), (scales, np.float32)):
            self._keep(name, kind)
        if self.constant(scales).shape != self.constant(weight).shape[:1] or not step > 0.0:
            raise PassError(f"the int8 weights {weight} need one factor for each output, and a step above 0")
        return {"name": _layer_name(weight), "weight": weight, "bias": bias, "scales": scales, "step": step}

    def _keep(self, name: str, kind: type) -> None:
        array = self.constant(name)
        if array.dtype != kind:
            raise PassError(f"the weights {name} are {array.dtype}, expected {np.dtype(kind).name}")
        self.arrays[name] = array

    def read_convolution(self, x: str, weight: str, bias: str) -> tuple[str, LayerNames]:
        """Keep the weights of a plain convolution.

        They are float32, or int8 behind quantizers.

        Returns:
            Name of the value that it reads, before the quantizers, and the layer.

        Raises:
            PassError: only one of value and weights is quantized.
        """
        (kind, *found), (given, *stored) = self.fact(x), self.fact(weight)
        if kind == "restored steps" and given == "restored weights":
            return found[0], self.read_steps(stored[0], bias, stored[1], found[1])
        if kind == "restored steps" or given != "constant":
            raise PassError(f"the layer of the weights {weight} quantizes its values or its weights alone")
        return x, self.read_layer(weight, bias)

    def _on_quantizelinear(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        self.facts[node.output[0]] = ("steps", node.input[0], self._read_step(node))

    def _read_step(self, node: onnx.NodeProto) -> float:
        """Return the only step of a quantizer without zero point.

        Raises:
            PassError: it has several, or a zero point.
        """
        scale, zeros = self.constant(node.input[1]), [self.constant(name) for name in node.input[2:]]
        if scale.size != 1 or any(zero.dtype != np.int8 or zero.any() for zero in zeros) or len(zeros) != 1:
            raise PassError(f"{node.op_type} {node.output[0]} has no single step of int8 around zero")
        return float(scale.reshape(-1)[0])

    def _on_dequantizelinear(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        x, fact = node.input[0], self.fact(node.input[0])
        if fact[0] == "constant" and len(node.input) == 2 and attributes["axis"] == 0:
            self.facts[node.output[0]] = ("restored weights", x, node.input[1])
        elif fact[0] == "steps" and self._read_step(node) == fact[2]:
            self.facts[node.output[0]] = ("restored steps", *fact[1:])
        else:
            raise self.refuse(node)

    def change(self, old: str, new: str, **fields: Any) -> None:
        """Change a step, which then makes another value.

        It runs after all steps so far, which is right since nothing has read `old`.
        """
        self.steps[new] = dataclasses.replace(self.steps.pop(old), out=new, **fields)
        self.facts[new] = self.facts[old]

    def sort(self, node: onnx.NodeProto) -> dict[str, str]:
        """Return the inputs of a node by kind."""
        return {self.fact(name)[0]: name for name in node.input}


def _layer_name(weight: str) -> str:
    return weight.removeprefix("model.").removesuffix("_int8").removesuffix(".weight")


def _without_identities(graph: onnx.GraphProto) -> onnx.GraphProto:
    """Copy a graph without Identity nodes before its outputs."""
    copy, shown = onnx.GraphProto(), output_names(graph)
    copy.CopyFrom(graph)
    names = {
        node.input[0]: node.output[0] for node in graph.node if node.op_type == "Identity" and node.output[0] in shown
    }
    del copy.node[:]
    for node in graph.node:
        if node.op_type == "Identity" and node.output[0] in shown:
            continue
        renamed = copy.node.add()
        renamed.CopyFrom(node)
        renamed.input[:] = [names.get(name, name) for name in node.input]
        renamed.output[:] = [names.get(name, name) for name in node.output]
    return copy
