"""A graph pass: chains of sparse operators on packed rows of distorted pixels, in standard operators only.

Stock ONNX Runtime then spends its time on distorted pixels alone. Per mask, the positions of the active pixels and
their neighbours' rows are looked up once and shared by all layers; activations stay packed, one row a pixel, from the
first layer of a scale to the last of the network; only the result is written back.

What was tried, on two cores of an AMD EPYC (`benchmarks.packings` repeats the comparison of layers):

- All neighbours gathered at once, one product: the gathered rows leave the cache. In blocks of 1,024 rows (a Scan) a
  layer of 64 channels on 82,000 pixels takes 52 instead of 72 ms, and memory no longer grows with 9 x C x pixels.
  Blocks of 256 to 2,048 rows differ by less than 5 %.
- Groups of pixels by the columns of neighbours that are all clean, whose weights are left out: Net_R on streaks at 10 %
  takes 15 % less, on lone pixels 19 %, on blobs the same.
- Pairs by offset (gather, product, scatter-add for each of the nine neighbours) and active 8x8 tiles through an
  ordinary convolution: one layer of 64 channels on streaks at 2 / 10 / 35 % of 512x512 takes 7 / 34 / 132 ms and
  27 / 99 / 188 ms, rows in blocks 11 / 25 / 77 ms; on blobs 8 / 39 / 138 ms and 6 / 34 / 102 ms against 5 / 23 / 93 ms.
  Pairs win only below some 5 % of thin streaks, where a picture's time is Net_L's; tiles nowhere.
- Maps read value by value against transposed first: see `spair.export.packed.sites.FEW`; both are emitted, and
  density decides.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import onnx
from onnx import helper, numpy_helper

from ..operators.bodies import DOMAIN
from ..passes.graph import channels_of, drop_unused, is_pixel_shuffle, known_shapes
from ..passes.halves import store_halves, widen_halves
from .emit import Emitter
from .layers import CONVOLUTIONS, attend, check_packable, convolve_around, convolve_rows, read_layer
from .quantized import Quantized
from .sites import Sites
from .surroundings import Surroundings


@dataclasses.dataclass(frozen=True)
class Packed:
    """A tensor of the dense graph that lives as rows."""

    rows: str
    """[rows, C] in the order of `Sites`."""
    channels: int
    mask: str
    """The dense graph's name of the mask that the rows belong to."""
    folded: bool = False
    """Each row holds the 2x2 pixels below a coarse one, [rows, 4*C] with the position outermost (pixel shuffle)."""
    elsewhere: str = ""
    """The dense tensor whose values clean pixels have; none means zeros."""
    cleared: bool = True
    """Row 0 holds zeros, as whoever looks at neighbours expects."""

    @property
    def is_plain(self) -> bool:
        """One row a pixel, zeros elsewhere."""
        return not self.folded and not self.elsewhere


@dataclasses.dataclass(frozen=True)
class PackingReport:
    """What the pass changed."""

    modified: bool
    packed: dict[str, int]
    """Operators that now run on rows, by type."""
    written_back: int
    """Tensors scattered back to full size."""


