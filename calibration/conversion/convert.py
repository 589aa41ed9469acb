"""Graph pass that writes the precisions of a plan.

It turns an FP32 graph into a strongly typed graph, or into its float32 twin. The twin computes in float32 and rounds to
halves after each node that would compute in halves. ONNX Runtime's CPU provider has no half kernels on x86 and keeps
float32 between the casts that it inserts, so a typed graph gives better results there than on any GPU. The twin gives
the results of a GPU that sums in FP32.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from ...export.operators.bodies import renew_function_bodies
from ...export.operators.table import BY_NAME, Operator
from ...export.passes.base import GraphPass, PassError, PassResult
from ...export.passes.graph import (
    attribute_of,
    drop_unused,
    initializers_of,
    make_cast,
    make_node,
    operator_of,
    replace_nodes,
)
from .assignment import FULL, HALF, Assignment, NodeKinds, stays_float
from .layers import Use, is_quantized, layer_name, uses_of, weight_of
from .plan import PrecisionPlan
from .weights import QuantizedWeights, channel_axis, quantize_weights

OPSET = 19
"""Opset of graphs with QuantizeLinear; the first that takes halves and the last that TensorRT 10.3 reads in full."""
EXACT = frozenset(
    {"Relu", "MaxPool", "Concat", "Slice", "Split", "Reshape", "Transpose", "DepthToSpace", "SpaceToDepth", "Gather"}
    | {"Identity", "Squeeze", "Unsqueeze", "Pad", "Expand", "Flatten", "Tile", "Neg", "Abs", "Cast", "Where"}
)
"""Operators whose result is a half if their inputs are halves; the twin does not round after them."""


@dataclasses.dataclass(frozen=True)
class Conversion(PassResult):
    """Report of a conversion."""

    casts: int = 0
    """Number of casts between FP32 and FP16."""
    cast_bytes: int = 0
    """Bytes that the casts move on one picture of 64x64."""
    quantized: int = 0
    """Number of nodes that compute from int8."""
    quantizers: int = 0
    """Number of QuantizeLinear nodes; an activation that several layers read with one scale has one."""

    def counts(self) -> dict[str, int]:
        """Return the counts that a manifest keeps."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "modified"}


class ConvertPrecision(GraphPass[Conversion]):
    """Pass that writes a plan's precisions into a graph.

    Requires: an FP32 graph without quantized values and halves, and a scale for every use of an int8 layer.
    Ensures: the same inputs and outputs, float32; every type is stated, and no node mixes types.
    """

    infers_types: ClassVar[bool] = True

    def __init__(self, plan: PrecisionPlan, part: str, *, twin: bool = False) -> None:
        """Set what to write.

        Args:
            plan: precision of every layer.
            part: name of the graph in the bundle.
            twin: compute in float32 with rounding, instead of halves.
        """
        self.plan, self.part, self.twin = plan, part, twin

    def requires(self, model: onnx.ModelProto) -> None:
        """Raise PassError for a converted graph or a missing scale."""
        if is_quantized(model):
            raise PassError("it holds quantized or half values already, expected an FP32 graph")
        for value in (*model.graph.input, *model.graph.output):
            if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
                raise PassError(f"{value.name} is a half, expected float32 inputs and outputs")
        if self.plan.quantize == "weights":
            return
        for use in uses_of(model):
            if self.plan.of(use.layer) == "int8" and use.key not in self.plan.scales:
                raise PassError(f"the plan has no scale for use {use.index} of the int8 layer {use.layer}")

    def rewrite(self, model: onnx.ModelProto) -> Conversion:
        """Write the plan's precisions."""
        uses = {use.node: use for use in uses_of(model)}
        assignment = Assignment(model, self.plan, self.plan.full.get(self.part, frozenset()))
        return _Writer(model, self.plan, self.twin, uses, assignment.solve(), assignment.floats).run()


