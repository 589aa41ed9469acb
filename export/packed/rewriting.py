"""Rewriting of a dense graph into its packed form."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import onnx
from onnx import numpy_helper

from ..operators.bodies import remove_function_bodies
from ..operators.table import DOMAIN
from ..passes.base import PassError, PassResult
from ..passes.graph import (
    attributes_of,
    channels_of,
    drop_unused,
    is_pixel_shuffle,
    known_shapes,
    make_node,
    makers_of,
    output_names,
    readers_of,
    replace_nodes,
)
from .emit import Emitter
from .layers import CONVOLUTIONS, attend, convolve_around, convolve_rows, read_layer
from .quantized import Quantized
from .sites import Sites
from .surroundings import Surroundings

Attributes = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Packed:
    """Tensor of the dense graph that lives as rows."""

    rows: str
    """Name of the rows [rows, C], in the order of `Sites`."""
    channels: int
    mask: str
    """Name, in the dense graph, of the mask that the rows belong to."""
    folded: bool = False
    """Whether each row holds the 2x2 pixels below a coarse one, [rows, 4*C] with the position outermost, as a pixel
    shuffle makes them."""
    elsewhere: str = ""
    """Name of the dense tensor that has the values of clean pixels. Empty: they are zeros."""
    cleared: bool = True
    """Whether row 0 holds zeros, which layers that read neighbours expect."""

    @property
    def is_plain(self) -> bool:
        """Whether each pixel has one row, and clean pixels zeros."""
        return not self.folded and not self.elsewhere


@dataclasses.dataclass(frozen=True)
class PackingReport(PassResult):
    """Report of the packing."""

    packed: dict[str, int] = dataclasses.field(default_factory=dict)
    """Number of operators that now run on rows, by type."""
    written_back: int = 0
    """Number of tensors written back to full size."""


class Rewriting:
    """Walk through a dense graph that emits the packed graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.shapes = known_shapes(model)
        self.makers, self.readers = makers_of(model.graph), readers_of(model.graph)
        self.outputs = output_names(model.graph)
        self.emit = Emitter("packed")
        self.sites: dict[str, Sites] = {}
        self.surroundings: dict[tuple[str, int], Surroundings] = {}
        self.packed: dict[str, Packed] = {}
        self.counts: Counter[str] = Counter()
        self.written: dict[str, str] = {}
        self.quantized = Quantized(model, self.emit)

    def run(self) -> PackingReport:
        """Emit the packed graph and replace the dense one."""
        for node in list(self.model.graph.node):
            self._visit(node)
        graph = self.model.graph
        for value in graph.output:  # a packed output is written back under its own name
            if value.name in self.packed:
                self.emit.nodes.append(
                    make_node("Identity", [self._dense(value.name)], value.name, f"{value.name}_written")
                )
        replace_nodes(graph, self.emit.nodes)
        graph.initializer.extend(self.emit.initializers)
        drop_unused(graph)
        del graph.value_info[:]
        remove_function_bodies(self.model)
        kept = [opset for opset in self.model.opset_import if opset.domain != DOMAIN]
        del self.model.opset_import[:]
        self.model.opset_import.extend(kept)
        return PackingReport(True, dict(self.counts), len(self.written))

    def _visit(self, node: onnx.NodeProto) -> None:
        attributes = attributes_of(node)
        inputs = [self.packed.get(name) for name in node.input]
        result: Packed | None = None
        if self.quantized.is_for_rows(node):
            return
        if node.domain == DOMAIN and node.op_type in CONVOLUTIONS:
            result = self._convolution(node, attributes)
        elif node.domain == DOMAIN:
            result = self._non_local(node, attributes)
        elif node.op_type in _ON_ROWS and any(inputs):
            result = getattr(self, _ON_ROWS[node.op_type])(node, attributes, inputs)
        if result is None:
            self.emit.nodes.append(self._with_dense_inputs(node))
            return
        self.packed[node.output[0]] = result
        self.counts[node.op_type] += 1

    def _with_dense_inputs(self, node: onnx.NodeProto) -> onnx.NodeProto:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [self._dense(name) if name in self.packed else name for name in node.input]
        return copy

    def _dense(self, name: str) -> str:
        """Write a packed tensor back to [N,C,H,W].

        Each tensor is written back once.

        Raises:
            PassError: the tensor is a pixel shuffle.
        """
        if name not in self.written:
            value = self.packed[name]
            if value.folded:
                raise PassError(f"{name} is a pixel shuffle that something dense reads; it has no packed form")
            if not value.cleared and not value.elsewhere:
                value = self._cleared(name)
            self.written[name] = self._sites(value.mask).write(value.rows, value.channels, value.elsewhere)
        return self.written[name]

    def _cleared(self, name: str, value: Packed | None = None) -> Packed:
        """Set row 0 of a tensor to zeros.

        Later readers get the cleared rows too. ONNX Runtime clears in place where the tensor has no other reader.
        """
        value = value or self.packed[name]
        rows = self._sites(value.mask).cleared(value.rows, value.channels)
        self.packed[name] = dataclasses.replace(value, rows=rows, cleared=True)
        return self.packed[name]

    def _sites(self, mask: str) -> Sites:
        if mask not in self.sites:
            self.sites[mask] = Sites(self.emit, mask)
        return self.sites[mask]

    def _convolution(self, node: onnx.NodeProto, attributes: Attributes) -> Packed:
        x, mask = self.quantized.source(node.input[0]), node.input[1]
        layer = read_layer(node, self.weights, attributes["negative_slope"])
        if self._is_folded_next(node.output[0]):
            layer = layer.with_position_outermost()
        if attributes["clean_input"]:
            around = self._around(mask, layer.kernel // 2)
            rows = around.joined(around.rows(x, self._dense_source), layer.weight.shape[1])
            return Packed(convolve_around(around, self.quantized.rows(rows, layer), layer), layer.outputs, mask)
        source = self._rows(x, mask, layer.weight.shape[1])
        if layer.kernel > 1 and not source.cleared:
            source = self._cleared(x, source)
        rows = convolve_rows(self._sites(mask), self.quantized.rows(source.rows, layer), layer)
        return Packed(rows, layer.outputs, mask, cleared=layer.kernel > 1)

    def _around(self, mask: str, radius: int) -> Surroundings:
        key = (mask, radius)
        if key not in self.surroundings:
            self.surroundings[key] = Surroundings(self._sites(mask), radius, self.shapes)
        return self.surroundings[key]

    def _dense_source(self, name: str) -> onnx.NodeProto | None:
        """Return the node that made a dense tensor.

        It is None for an input or a constant.

        Raises:
            PassError: the tensor lives as rows.
        """
        if name in self.packed:
            raise PassError(f"{name} lives as rows, but a clean_input layer reads it")
        return self.makers.get(name)

    def _is_folded_next(self, name: str) -> bool:
        """Return whether only a pixel shuffle reads a result.

        It must be a shuffle with a packed form.
        """
        readers = self.readers.get(name, [])
        return len(readers) == 1 and name not in self.outputs and is_pixel_shuffle(readers[0])

    def _rows(self, name: str, mask: str, channels: int) -> Packed:
        """Return a tensor as plain rows of a mask.

        A pixel shuffle becomes rows of the finer mask.

        Raises:
            PassError: the tensor lives as rows of another mask.
        """
        value = self.packed.get(name)
        if value is None or (value.mask == mask and value.elsewhere):
            dense = name if value is None else self._dense(name)
            return Packed(self._sites(mask).lift(dense, channels), channels, mask)
        if value.mask == mask and value.is_plain:
            return value
        if value.folded and self._is_pooled(mask, value.mask):
            rows = self._sites(value.mask).unfold(value.rows, self._sites(mask), channels)
            return Packed(rows, channels, mask, cleared=value.cleared)
        raise PassError(f"{name}, rows of the mask {value.mask}, is read under {mask}, which is not its finer mask")

    def _is_pooled(self, fine: str, coarse: str) -> bool:
        maker = self.makers.get(coarse)
        return maker is not None and maker.op_type == "MaxPool" and maker.input[0] == fine

    def _add(self, node: onnx.NodeProto, attributes: Attributes, inputs: Sequence[Packed | None]) -> Packed | None:
        first, second = inputs
        if first and second:
            if not (first.is_plain and second.is_plain and first.mask == second.mask):
                return None
            rows = self.emit.op("Add", first.rows, second.rows)
            return dataclasses.replace(first, rows=rows, cleared=first.cleared and second.cleared)
        value, dense = (first, node.input[1]) if first else (second, node.input[0])
        assert value is not None
        if not value.is_plain or not self._fits(dense, value):
            return None
        picked = self._sites(value.mask).lift(dense, value.channels)
        return dataclasses.replace(value, rows=self.emit.op("Add", value.rows, picked), elsewhere=dense)

    def _fits(self, dense: str, value: Packed) -> bool:
        """Return whether a dense tensor has a packed one's shape."""
        shape, mask = self.shapes.get(dense, ()), self.shapes.get(value.mask, ())
        return len(shape) == 4 and "" not in shape and shape == (*mask[:1], value.channels, *mask[2:])

    def _multiply(self, node: onnx.NodeProto, attributes: Attributes, inputs: Sequence[Packed | None]) -> Packed | None:
        """Emit `packed * mask`.

        The product changes no row of the mask, and the rows of a pixel shuffle become rows of the finer mask.
        """
        first, second = inputs
        value, mask = (first, node.input[1]) if first else (second, node.input[0])
        if (first and second) or value is None or value.elsewhere:
            return None
        if not (self._is_pooled(mask, value.mask) if value.folded else mask == value.mask):
            return None
        return self._rows(node.input[0 if first else 1], mask, value.channels // (4 if value.folded else 1))

    def _relu(self, node: onnx.NodeProto, attributes: Attributes, inputs: Sequence[Packed | None]) -> Packed | None:
        value = inputs[0]
        if value is None or value.elsewhere:
            return None
        return dataclasses.replace(value, rows=self.emit.op("Relu", value.rows))

    def _clip(self, node: onnx.NodeProto, attributes: Attributes, inputs: Sequence[Packed | None]) -> Packed | None:
        value = inputs[0]
        if value is None or value.folded or not value.elsewhere:
            return None
        limits = node.input[1:]
        rows, elsewhere = (self.emit.op("Clip", name, *limits) for name in (value.rows, value.elsewhere))
        return dataclasses.replace(value, rows=rows, elsewhere=elsewhere)

    def _select(self, node: onnx.NodeProto, attributes: Attributes, inputs: Sequence[Packed | None]) -> Packed | None:
        """Emit `Where(mask > t, packed, dense)`.

        The result has the packed rows, and the dense tensor's values elsewhere.
        """
        condition, _, dense = node.input
        value, maker = inputs[1], self.makers.get(condition)
        if value is None or value.folded or inputs[2] or maker is None:
            return None
        threshold = self.weights.get(maker.input[1]) if maker.op_type == "Greater" else None
        if threshold is None or not 0.0 <= float(threshold.max()) < 1.0:
            return None
        if maker.input[0] != value.mask or not self._fits(dense, value):
            return None
        return dataclasses.replace(value, elsewhere=dense)

    def _shuffle(self, node: onnx.NodeProto, attributes: Attributes, inputs: Sequence[Packed | None]) -> Packed | None:
        value, source = inputs[0], node.input[0]
        maker = self.makers.get(source)
        if value is None or maker is None or maker.op_type not in CONVOLUTIONS or not self._is_folded_next(source):
            return None
        return dataclasses.replace(value, folded=True)

    def _non_local(self, node: onnx.NodeProto, attributes: Attributes) -> Packed:
        query, key, value, mask, key_mask = node.input
        width, depth = channels_of(self.shapes, key), channels_of(self.shapes, value)
        if width is None or depth is None:
            raise PassError(f"SparseNonLocal {node.output[0]} reads {key} and {value}, whose channels are unknown")
        queries = self._rows(query, mask, width).rows
        rows = attend(self._sites(mask), queries, (key, value, key_mask), (width, depth), attributes["scale"])
        return Packed(rows, depth, mask)


_ON_ROWS = {
    "Add": "_add",
    "Clip": "_clip",
    "DepthToSpace": "_shuffle",
    "Mul": "_multiply",
    "Relu": "_relu",
    "Where": "_select",
}
"""Method that emits the packed form, for each standard operator that has one."""
