"""Pass that makes a whole network take and give bytes."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .base import GraphPass, PassError, PassResult
from .graph import make_cast, make_node, makers_of, readers_of, replace_nodes

PICTURES = ("image", "restored")
"""Names of the input and of the output that are pictures."""
MASK = "mask"
"""Name of the output that is a mask."""
TOTAL = "total"
"""Name of the output that the pass adds."""
_PREFIX = "pixels_"


class TakePixels(GraphPass[PassResult]):
    """Pass that moves a picture's conversion into the graph.

    A picture of bytes is a quarter as large as one of float32, so a device copies less, and the host converts nothing.
    The pixels of a picture lie as decoders and encoders have them: the colours of a pixel side by side.

    Before: input "image" [N,3,H,W] and output "restored" [N,3,H,W], float32 0..1; output "mask" [N,1,H,W], float32 0 or
    1. After: "image" and "restored" [N,H,W,3], uint8; "mask" [N,H,W], uint8 0 or 1. A value v becomes the byte nearest
    to 255 v, or the even one of two that are equally near, after v is limited to 0..1. A byte stands right behind an
    input and before an output only, because TensorRT knows no layer but a Cast that takes or gives bytes. No byte can
    say that a value is not finite, so there is a further output "total" [N], float32, the sum of the magnitudes of all
    values of "restored": it is finite only if all of them are.

    Requires: no other inputs and outputs.
    Ensures: equal results, up to the rounding to bytes.
    """

    def requires(self, model: onnx.ModelProto) -> None:
        """Raise PassError unless the graph is a whole network."""
        graph = model.graph
        found = [value.name for value in (*graph.input, *graph.output) if value.name != TOTAL]
        if sorted(found) != sorted((*PICTURES, MASK)):
            raise PassError(f"its inputs and outputs are {', '.join(found)}, expected image, restored and mask")
        if _takes_bytes(graph):
            return
        for value in (*graph.input, *graph.output):
            kind, rank = value.type.tensor_type.elem_type, len(value.type.tensor_type.shape.dim)
            if kind != TensorProto.FLOAT or rank != 4:
                raise PassError(
                    f"{value.name} is {TensorProto.DataType.Name(kind)} with {rank} dimensions, expected FLOAT with 4"
                )
        taken = [name for node in graph.node for name in node.output if name.startswith(_PREFIX)]
        if taken:
            raise PassError(f"it has a tensor {taken[0]}; names that begin with {_PREFIX} are for the pass")

    def rewrite(self, model: onnx.ModelProto) -> PassResult:
        """Put the conversions before and behind the graph's nodes."""
        graph = model.graph
        if _takes_bytes(graph):
            return PassResult(False)
        inner = {name: f"{_PREFIX}{name}_values" for name in (*PICTURES, MASK)}
        for node in graph.node:
            for names in (node.input, node.output):
                names[:] = [inner.get(name, name) for name in names]
        replace_nodes(graph, [*_read_picture(inner["image"]), *graph.node, *_write_results(inner)])
        graph.initializer.extend(
            numpy_helper.from_array(np.asarray(value, dtype), f"{_PREFIX}{name}")
            for name, value, dtype in (
                ("most", 255.0, np.float32),
                ("none", 0.0, np.float32),
                ("plane", [1], np.int64),
                ("picture", [1, 2, 3], np.int64),
            )
        )
        for value in (*graph.input, *graph.output):
            _retype(value)
        batch = graph.input[0].type.tensor_type.shape.dim[0].dim_param or None
        graph.output.append(helper.make_tensor_value_info(TOTAL, TensorProto.FLOAT, [batch]))
        for info in [info for info in graph.value_info if info.name in inner]:
            graph.value_info.remove(info)
        return PassResult(True)

    def expect_outside(self, before: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """Return the names of before as bytes, and the total."""
        return [*((name, TensorProto.UINT8) for name, _ in before), (TOTAL, TensorProto.FLOAT)]

    def ensures(self, model: onnx.ModelProto) -> None:
        """Raise PassError unless bytes stand beside casts alone."""
        graph = model.graph
        makers, readers = makers_of(graph), readers_of(graph)
        beside = [*readers["image"], makers["restored"], makers[MASK]]
        other = next((node for node in beside if node.op_type != "Cast"), None)
        if other is not None:
            raise PassError(f"{other.op_type} {other.output[0]} takes or gives bytes, expected a Cast")


def _takes_bytes(graph: onnx.GraphProto) -> bool:
    return all(value.type.tensor_type.elem_type == TensorProto.UINT8 for value in graph.input)


def _read_picture(target: str) -> list[onnx.NodeProto]:
    """Make the nodes from bytes [N,H,W,3] to values [N,3,H,W]."""
    return [
        make_cast("image", f"{_PREFIX}image_cast", TensorProto.FLOAT),
        make_node("Transpose", [f"{_PREFIX}image_cast"], f"{_PREFIX}image_planes", perm=[0, 3, 1, 2]),
        make_node("Div", [f"{_PREFIX}image_planes", f"{_PREFIX}most"], target),
    ]


def _write_results(inner: dict[str, str]) -> list[onnx.NodeProto]:
    """Make the nodes from values [N,C,H,W] to bytes."""
    return [
        make_node("Abs", [inner["restored"]], f"{_PREFIX}restored_magnitudes"),
        make_node("ReduceSum", [f"{_PREFIX}restored_magnitudes", f"{_PREFIX}picture"], TOTAL, keepdims=0),
        make_node("Mul", [inner["restored"], f"{_PREFIX}most"], f"{_PREFIX}restored_scaled"),
        make_node(
            "Clip",
            [f"{_PREFIX}restored_scaled", f"{_PREFIX}none", f"{_PREFIX}most"],
            f"{_PREFIX}restored_limited",
        ),
        make_node("Round", [f"{_PREFIX}restored_limited"], f"{_PREFIX}restored_rounded"),
        make_node("Transpose", [f"{_PREFIX}restored_rounded"], f"{_PREFIX}restored_pixels", perm=[0, 2, 3, 1]),
        make_cast(f"{_PREFIX}restored_pixels", "restored", TensorProto.UINT8, f"{_PREFIX}restored"),
        make_node("Squeeze", [inner[MASK], f"{_PREFIX}plane"], f"{_PREFIX}mask_plane"),
        make_cast(f"{_PREFIX}mask_plane", MASK, TensorProto.UINT8, f"{_PREFIX}mask"),
    ]


def _retype(value: onnx.ValueInfoProto) -> None:
    """Give an input or output its new type and shape."""
    batch, channels, height, width = (
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
        for dim in value.type.tensor_type.shape.dim
    )
    shape = [batch, height, width] if value.name == MASK else [batch, height, width, channels]
    value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.UINT8, shape))
