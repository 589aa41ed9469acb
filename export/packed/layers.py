"""Convolutions and attention on packed rows.

Both take a block of rows at a time, so that gathered values stay in the cache.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto

from ..operators.table import BY_NAME, OPERATORS
from ..passes.base import PassError
from ..passes.graph import attribute_of
from .emit import Emitter
from .sites import Sites
from .surroundings import Surroundings

CONVOLUTIONS = tuple(part.name for part in OPERATORS if part.family == "SparseConv2d" and part.in_bundles)
"""Names of the convolutions that can be packed."""
WEIGHT_TYPES = {"float": (TensorProto.FLOAT, TensorProto.FLOAT16), "int8": (TensorProto.INT8,)}
"""ONNX types of weights that can be packed, by the type that the operator's table states. Halves are widened first."""
KERNELS = (1, 3, 5)
"""Sides of square kernels that can be packed, in pixels."""


@dataclasses.dataclass(frozen=True)
class PackedLayer:
    """A convolution with its activation."""

    weight: np.ndarray
    """Weights [D,C,k,k], float32, or int8 where there are scales."""
    bias: np.ndarray
    """Biases [D], float32."""
    negative_slope: float
    """Slope of the activation below zero; 0 is ReLU, and 1 leaves values as they are."""
    weight_scale: np.ndarray | None = None
    """Factors [D] of the int8 weights, float32. None: weights and rows are float32."""
    input_scale: float = 1.0
    """Factor of the int8 rows; it has an effect with int8 weights only."""

    @property
    def outputs(self) -> int:
        """Number of channels of the result."""
        return self.weight.shape[0]

    @property
    def kernel(self) -> int:
        """Side of the kernel in pixels, odd."""
        return self.weight.shape[2]

    def with_position_outermost(self) -> PackedLayer:
        """Order the output channels for a pixel shuffle by 2.

        The shuffle reads channel c * 4 + position. In the new order channels of one position lie side by side.
        """
        order = np.arange(self.outputs).reshape(-1, 4).T.reshape(-1)
        scale = None if self.weight_scale is None else self.weight_scale[order]
        return dataclasses.replace(self, weight=self.weight[order], bias=self.bias[order], weight_scale=scale)

    def apply(self, emit: Emitter, values: str, columns: range) -> str:
        """Emit the product with the weights and the activation.

        Args:
            emit: emitter of the packed graph.
            values: rows of neighbours [n, k*columns*C].
            columns: columns of the kernel that the rows hold, counted from its centre.

        Returns:
            [n, D].
        """
        # [D,C,k,k] -> [k*k*C, D]: by kernel column, then row, then channel, so that fewer columns are a slice.
        matrix = emit.const(self.weight.transpose(3, 2, 1, 0).reshape(-1, self.outputs), self.weight.dtype)
        height, radius = self.kernel * self.weight.shape[1], self.kernel // 2
        if len(columns) < self.kernel:
            ends = [emit.const([(column + radius) * height]) for column in (columns.start, columns.stop)]
            with emit.outermost():  # ONNX Runtime slices constants once, when it loads the graph
                matrix = emit.op("Slice", matrix, *ends, emit.const([0]))
        if self.weight_scale is not None:
            # The values are scaled back before the product. On x86 without VNNI ONNX Runtime's integer product takes
            # twice as long as the float32 one, and gathering int8 rows makes the float32 product take 0.85 to 0.91 of
            # its time with float32 rows.
            with emit.outermost():
                matrix = emit.op("DequantizeLinear", matrix, emit.const(self.weight_scale, np.float32), axis=1)
            values = emit.op("DequantizeLinear", values, emit.const(self.input_scale, np.float32))
        rows = emit.op("Gemm", values, matrix, emit.const(self.bias, np.float32))
        if self.negative_slope == 0.0:
            return emit.op("Relu", rows)
        return rows if self.negative_slope == 1.0 else emit.op("LeakyRelu", rows, alpha=self.negative_slope)


def convolve_rows(sites: Sites, rows: str, layer: PackedLayer) -> str:
    """Emit a convolution that counts clean neighbours as zeros.

    Rows [rows, C] become [rows, D]. With a kernel of 1, row 0 does not stay zero.
    """
    kernel = layer.kernel
    if kernel == 1:
        return layer.apply(sites.emit, rows, range(1))
    tables = [(sites.neighbours(group, kernel), group.columns(kernel)) for group in sites.groups()]
    return _convolve_blocks(sites, rows, layer, tables)


