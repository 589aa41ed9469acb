"""Function bodies of forms that take lists of active pixels.

Each is the body of the form without a list, on weights that it unpacks. The list is not read: it says again what the
mask says, and only plugins gain by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from .table import BY_NAME, OUT_SCALE, Operator

_UNPACKED = {"float": [3, 2, 0, 1], "int8": [2, 3, 0, 1]}
"""Order of axes that makes [D',C,k,k] of packed weights, by their type."""


@dataclass(frozen=True)
class ListedBody:
    """Body of a listed form, as `bodies` keeps them."""

    operator: Operator
    base: onnx.FunctionProto
    """Body of the form without a list."""

    def to_function_proto(self) -> onnx.FunctionProto:
        """Make the function."""
        function = onnx.FunctionProto()
        function.CopyFrom(self.base)
        function.name = self.operator.name
        function.input[:] = [part.name for part in self.operator.inputs]
        nodes = [*self._unpack(), *function.node]
        if self.operator.has_input("joined"):
            nodes = _join(nodes)
        if "sum_slope" in self.operator.attributes:
            nodes += _activate(function)
        if self.operator.gives != "float":
            nodes += _quantize(function, keep=self.operator.gives == "both")
        del function.node[:]
        function.node.extend(nodes)
        return function

    def _unpack(self) -> Iterator[onnx.NodeProto]:
        """Make the inputs of the form without a list."""
        if self.operator.has_input("coarse"):
            yield helper.make_node("DepthToSpace", ["coarse"], ["residual"], blocksize=2, mode="DCR")
        if not self.operator.has_input("packed"):
            return
        kind = self.operator.type_of("packed")
        yield helper.make_node("Transpose", ["packed"], ["padded"], perm=_UNPACKED[kind])
        yield helper.make_node("Size", ["bias"], ["outputs"])
        if kind != "int8":
            yield from _take_first("padded", "outputs", "weight", 0)
            return
        yield from _take_first("padded", "outputs", "deep", 0)
        yield helper.make_node("Shape", ["x"], ["sizes"], start=1, end=2)
        yield helper.make_node("Squeeze", ["sizes"], ["channels"])
        yield from _take_first("deep", "channels", "weight", 1)
        yield helper.make_node("Div", ["scale", "x_scale"], ["weight_scale"])


def _take_first(source: str, count: str, target: str, axis: int) -> Iterator[onnx.NodeProto]:
    """Take the first parts of a tensor along an axis.

    They gather, because with a slice nobody could infer how many dimensions the result has.
    """
    yield helper.make_node("Constant", [], [f"{target}_first"], value_int=0)
    yield helper.make_node("Constant", [], [f"{target}_step"], value_int=1)
    yield helper.make_node("Range", [f"{target}_first", count, f"{target}_step"], [f"{target}_places"])
    yield helper.make_node("Gather", [source, f"{target}_places"], [target], axis=axis)


def _activate(function: onnx.FunctionProto) -> list[onnx.NodeProto]:
    """Make the activation of a function's output.

    It maps 0 to 0, so clean pixels stay as they are.
    """
    function.attribute.append("sum_slope")
    (name,) = function.output
    for node in function.node:
        node.output[:] = ["sum" if output == name else output for output in node.output]
    node = helper.make_node("LeakyRelu", ["sum"], [name])
    node.attribute.append(onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name="sum_slope"))
    return [node]


def _quantize(function: onnx.FunctionProto, *, keep: bool) -> list[onnx.NodeProto]:
    """Make the INT8 form of a function's output.

    Args:
        function: the function; it gets the attribute, and the output behind its own or in its place.
        keep: whether it keeps its own output.
    """
    function.attribute.append(OUT_SCALE)
    (name,) = function.output
    function.output[:] = [*[name] * keep, "given"]
    scale = helper.make_node("Constant", [], ["given_step"])
    scale.attribute.append(
        onnx.AttributeProto(name="value_float", type=onnx.AttributeProto.FLOAT, ref_attr_name=OUT_SCALE)
    )
    zero = helper.make_node("Constant", [], ["given_zero"], value=helper.make_tensor("zero", TensorProto.INT8, [], [0]))
    cast = helper.make_node("Cast", [name], ["given_numbers"], to=TensorProto.FLOAT)
    return [
        scale,
        zero,
        cast,
        helper.make_node("QuantizeLinear", ["given_numbers", "given_step", "given_zero"], ["given"]),
    ]


def _join(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Let nodes read joined channels where they read x."""
    for node in nodes:
        node.input[:] = ["whole" if name == "x" else name for name in node.input]
    return [helper.make_node("Concat", ["x", "joined"], ["whole"], axis=1), *nodes]


def make_listed_bodies(bodies: Mapping[str, onnx.FunctionProto]) -> dict[str, ListedBody]:
    """Make the body of each listed form."""
    made: dict[str, ListedBody] = {}
    for name, body in bodies.items():
        listed = BY_NAME.get(BY_NAME[name].listed_form or "")
        names = () if listed is None else (listed.name, listed.coarse_form, listed.joined_form)
        forms = [BY_NAME[form] for form in names if form is not None]
        forms += [BY_NAME[part] for form in forms for part in (form.int8_output_form, form.both_outputs_form) if part]
        made |= {form.name: ListedBody(form, body) for form in forms}
    return made
