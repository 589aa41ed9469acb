"""Pass that makes a whole network take and give bytes."""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .base import GraphPass, PassError, PassResult
from .graph import make_cast, make_node, makers_of, readers_of, replace_nodes

PICTURES = ("image", "restored")
"""Names of the input and of the output that are pictures."""
MASK = "mask"
"""Name of the output that is a mask."""
TOTAL, DENSITY = "total", "density"
"""Names of the output that the pass adds, for pictures of pixels and of planes."""
Layout = Literal["pixels", "planes"]
"""Order of a picture's bytes: the colours of a pixel side by side, or one plane for each colour."""
_PREFIX = "pixels_"


class TakePixels(GraphPass[PassResult]):
    """Pass that moves a picture's conversion into the graph.

    A picture of bytes is a quarter as large as one of float32, so a device copies less, and the host converts nothing.
    In the layout "pixels" a picture lies as decoders and encoders have it, in the layout "planes" as the served
    contract has it (see `spair.export.served.graph`).

    Before: input "image" [N,3,H,W] and output "restored" [N,3,H,W], float32 0..1; output "mask" [N,1,H,W], float32 0 or
    1. After, with pixels: "image" and "restored" [N,H,W,3], uint8; "mask" [N,H,W], uint8 0 or 1. With planes the shapes
    are those of before. A value v becomes the byte nearest to 255 v, or the even one of two that are equally near,
    after v is limited to 0..1. A byte stands right behind an input and before an output only, because TensorRT knows no
    layer but a Cast that takes or gives bytes.

    No byte can say that a value is not finite, so there is a further output. With pixels it is "total" [N], float32,
    the sum of the magnitudes of all values of "restored", which is finite only if all of them are. With planes it is
    "density" [N], float32, the share of the mask that is 1, and NaN where that sum is not finite.

    Requires: no other inputs and outputs.
    Ensures: equal results, up to the rounding to bytes.
    """

    def __init__(self, layout: Layout = "pixels") -> None:
        """Set the order of the bytes."""
        self._layout = layout

    @property
    def _added(self) -> str:
        """Name of the output that the pass adds."""
        return TOTAL if self._layout == "pixels" else DENSITY

    def requires(self, model: onnx.ModelProto) -> None:
        """Raise PassError unless the graph is a whole network."""
        graph = model.graph
        found = [value.name for value in (*graph.input, *graph.output) if value.name != self._added]
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
        if self._layout == "pixels":
            before, behind = _read_pixels(inner["image"]), _write_pixels(inner)
        else:
            before, behind = _read_planes(inner["image"]), _write_planes(inner)
        replace_nodes(graph, [*before, *graph.node, *behind])
        read = {name for node in (*before, *behind) for name in node.input}
        graph.initializer.extend(tensor for tensor in _list_constants() if tensor.name in read)
        for value in (*graph.input, *graph.output):
            _retype(value, self._layout)
        batch = graph.input[0].type.tensor_type.shape.dim[0].dim_param or None
        graph.output.append(helper.make_tensor_value_info(self._added, TensorProto.FLOAT, [batch]))
        for info in [info for info in graph.value_info if info.name in inner]:
            graph.value_info.remove(info)
        return PassResult(True)

    def expect_outside(self, before: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """Return all names as bytes, and the added output."""
        return [*((name, TensorProto.UINT8) for name, _ in before), (self._added, TensorProto.FLOAT)]

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


def _list_constants() -> list[onnx.TensorProto]:
    """Make the constants that the nodes of both layouts read."""
    values = (
        ("most", 255.0, np.float32),
        ("none", 0.0, np.float32),
        ("plane", [1], np.int64),
        ("picture", [1, 2, 3], np.int64),
        ("largest", np.finfo(np.float32).max, np.float32),
        ("unknown", np.nan, np.float32),
    )
    return [numpy_helper.from_array(np.asarray(value, dtype), f"{_PREFIX}{name}") for name, value, dtype in values]


def _read_pixels(target: str) -> list[onnx.NodeProto]:
    """Make the nodes from bytes [N,H,W,3] to values [N,3,H,W]."""
    return [
        make_cast("image", f"{_PREFIX}image_cast", TensorProto.FLOAT),
        make_node("Transpose", [f"{_PREFIX}image_cast"], f"{_PREFIX}image_planes", perm=[0, 3, 1, 2]),
        make_node("Div", [f"{_PREFIX}image_planes", f"{_PREFIX}most"], target),
    ]


def _read_planes(target: str) -> list[onnx.NodeProto]:
    """Make the nodes from bytes [N,3,H,W] to values [N,3,H,W]."""
    return [
        make_cast("image", f"{_PREFIX}image_cast", TensorProto.FLOAT),
        make_node("Div", [f"{_PREFIX}image_cast", f"{_PREFIX}most"], target),
    ]


def _write_pixels(inner: dict[str, str]) -> list[onnx.NodeProto]:
    """Make the nodes from values [N,C,H,W] to bytes [N,H,W,C]."""
    return [
        *_sum_magnitudes(inner["restored"], TOTAL),
        *_round_values(inner["restored"]),
        make_node("Transpose", [f"{_PREFIX}restored_rounded"], f"{_PREFIX}restored_pixels", perm=[0, 2, 3, 1]),
        make_cast(f"{_PREFIX}restored_pixels", "restored", TensorProto.UINT8, f"{_PREFIX}restored"),
        make_node("Squeeze", [inner[MASK], f"{_PREFIX}plane"], f"{_PREFIX}mask_plane"),
        make_cast(f"{_PREFIX}mask_plane", MASK, TensorProto.UINT8, f"{_PREFIX}mask"),
    ]


def _write_planes(inner: dict[str, str]) -> list[onnx.NodeProto]:
    """Make the nodes from values [N,C,H,W] to bytes [N,C,H,W]."""
    return [
        *_sum_magnitudes(inner["restored"], f"{_PREFIX}total"),
        # A comparison, because a builder may take 0 times a value for 0. It is false for NaN.
        make_node("Less", [f"{_PREFIX}total", f"{_PREFIX}largest"], f"{_PREFIX}is_finite"),
        make_node("ReduceMean", [inner[MASK], f"{_PREFIX}picture"], f"{_PREFIX}share", keepdims=0),
        make_node("Where", [f"{_PREFIX}is_finite", f"{_PREFIX}share", f"{_PREFIX}unknown"], DENSITY),
        *_round_values(inner["restored"]),
        make_cast(f"{_PREFIX}restored_rounded", "restored", TensorProto.UINT8, f"{_PREFIX}restored"),
        make_cast(inner[MASK], MASK, TensorProto.UINT8, f"{_PREFIX}mask"),
    ]


def _sum_magnitudes(values: str, target: str) -> list[onnx.NodeProto]:
    """Make the nodes from values [N,C,H,W] to sums [N]."""
    return [
        make_node("Abs", [values], f"{_PREFIX}restored_magnitudes"),
        make_node("ReduceSum", [f"{_PREFIX}restored_magnitudes", f"{_PREFIX}picture"], target, keepdims=0),
    ]


def _round_values(values: str) -> list[onnx.NodeProto]:
    """Make the nodes from values 0..1 to whole numbers 0..255."""
    return [
        make_node("Mul", [values, f"{_PREFIX}most"], f"{_PREFIX}restored_scaled"),
        make_node(
            "Clip",
            [f"{_PREFIX}restored_scaled", f"{_PREFIX}none", f"{_PREFIX}most"],
            f"{_PREFIX}restored_limited",
        ),
        make_node("Round", [f"{_PREFIX}restored_limited"], f"{_PREFIX}restored_rounded"),
    ]


def _retype(value: onnx.ValueInfoProto, layout: Layout) -> None:
    """Give an input or output its new type and shape."""
    batch, channels, height, width = (
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
        for dim in value.type.tensor_type.shape.dim
    )
    shape = [batch, channels, height, width]
    if layout == "pixels":
        shape = [batch, height, width] if value.name == MASK else [batch, height, width, channels]
    value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.UINT8, shape))