def convolve_around(around: Surroundings, rows: str, layer: PackedLayer) -> str:
    """Emit a convolution that reads clean neighbours.

    Rows of active pixels and their surroundings [wide rows, C] become rows of active pixels [rows, D].
    """
    sites, radius = around.sites, layer.kernel // 2
    columns = range(-radius, radius + 1)
    tables = [(sites.table(group, around.row_map(), columns, layer.kernel), columns) for group in sites.groups()]
    return _convolve_blocks(sites, rows, layer, tables)


def _convolve_blocks(sites: Sites, rows: str, layer: PackedLayer, tables: Sequence[tuple[str, range]]) -> str:
    """Emit a convolution block by block.

    `tables` has, for each group, its table of neighbours and the columns of the kernel that the table holds.
    """
    emit, parts = sites.emit, []
    for table, columns in tables:
        width = layer.kernel * len(columns) * layer.weight.shape[1]

        def block(numbers: str, columns: range = columns, width: int = width) -> str:
            near = emit.op("Reshape", emit.op("Gather", rows, numbers), emit.const([-1, width]))
            return layer.apply(emit, near, columns)

        parts.append(emit.scan([(table, TensorProto.INT32, 2)], block))
    return sites.joined(parts, layer.outputs)


def attend(sites: Sites, queries: str, clean: tuple[str, str, str], channels: tuple[int, int], scale: float) -> str:
    """Emit attention of rows to their image's clean keys.

    The definition is in `spair.network.operators`. A block of queries is computed at a time, so memory grows neither
    with rows x keys nor with the picture.

    Args:
        sites: active pixels of the queries' mask.
        queries: [rows, C].
        clean: keys [N,C,K,L], values [N,D,K,L] and key mask [N,1,K,L].
        channels: C and D.
        scale: factor of the scores.

    Returns:
        [rows, D].
    """
    emit = sites.emit
    key, value, key_mask = clean
    width, depth = channels
    # Keys of all images lie side by side; a query may look at the keys of its own image only.
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
    """Emit a table of each image's usable keys.

    From key_mask [N,1,K,L] it makes [N, N*K*L] float32, 1 where a key is clean and of the same image.
    """
    emit = sites.emit
    flat = emit.op("Reshape", key_mask, emit.const([0, -1]))  # [N,J]
    count = emit.op("Squeeze", sites.side(0), emit.const([0]))
    images = emit.op("Range", emit.const(0), count, emit.const(1))
    down, across = (emit.op("Unsqueeze", images, emit.const([axis])) for axis in (1, 0))
    same = emit.op("Unsqueeze", emit.op("Cast", emit.op("Equal", down, across), to=TensorProto.FLOAT), emit.const([2]))
    table = emit.op("Mul", same, emit.op("Unsqueeze", flat, emit.const([0])))  # [N,N,J]
    return emit.op("Reshape", table, emit.op("Concat", sites.side(0), emit.const([-1]), axis=0))


def check_packable(node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> None:
    """Raise PassError unless a convolution's node has a packed form.

    Args:
        node: a node of one of CONVOLUTIONS.
        stored: the graph's initializers by name.
    """
    what, operator = f"{node.op_type} {node.output[0]}", BY_NAME[node.op_type]
    if not {node.input[place] for place in operator.positions_of("weight")} <= stored.keys():
        raise PassError(f"the weights of {what} must be initializers")
    weight = stored[node.input[operator.position("weight")]]
    if weight.data_type not in WEIGHT_TYPES[operator.type_of("weight")]:
        raise PassError(
            f"{what} has weights of type {weight.data_type}; only float32, halves and, with scales, int8 can be packed"
        )
    kernel, pads = list(weight.dims[2:]), attribute_of(node, "pads")
    if kernel[0] not in KERNELS or kernel != kernel[:1] * 2 or pads != [kernel[0] // 2] * 4:
        raise PassError(f"{what} has a kernel of {kernel} and pads of {pads}; only 1x1, 3x3 and 5x5 that keep the size")


def read_layer(node: onnx.NodeProto, stored: Mapping[str, np.ndarray], negative_slope: float) -> PackedLayer:
    """Return the layer of a packable convolution's node."""
    operator = BY_NAME[node.op_type]

    def value(name: str) -> np.ndarray:
        return stored[node.input[operator.position(name)]]

    if not operator.has_input("weight_scale"):
        return PackedLayer(value("weight"), value("bias"), float(negative_slope))
    return PackedLayer(
        value("weight"), value("bias"), float(negative_slope), value("weight_scale"), float(value("x_scale"))
    )
