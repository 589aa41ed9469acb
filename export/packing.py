"""A graph pass: chains of sparse operators on packed rows of distorted pixels, in standard operators only.

Stock ONNX Runtime then spends its time on distorted pixels alone. Per mask, the positions of the active pixels and
their neighbours' rows are looked up once and shared by all layers; activations stay packed, one row a pixel, from the
first layer of a scale to the last of the network; only the result is written back.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .emit import Emitter
from .functions import DOMAIN
from .packed_layers import Layer, attend, convolve_around, convolve_rows
from .sites import Sites
from .surroundings import Shape, Surroundings, channels_of


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

    Requires: float32 graph; every SparseConv2d has stride 1, an odd square kernel and initializers as weights; no
    MaskedModulation (its statistics need clean pixels: hand them in, as `SPAIR.restore_tile` does).
    Ensures: same inputs and outputs, no node of the domain `spair` left, valid ONNX; results equal to the dense graph's
    up to the order of sums.
    """

    def requires(self, model: onnx.ModelProto) -> None:
        """Raise ValueError, saying which node, unless the graph can be packed."""
        stored = {tensor.name for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.domain != DOMAIN:
                continue
            if node.op_type not in ("SparseConv2d", "SparseNonLocal"):
                raise ValueError(f"{node.op_type} has no packed form; compute its statistics outside the graph")
            if node.op_type == "SparseConv2d" and not {node.input[2], node.input[3]} <= stored:
                raise ValueError(f"the weights of SparseConv2d {node.output[0]} must be initializers")

    def __call__(self, model: onnx.ModelProto) -> PackingReport:
        """Rewrite in place."""
        self.requires(model)
        report = _Rewrite(model).run()
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
        self.readers = Counter(name for node in model.graph.node for name in node.input)
        self.shapes = _known_shapes(model)
        self.makers = {output: node for node in model.graph.node for output in node.output}
        self.emit = Emitter("packed")
        self.sites: dict[str, Sites] = {}
        self.surroundings: dict[tuple[str, int], Surroundings] = {}
        self.packed: dict[str, Packed] = {}
        self.counts: Counter[str] = Counter()
        self.written: dict[str, str] = {}

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
        _drop_unused(graph)
        del graph.value_info[:]
        del self.model.functions[:]
        kept = [opset for opset in self.model.opset_import if opset.domain != DOMAIN]
        del self.model.opset_import[:]
        self.model.opset_import.extend(kept)
        return PackingReport(bool(self.counts), dict(self.counts), len(self.written))

    def _visit(self, node: onnx.NodeProto) -> None:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        inputs = [self.packed.get(name) for name in node.input]
        result: Packed | None = None
        if node.domain == DOMAIN and node.op_type == "SparseConv2d":
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
        x, mask, weight_name, bias_name = node.input
        weight, bias = self.weights[weight_name], self.weights[bias_name]
        if self._is_folded_next(node.output[0]):
            # The pixel shuffle reads channel c*4 + position; rows keep the position outermost instead.
            order = np.arange(weight.shape[0]).reshape(-1, 4).T.reshape(-1)
            weight, bias = weight[order], bias[order]
        layer = Layer(weight, bias, float(attributes["negative_slope"]))
        if attributes["clean_input"]:
            around = self._around(mask, layer.kernel // 2)
            rows = around.joined(around.rows(x, self._dense_source), layer.weight.shape[1])
            return Packed(convolve_around(around, rows, layer), layer.outputs, mask)
        source = self._unfolded(self.packed.get(x), mask)
        if source is None:
            inputs = layer.weight.shape[1]
            source = Packed(self._sites(mask).lift(x, inputs), inputs, mask)
        if layer.kernel > 1 and not source.cleared:
            source = self._cleared(x, source)
        rows = convolve_rows(self._sites(mask), source.rows, layer)
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
        return self.readers[name] == 1 and any(
            node.op_type == "DepthToSpace" and name in node.input for node in self.model.graph.node
        )

    def _unfolded(self, value: Packed | None, mask: str) -> Packed | None:
        """The value as plain rows of `mask`; a pixel shuffle becomes the rows of the finer mask."""
        if value is None or (value.mask == mask and value.is_plain):
            return value
        if value.folded and self._is_pooled(mask, value.mask):
            channels = value.channels // 4
            rows = self._sites(value.mask).unfold(value.rows, self._sites(mask), channels)
            return Packed(rows, channels, mask, cleared=value.cleared)
        raise ValueError(f"rows of the mask {value.mask} are read under {mask}, which is not its finer mask")

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
        picked = self._sites(value.mask).pick(dense, value.channels)
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
        return self._unfolded(value, mask)

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
        if maker.op_type != "Greater" or maker.input[0] != value.mask or not self._fits(dense, value):
            return None
        return dataclasses.replace(value, elsewhere=dense)

    def _concatenation(self, node: onnx.NodeProto, attributes: dict, inputs: list[Packed | None]) -> Packed | None:
        plain = [value.mask for value in inputs if value and value.is_plain]
        if attributes.get("axis") != 1 or not plain or any(value is None or value.elsewhere for value in inputs):
            return None
        values = [self._unfolded(value, plain[0]) for value in inputs]
        rows = self.emit.op("Concat", *(value.rows for value in values if value), axis=1)
        cleared = all(value.cleared for value in values if value)
        return Packed(rows, sum(value.channels for value in values if value), plain[0], cleared=cleared)

    def _shuffle(self, node: onnx.NodeProto, attributes: dict, inputs: list[Packed | None]) -> Packed | None:
        value = inputs[0]
        if value is None or not value.is_plain or attributes["blocksize"] != 2:
            return None
        return dataclasses.replace(value, folded=True)

    def _non_local(self, node: onnx.NodeProto, attributes: dict) -> Packed:
        query, key, value, mask, key_mask = node.input
        source = self._unfolded(self.packed.get(query), mask)
        if source is None:
            raise ValueError(f"SparseNonLocal {node.output[0]} has dense queries; they must come from a SparseConv2d")
        depth = channels_of(self.shapes, value)
        if depth is None:
            raise ValueError(f"SparseNonLocal {node.output[0]} reads values {value} of unknown channels")
        clean = (key, value, key_mask)
        rows = attend(self._sites(mask), source.rows, clean, (source.channels, depth), attributes["scale"])
        return Packed(rows, depth, mask)


_ON_ROWS = {
    "Add": "_add",
    "Clip": "_clip",
    "Concat": "_concatenation",
    "DepthToSpace": "_shuffle",
    "Mul": "_multiply",
    "Relu": "_relu",
    "Where": "_select",
}
"""Standard operators with a packed form, and what emits it."""


def _known_shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """What shape inference finds, inputs and constants included."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info):
        dims = value.type.tensor_type.shape.dim
        shapes[value.name] = tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in dims)
    return shapes


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and initializers that no output needs."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input) | _read_inside(node)
            kept.append(node)
    stored = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:]
    graph.node.extend(reversed(kept))
    del graph.initializer[:]
    graph.initializer.extend(stored)


def _read_inside(node: onnx.NodeProto) -> set[str]:
    """Tensors that the bodies of a node read; names are unique, so those of the body itself do no harm."""
    bodies = [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
    return {name for body in bodies for inner in body.node for name in (*inner.input, *_read_inside(inner))}