class PackSparse:
    """Rewrites a graph with `spair` operators into packed form.

    Takes calibrated graphs as well: halves are computed as float32 and stored as halves (`spair.export.passes.halves`),
    rows of SparseConv2dInt8 are int8 when its neighbours are gathered.

    Requires: every SparseConv2d has initializers as weights (float32, half or int8) and a square kernel of 1, 3 or 5
    with the padding that keeps the size; no MaskedModulation (its statistics need clean pixels: hand them in, as
    `SPAIR.restore_tile` does).
    Ensures: same inputs and outputs, no node of the domain `spair` left, valid ONNX; results equal to the dense graph's
    up to the order of sums.
    """

    def requires(self, model: onnx.ModelProto) -> None:
        """Raise ValueError, saying which node, unless the graph can be packed."""
        stored = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.domain == DOMAIN and node.op_type in CONVOLUTIONS:
                check_packable(node, stored)
            elif node.domain == DOMAIN and node.op_type != "SparseNonLocal":
                raise ValueError(f"{node.op_type} has no packed form; compute its statistics outside the graph")

    def __call__(self, model: onnx.ModelProto) -> PackingReport:
        """Rewrite in place."""
        halves = widen_halves(model)
        self.requires(model)
        if not any(node.domain == DOMAIN for node in model.graph.node):
            return PackingReport(False, {}, 0)
        report = _Rewrite(model).run()
        if halves:
            store_halves(model)
        self.ensures(model)
        return report

    def ensures(self, model: onnx.ModelProto) -> None:
        """Raise unless the rewritten graph is valid and has no sparse operator left."""
        left = [node.op_type for node in model.graph.node if node.domain == DOMAIN]
        if left:
            raise ValueError(f"packing left {Counter(left)} in the graph")
        onnx.checker.check_model(model, full_check=True)


