"""The layers of a packed graph: convolutions and attention on rows, a block of rows at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto

from .emit import Emitter
from .sites import Sites
from .surroundings import Surroundings


@dataclasses.dataclass(frozen=True)
class PackedLayer:
    """A convolution with its activation."""

    weight: np.ndarray
    """[D,C,k,k] float32, or int8 where there are scales."""
    bias: np.ndarray
    """[D] float32."""
    negative_slope: float
    """Of the activation: 0 is ReLU, 1 is none."""
    weight_scale: np.ndarray | None = None
    """[D] float32: what int8 weights are multiplied by; None: they are float32, and so are the rows."""
    input_scale: float = 1.0
    """With int8 weights: what the int8 rows are multiplied by."""

    @property
    def outputs(self) -> int:
        """Channels of the result."""
        return self.weight.shape[0]

    @property
    def kernel(self) -> int:
        """Side of the kernel, odd."""
        return self.weight.shape[2]

    def with_position_outermost(self) -> PackedLayer:
        """For a pixel shuffle by 2, which reads channel c*4 + position: outputs in the order position, then c."""
        order = np.arange(self.outputs).reshape(-1, 4).T.reshape(-1)
        scale = None if self.weight_scale is None else self.weight_scale[order]
        return dataclasses.replace(self, weight=self.weight[order], bias=self.bias[order], weight_scale=scale)

    def apply(self, emit: Emitter, values: str, columns: range) -> str:
        """values [n, k*columns*C] -> [n, D]; columns of the kernel count from its centre."""
        # [D,C,k,k] -> [k*k*C, D]: by kernel column, then row, then channel, so that fewer columns are a slice.
        matrix = emit.const(self.weight.transpose(3, 2, 1, 0).reshape(-1, self.outputs), self.weight.dtype)
        height, radius = self.kernel * self.weight.shape[1], self.kernel // 2
        if len(columns) < self.kernel:
            ends = [emit.const([(column + radius) * height]) for column in (columns.start, columns.stop)]
            with emit.outermost():  # ONNX Runtime slices constants once, when it loads the graph
                matrix = emit.op("Slice", matrix, *ends, emit.const([0]))
        if self.weight_scale is not None:
            # Scaled back before the product: on x86 without VNNI ONNX Runtime's integer product takes twice as long as
            # the float32 one, which with int8 rows to gather takes 0.85 to 0.91 of its time with float32 rows.
            with emit.outermost():
                matrix = emit.op("DequantizeLinear", matrix, emit.const(self.weight_scale, np.float32), axis=1)
            values = emit.op("DequantizeLinear", values, emit.const(self.input_scale, np.float32))
        rows = emit.op("Gemm", values, matrix, emit.const(self.bias, np.float32))
        if self.negative_slope == 0.0:
            return emit.op("Relu", rows)
        return rows if self.negative_slope == 1.0 else emit.op("LeakyRelu", rows, alpha=self.negative_slope)


def convolve_rows(sites: Sites, rows: str, layer: PackedLayer) -> str:
    """Rows [rows, C] -> [rows, D]: clean neighbours count as zeros. With a kernel of 1, row 0 is not kept zero."""
    kernel = layer.kernel
    if kernel == 1:
        return layer.apply(sites.emit, rows, range(1))
    tables = [(sites.neighbours(group, kernel), group.columns(kernel)) for group in sites.groups()]
    return _convolve_blocks(sites, rows, layer, tables)


def convolve_around(around: Surroundings, rows: str, layer: PackedLayer) -> str:
    """Rows of active pixels and their surroundings [wide rows, C] -> rows of active pixels [rows, D]."""
    sites, radius = around.sites, layer.kernel // 2
    columns = range(-radius, radius + 1)
    tables = [(sites.table(group, around.row_map(), columns, layer.kernel), columns) for group in sites.groups()]
    return _convolve_blocks(sites, rows, layer, tables)


def _convolve_blocks(sites: Sites, rows: str, layer: PackedLayer, tables: Sequence[tuple[str, range]]) -> str:
    """One block of neighbours at a time, for each group its table and the columns of the kernel that it holds."""
    emit, parts = sites.emit, []
    for table, columns in tables:
        width = layer.kernel * len(columns) * layer.weight.shape[1]

        def block(numbers: str, columns: range = columns, width: int = width) -> str:
            near = emit.op("Reshape", emit.op("Gather", rows, numbers), emit.const([-1, width]))
            return layer.apply(emit, near, columns)

        parts.append(emit.scan([(table, TensorProto.INT32, 2)], block))
    return sites.joined(parts, layer.outputs)


def attend(sites: Sites, queries: str, clean: tuple[str, str, str], channels: tuple[int, int], scale: float) -> str:
    """Softmax attention of rows to the clean keys of their own image; see `spair.network.operators`.

    Args:
        sites: of the queries.
        queries: [rows, C].
        clean: keys [N,C,K,L], values [N,D,K,L] and key mask [N,1,K,L].
        channels: C and D.
        scale: factor of the scores.

    Returns:
        [rows, D]; a block of queries at a time, so memory grows with neither rows x keys nor the picture.
    """
    emit = sites.emit
    key, value, key_mask = clean
    width, depth = channels
    # Keys of all images side by side; a query may look at its own image's only.
    keys = emit.op("Reshape", emit.op("Transpose", key, perm=[1, 0, 2, 3]), emit.const([width, -1]))  # [C, N*J]
    values = emit.op("Transpose", value, perm=[0, 2, 3, 1])
    values = emit.op("Reshape", values, emit.const([-1, depth]))  # [N*J, D]
    usable_keys = _usable_keys(sites, key_mask)
    one, barred = emit.const(1.0, np.float32), emit.const(1e4, np.float32)

    def block(query: str, place: str) -> str:
        usable = emit.op("Gather", usable_keys, sites.image_of(place))  # [n, N*J]
        scores = emit.op("Mul", emit.op("MatMul", query, keys), emit.const(scale, np.float32))
        held = emit.op("Add", emit.op("Mul", scores, usable), emit.op("Mul", emit.op("Sub", usable, one), barred))
        weights = emit.op("Mul", emit.op("Softmax", held, axis=-1), usable)
        return emit.op("MatMul", weights, values)

    parts = []
    for part, group in zip(sites.parts(queries, width), sites.groups(), strict=True):
        places = sites.blocked(group.place, group)
        parts.append(emit.scan([(part, TensorProto.FLOAT, 2), (places, TensorProto.INT64, 1)], block))
    return sites.joined(parts, depth)


def _usable_keys(sites: Sites, key_mask: str) -> str:
    """key_mask [N,1,K,L] -> [N, N*K*L] float32: 1 where a key is clean and of the image."""
    emit = sites.emit
    flat = emit.op("Reshape", key_mask, emit.const([0, -1]))  # [N,J]
    count = emit.op("Squeeze", sites.side(0), emit.const([0]))
    images = emit.op("Range", emit.const(0), count, emit.const(1))
    down, across = (emit.op("Unsqueeze", images, emit.const([axis])) for axis in (1, 0))
    same = emit.op("Unsqueeze", emit.op("Cast", emit.op("Equal", down, across), to=TensorProto.FLOAT), emit.const([2]))
    table = emit.op("Mul", same, emit.op("Unsqueeze", flat, emit.const([0])))  # [N,N,J]
    return emit.op("Reshape", table, emit.op("Concat", sites.side(0), emit.const([-1]), axis=0))


CONVOLUTIONS = ("SparseConv2d", "SparseConv2dInt8")


WEIGHT_TYPES = {"SparseConv2d": TensorProto.FLOAT, "SparseConv2dInt8": TensorProto.INT8}


def check_packable(node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> None:
    """Raise ValueError, saying why, unless a convolution has a packed form."""
    what = f"{node.op_type} {node.output[0]}"
    if not set(node.input[2:]) <= stored.keys():
        raise ValueError(f"the weights of {what} must be initializers")
    weight = stored[node.input[2]]
    if weight.data_type != WEIGHT_TYPES[node.op_type]:
        raise ValueError(
            f"{what} has weights of type {weight.data_type}; only float32 and, with scales, int8 can be packed"
        )
    kernel, pads = list(weight.dims[2:]), next(list(a.ints) for a in node.attribute if a.name == "pads")
    if kernel[0] not in (1, 3, 5) or kernel != kernel[:1] * 2 or pads != [kernel[0] // 2] * 4:
        raise ValueError(
            f"{what} has a kernel of {kernel} and pads of {pads}; only 1x1, 3x3 and 5x5 that keep the size"
        )


def read_layer(node: onnx.NodeProto, stored: Mapping[str, np.ndarray], negative_slope: float) -> PackedLayer:
    """The layer of a convolution that `check_packable` let pass."""
    weight, bias = stored[node.input[2]], stored[node.input[3]]
    if node.op_type == "SparseConv2d":
        return PackedLayer(weight, bias, float(negative_slope))
    input_scale, weight_scale = stored[node.input[4]], stored[node.input[5]]
    return PackedLayer(weight, bias, float(negative_slope), weight_scale, float(input_scale))
