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

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ...export.operators.bodies import DOMAIN, add_function_bodies
from ...export.passes.graph import drop_unused
from .assignment import FULL, HALF, Assignment, NodeKinds, stays_float
from .layers import Use, layer_name, uses_of, weight_of
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
class Conversion:
    """What the pass did."""

    casts: int
    """Between FP32 and FP16."""
    cast_bytes: int
    """Bytes those move on one picture of 64x64."""
    quantized: int
    """Nodes that compute from int8."""
    quantizers: int
    """QuantizeLinear nodes: an activation that several layers read with one scale has one."""


class ConvertPrecision:
    """Rewrites a float32 graph to a plan, in place.

    Requires: an FP32 graph without quantized nodes; a scale for every use of an int8 layer.
    Ensures: the same inputs and outputs, float32; valid ONNX; every type stated, none mixed.
    """

    def __init__(self, plan: PrecisionPlan, part: str, *, twin: bool = False) -> None:
        """`part`: which graph of the bundle it is; `twin`: float32 with rounding instead of halves."""
        self.plan, self.part, self.twin = plan, part, twin

    def __call__(self, model: onnx.ModelProto) -> Conversion:
        """Rewrite in place."""
        uses = {use.node: use for use in uses_of(model)}
        assignment = Assignment(model, self.plan, self.plan.full.get(self.part, frozenset()))
        writer = _Writer(model, self.plan, self.twin, uses, assignment.solve(), assignment.floats)
        conversion = writer.run()
        self.ensures(model)
        return conversion

    def ensures(self, model: onnx.ModelProto) -> None:
        """Raise if the rewritten graph is not valid ONNX or has other inputs and outputs than float32 ones."""
        onnx.checker.check_model(model, full_check=True)
        for value in (*model.graph.input, *model.graph.output):
            if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
                raise ValueError(f"{value.name} of the converted graph is a half, expected float32 outside")


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
        self.stored = {tensor.name: tensor for tensor in model.graph.initializer}
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
        del graph.node[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend(self.constants.values())
        drop_unused(graph)
        del graph.value_info[:]
        self._finish_functions()
        return Conversion(self.kinds.casts, self.kinds.cast_bytes, self.quantized, self.quantizers)

    def _finish_functions(self) -> None:
        model = self.model
        others = [function for function in model.functions if function.domain != DOMAIN]
        del model.functions[:]
        model.functions.extend(others)
        if self.quantized:
            for opset in model.opset_import:
                opset.version = opset.version if opset.domain else max(opset.version, OPSET)
        add_function_bodies(model)

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
        self.nodes.append(helper.make_node("Cast", [inner], [name], name=f"{name}_cast", to=TensorProto.FLOAT))

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
        self.nodes.append(helper.make_node("Cast", [source], [half], name=half, to=TensorProto.FLOAT16))
        self.nodes.append(helper.make_node("Cast", [half], [target], name=f"{target}_rounded", to=TensorProto.FLOAT))

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
                to = TensorProto.FLOAT16 if kind == HALF else TensorProto.FLOAT
                self.nodes.append(helper.make_node("Cast", [name], [target], name=target, to=to))
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
        axis = channel_axis(node.op_type, any(a.name == "transB" and a.i for a in node.attribute))
        what = self.plan.quantize
        values = quantize_weights(numpy_helper.to_array(self.stored[weight]), axis)
        if node.domain == DOMAIN and what == "both":
            self._quantize_sparse(copy, use, kind, weight, values)
            return
        if what != "activations":
            copy.input[place] = self._scaled_weights(weight, values, kind)
        if what != "weights":
            source = self._steps(copy.input[0], use, kind)
            copy.input[0] = self._scaled(source, use, kind)

    def _quantize_sparse(
        self, copy: onnx.NodeProto, use: Use, kind: int, weight: str, values: QuantizedWeights
    ) -> None:
        copy.op_type = "SparseConv2dInt8"
        copy.input[0] = self._steps(copy.input[0], use, kind)
        copy.input[2] = self._constant(f"{weight}_int8", values.values)
        copy.input.extend([self._scale(use, FULL), self._constant(f"{weight}_scale", values.scales)])

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
            self.nodes.append(helper.make_node("QuantizeLinear", [source, scale, zero], [name], name=name))
            self.quantizers += 1
        return self.made[key]

    def _scaled(self, steps: str, use: Use, kind: int) -> str:
        scale = self._scale(use, kind)
        key = (steps, scale, "float")
        if key not in self.made:
            self.made[key] = name = self._fresh(f"{steps}dq")
            zero = self._constant("zero_int8", np.array(0, np.int8))
            self.nodes.append(helper.make_node("DequantizeLinear", [steps, scale, zero], [name], name=name))
        return self.made[key]

    def _scaled_weights(self, weight: str, values: QuantizedWeights, kind: int) -> str:
        half = kind == HALF and not self.twin
        key = (weight, kind, "weights")
        if key not in self.made:
            self.made[key] = name = f"{layer_name(weight)}_scaled{'_half' if half else ''}"
            steps = self._constant(f"{weight}_int8", values.values)
            scales = values.scales.astype(np.float16) if half else values.scales
            scale = self._constant(f"{weight}_scale{'_half' if half else ''}", scales)
            self.nodes.append(helper.make_node("DequantizeLinear", [steps, scale], [name], name=name, axis=values.axis))
        return self.made[key]


def convert(
    model: onnx.ModelProto, plan: PrecisionPlan, part: str, *, twin: bool = False
) -> tuple[onnx.ModelProto, Conversion]:
    """Convert a copy of a graph to a plan's precisions."""
    converted = copy.deepcopy(model)
    conversion = ConvertPrecision(plan, part, twin=twin)(converted)
    return converted, conversion