class _Rewrite:
    """One run of the pass: walks the dense graph in order and emits its packed counterpart."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.shapes = known_shapes(model)
        self.makers = {output: node for node in model.graph.node for output in node.output}
        self.emit = Emitter("packed")
        self.sites: dict[str, Sites] = {}
        self.surroundings: dict[tuple[str, int], Surroundings] = {}
        self.packed: dict[str, Packed] = {}
        self.counts: Counter[str] = Counter()
        self.written: dict[str, str] = {}
        self.quantized = Quantized(model, self.emit)

    def run(self) -> PackingReport:
        """Emit everything, then replace the graph's nodes."""
        for node in list(self.model.graph.node):
            self._visit(node)
        graph = self.model.graph
        for value in graph.output:  # a packed output is written back under its own name
            if value.name in self.packed:
                self.emit.nodes.append(
                    helper.make_node("Identity", [self._dense(value.name)], [value.name], name=f"{value.name}_written")
                )
        del graph.node[:]
        graph.node.extend(self.emit.nodes)
        graph.initializer.extend(self.emit.initializers)
        drop_unused(graph)
        del graph.value_info[:]
        functions = [function for function in self.model.functions if function.domain != DOMAIN]
        del self.model.functions[:]
        self.model.functions.extend(functions)
        kept = [opset for opset in self.model.opset_import if opset.domain != DOMAIN]
        del self.model.opset_import[:]
        self.model.opset_import.extend(kept)
        return PackingReport(True, dict(self.counts), len(self.written))

    def _visit(self, node: onnx.NodeProto) -> None:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
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
        """Write a packed tensor back to [N,C,H,W]; once per tensor."""
        if name not in self.written:
            value = self.packed[name]
            if value.folded:
                raise ValueError(f"{name} is a pixel shuffle that something dense reads; it has no packed form")
            if not value.cleared and not value.elsewhere:
                value = self._cleared(name)
            self.written[name] = self._sites(value.mask).write(value.rows, value.channels, value.elsewhere)
        return self.written[name]

    def _cleared(self, name: str, value: Packed | None = None) -> Packed:
        """A tensor's rows with zeros in row 0, which later readers get too: alone, ONNX Runtime clears in place."""
        value = value or self.packed[name]
        rows = self._sites(value.mask).cleared(value.rows, value.channels)
        self.packed[name] = dataclasses.replace(value, rows=rows, cleared=True)
        return self.packed[name]

    def _sites(self, mask: str) -> Sites:
        if mask not in self.sites:
            self.sites[mask] = Sites(self.emit, mask)
        return self.sites[mask]

    def _convolution(self, node: onnx.NodeProto, attributes: dict) -> Packed:
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
        """What made a dense tensor; None for an input, a constant, or what was written back from rows."""
        if name in self.packed:
            raise ValueError(f"{name} lives as rows, but a clean_input layer reads it")
        return self.makers.get(name)

    def _is_folded_next(self, name: str) -> bool:
        """Whether all that reads a convolution's result is a pixel shuffle with a packed form."""
        readers = [node for node in self.model.graph.node if name in node.input]
        shown = any(value.name == name for value in self.model.graph.output)
        return len(readers) == 1 and not shown and is_pixel_shuffle(readers[0])

    def _rows(self, name: str, mask: str, channels: int) -> Packed:
        """Any tensor as plain rows of `mask`; a pixel shuffle becomes the rows of the finer mask."""
        value = self.packed.get(name)
        if value is None or (value.mask == mask and value.elsewhere):
            dense = name if value is None else self._dense(name)
            return Packed(self._sites(mask).lift(dense, channels), channels, mask)
        if value.mask == mask and value.is_plain:
            return value
        if value.folded and self._is_pooled(mask, value.mask):
            rows = self._sites(value.mask).unfold(value.rows, self._sites(mask), channels)
            return Packed(rows, channels, mask, cleared=value.cleared)
        raise ValueError(f"{name}, rows of the mask {value.mask}, is read under {mask}, which is not its finer mask")

    def _is_pooled(self, fine: str, coarse: str) -> bool:
        maker = self.makers.get(coarse)
        return maker is not None and maker.op_type == "MaxPool" and maker.input[0] == fine

    def _add(self, node: onnx.NodeProto, attributes: dict, inputs: list[Packed | None]) -> Packed | None:
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
        """Whether a dense tensor is known to have a packed one's shape."""
        shape, mask = self.shapes.get(dense, ()), self.shapes.get(value.mask, ())
        return len(shape) == 4 and "" not in shape and shape == (*mask[:1], value.channels, *mask[2:])

    def _multiply(self, node: onnx.NodeProto, attributes: dict, inputs: list[Packed | None]) -> Packed | None:
        """`packed * mask`: a pixel shuffle at the finer mask's pixels, which is what its rows there hold."""
        first, second = inputs
        value, mask = (first, node.input[1]) if first else (second, node.input[0])
        if (first and second) or value is None or value.elsewhere:
            return None
        if not (self._is_pooled(mask, value.mask) if value.folded else mask == value.mask):
            return None
        return self._rows(node.input[0 if first else 1], mask, value.channels // (4 if value.folded else 1))

    def _relu(self, node: onnx.NodeProto, attributes: dict, inputs: list[Packed | None]) -> Packed | None:
        value = inputs[0]
        if value is None or value.elsewhere:
            return None
        return dataclasses.replace(value, rows=self.emit.op("Relu", value.rows))

    def _clip(self, node: onnx.NodeProto, attributes: dict, inputs: list[Packed | None]) -> Packed | None:
        value = inputs[0]
        if value is None or value.folded or not value.elsewhere:
            return None
        limits = node.input[1:]
        rows, elsewhere = (self.emit.op("Clip", name, *limits) for name in (value.rows, value.elsewhere))
        return dataclasses.replace(value, rows=rows, elsewhere=elsewhere)

    def _select(self, node: onnx.NodeProto, attributes: dict, inputs: list[Packed | None]) -> Packed | None:
        """`Where(mask > t, packed, dense)`: the rows, and the dense tensor elsewhere."""
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

    def _shuffle(self, node: onnx.NodeProto, attributes: dict, inputs: list[Packed | None]) -> Packed | None:
        value, source = inputs[0], node.input[0]
        maker = self.makers.get(source)
        if value is None or maker is None or maker.op_type not in CONVOLUTIONS or not self._is_folded_next(source):
            return None
        return dataclasses.replace(value, folded=True)

    def _non_local(self, node: onnx.NodeProto, attributes: dict) -> Packed:
        query, key, value, mask, key_mask = node.input
        width, depth = channels_of(self.shapes, key), channels_of(self.shapes, value)
        if width is None or depth is None:
            raise ValueError(f"SparseNonLocal {node.output[0]} reads {key} and {value}, of unknown channels")
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
"""Standard operators with a packed form, and what emits it."""