class _Writer:
    """One run of the pass."""

    def __init__(
        self,
        model: onnx.ModelProto,
        plan: PrecisionPlan,
        twin: bool,
        uses: Mapping[str, Use],
        kinds: NodeKinds,
        floats: set[str],
    ) -> None:
        self.model, self.plan, self.twin, self.uses, self.kinds, self.floats = model, plan, twin, uses, kinds, floats
        self.stored = initializers_of(model.graph)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.made: dict[object, str] = {}
        self.taken = {name for node in model.graph.node for name in (*node.input, *node.output)} | {*self.stored}
        self.quantized = self.quantizers = 0

    def run(self) -> Conversion:
        graph = self.model.graph
        for index, node in enumerate(graph.node):
            self._write(node, self.kinds.nodes.get(index, FULL))
        for value in graph.output:
            if self.kinds.tensors.get(value.name) == HALF and not self.twin:
                self._rename_output(value.name)
        replace_nodes(graph, self.nodes)
        graph.initializer.extend(self.constants.values())
        drop_unused(graph)
        del graph.value_info[:]
        self._finish_functions()
        return Conversion(True, self.kinds.casts, self.kinds.cast_bytes, self.quantized, self.quantizers)

    def _finish_functions(self) -> None:
        if self.quantized:
            for opset in self.model.opset_import:
                opset.version = opset.version if opset.domain else max(opset.version, OPSET)
        renew_function_bodies(self.model)

    def _rename_output(self, name: str) -> None:
        """Give an output that is a half its float32 form.

        The half gets another name, and its float32 form gets the name of the output.
        """
        inner = f"{name}_half"
        for node in self.nodes:
            node.input[:] = [inner if given == name else given for given in node.input]
            node.output[:] = [inner if given == name else given for given in node.output]
        cast = self.made.get((name, FULL))
        if cast is not None:  # a node inside the graph reads the float32 form already
            for node in self.nodes:
                node.input[:] = [name if given == cast else given for given in node.input]
                node.output[:] = [name if given == cast else given for given in node.output]
            return
        self.nodes.append(make_cast(inner, name, TensorProto.FLOAT, f"{name}_cast"))

    def _write(self, node: onnx.NodeProto, kind: int) -> None:
        use = self.uses.get(node.output[0])
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [
            name if stays_float(node, place) else self._as_kind(name, kind) for place, name in enumerate(node.input)
        ]
        if use is not None and self.plan.of(use.layer) == "int8":
            self._quantize(copy, node, use, kind)
        if kind == HALF and not self.twin:
            for attribute in copy.attribute:
                if copy.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                    attribute.i = TensorProto.FLOAT16
        if kind == HALF and self.twin and node.op_type not in EXACT:
            self._write_rounded(copy)
        else:
            self.nodes.append(copy)

    def _write_rounded(self, node: onnx.NodeProto) -> None:
        names = list(node.output)
        node.output[:] = [f"{name}_exact" if name in self.floats else name for name in names]
        self.nodes.append(node)
        for name in names:
            if name in self.floats:
                self._round(f"{name}_exact", name)

    def _round(self, source: str, target: str) -> None:
        half = f"{target}_rounding"
        self.nodes.append(make_cast(source, half, TensorProto.FLOAT16))
        self.nodes.append(make_cast(half, target, TensorProto.FLOAT, f"{target}_rounded"))

    def _as_kind(self, name: str, kind: int) -> str:
        """Return a tensor in the type of a node."""
        if name not in self.floats:
            return name
        if name in self.stored:
            return self._half_constant(name) if kind == HALF else name
        made = self.kinds.tensors.get(name, FULL)
        if made == kind or (self.twin and kind == FULL):
            return name
        key = (name, kind)
        if key not in self.made:
            self.made[key] = target = f"{name}_as_{'half' if kind == HALF else 'float'}"
            if self.twin:
                self._round(name, target)
            else:
                self.nodes.append(make_cast(name, target, TensorProto.FLOAT16 if kind == HALF else TensorProto.FLOAT))
        return self.made[key]

    def _half_constant(self, name: str) -> str:
        with np.errstate(over="ignore"):
            halves = numpy_helper.to_array(self.stored[name]).astype(np.float16)
        return self._constant(f"{name}_half", halves.astype(np.float32) if self.twin else halves)

    def _constant(self, name: str, values: np.ndarray, key: object = None) -> str:
        """Add a constant and return its name in the graph.

        It is made once for each key, which is the name by default.
        """
        key = ("constant", name, key)
        if key not in self.made:
            self.made[key] = fresh = self._fresh(name)
            self.constants[fresh] = numpy_helper.from_array(values, fresh)
        return self.made[key]

    def _quantize(self, copy: onnx.NodeProto, node: onnx.NodeProto, use: Use, kind: int) -> None:
        """Feed a layer's node int8 values."""
        self.quantized += 1
        weight = weight_of(node, self.stored)
        assert weight is not None
        place = list(node.input).index(weight)
        axis = channel_axis(node.op_type, bool(attribute_of(node, "transB")))
        what = self.plan.quantize
        values = quantize_weights(numpy_helper.to_array(self.stored[weight]), axis)
        operator = operator_of(node)
        if operator is not None and what == "both":
            self._quantize_sparse(copy, operator, use, kind, weight, values)
            return
        if what != "activations":
            copy.input[place] = self._scaled_weights(weight, values, kind)
        if what != "weights":
            source = self._steps(copy.input[0], use, kind)
            copy.input[0] = self._scaled(source, use, kind)

    def _quantize_sparse(
        self, copy: onnx.NodeProto, operator: Operator, use: Use, kind: int, weight: str, values: QuantizedWeights
    ) -> None:
        """Give a sparse convolution its INT8 form."""
        form = BY_NAME[operator.int8_form or ""]
        source = self._steps(copy.input[operator.position("x")], use, kind)
        given = {
            **{part.name: copy.input[place] for place, part in enumerate(operator.inputs)},
            "x": source,
            "weight": self._constant(f"{weight}_int8", values.values),
            "x_scale": self._scale(use, FULL),
            "weight_scale": self._constant(f"{weight}_scale", values.scales),
        }
        copy.op_type = form.name
        copy.input[:] = [given[part.name] for part in form.inputs]

    def _fresh(self, name: str) -> str:
        """Return a free name, with a number if needed.

        Names are short, because they take a fifth of the INT8 file of a small unrolled network.
        """
        number, free = 1, name
        while free in self.taken:
            number, free = number + 1, f"{name}{number}"
        self.taken.add(free)
        return free

    def _scale(self, use: Use, kind: int) -> str:
        """Return the scale of an activation in its float type."""
        value, half = self.plan.scales[use.key], kind == HALF and not self.twin
        return self._constant("scale", np.array(value, np.float16 if half else np.float32), key=(value, half))

    def _steps(self, source: str, use: Use, kind: int) -> str:
        """Return an activation as int8.

        All nodes that read it with one scale share one QuantizeLinear node.
        """
        scale = self._scale(use, kind)
        key = (source, scale, "int8")
        if key not in self.made:
            self.made[key] = name = self._fresh(f"{source}_q")
            zero = self._constant("zero_int8", np.array(0, np.int8))
            self.nodes.append(make_node("QuantizeLinear", [source, scale, zero], name))
            self.quantizers += 1
        return self.made[key]

    def _scaled(self, steps: str, use: Use, kind: int) -> str:
        scale = self._scale(use, kind)
        key = (steps, scale, "float")
        if key not in self.made:
            self.made[key] = name = self._fresh(f"{steps}dq")
            zero = self._constant("zero_int8", np.array(0, np.int8))
            self.nodes.append(make_node("DequantizeLinear", [steps, scale, zero], name))
        return self.made[key]

    def _scaled_weights(self, weight: str, values: QuantizedWeights, kind: int) -> str:
        half = kind == HALF and not self.twin
        key = (weight, kind, "weights")
        if key not in self.made:
            self.made[key] = name = f"{layer_name(weight)}_scaled{'_half' if half else ''}"
            steps = self._constant(f"{weight}_int8", values.values)
            scales = values.scales.astype(np.float16) if half else values.scales
            scale = self._constant(f"{weight}_scale{'_half' if half else ''}", scales)
            self.nodes.append(make_node("DequantizeLinear", [steps, scale], name, axis=values.axis))
        return self.made[key]


def convert(
    model: onnx.ModelProto, plan: PrecisionPlan, part: str, *, twin: bool = False
) -> tuple[onnx.ModelProto, Conversion]:
    """Convert a copy of a graph to a plan's precisions."""
    converted = copy.deepcopy(model)
    conversion = ConvertPrecision(plan, part, twin=twin)(converted)
    return converted, conversion
