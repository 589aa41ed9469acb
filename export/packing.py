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
from .sites import Sites


@dataclasses.dataclass(frozen=True)
class Packed:
    """A tensor of the dense graph that lives as rows."""

    rows: str
    """[n, C], row i the features at the mask's i-th active pixel."""
    mask: str
    """The dense graph's name of the mask that the rows belong to."""
    folded: bool = False
    """Each row holds the 2x2 pixels below a coarse one, [n, 4*C] with the position outermost (pixel shuffle)."""


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
        self.makers = {output: node for node in model.graph.node for output in node.output}
        self.emit = Emitter("packed")
        self.sites: dict[str, Sites] = {}
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
        elif node.op_type == "Add" and _share_mask(inputs):
            rows = [value.rows for value in inputs if value]
            result = Packed(self.emit.op("Add", *rows), inputs[0].mask)  # type: ignore[union-attr]
        elif node.op_type == "Concat" and attributes.get("axis") == 1:
            result = self._concatenation(inputs)
        elif node.op_type == "DepthToSpace" and inputs[0] and attributes["blocksize"] == 2:
            result = dataclasses.replace(inputs[0], folded=True)
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
        """Write a packed tensor back to [N,C,H,W], zeros at clean pixels; once per tensor."""
        if name not in self.written:
            value = self.packed[name]
            if value.folded:
                raise ValueError(f"{name} is a pixel shuffle that something dense reads; it has no packed form")
            self.written[name] = self._sites(value.mask).scatter(value.rows)
        return self.written[name]

    def _sites(self, mask: str) -> Sites:
        if mask not in self.sites:
            self.sites[mask] = Sites(self.emit, mask)
        return self.sites[mask]

    def _convolution(self, node: onnx.NodeProto, attributes: dict) -> Packed:
        x, mask, weight_name, bias_name = node.input
        weight, sites = self.weights[weight_name], self._sites(mask)
        kernel, source = weight.shape[2], self._unfolded(self.packed.get(x), mask)
        if source is None or attributes["clean_input"]:
            columns = sites.neighbours_of_map(x if x not in self.packed else self._dense(x), kernel, weight.shape[1])
            if not attributes["clean_input"]:
                raise ValueError(f"SparseConv2d {node.output[0]} reads a dense tensor; only clean_input layers may")
        elif kernel == 1:
            columns = source.rows
        else:
            columns = sites.neighbours_of_rows(source.rows, kernel, weight.shape[1])
        # [D,C,k,k] -> [k*k*C, D]: a column is ordered by neighbour, then channel.
        matrix = weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0])
        bias = self.weights[bias_name]
        if self._is_folded_next(node.output[0]):
            # The pixel shuffle reads channel c*4 + position; rows keep the position outermost instead.
            order = np.arange(weight.shape[0]).reshape(-1, 4).T.reshape(-1)
            matrix, bias = matrix[:, order], bias[order]
        emit = self.emit
        rows = emit.op("Gemm", columns, emit.const(matrix, np.float32), emit.const(bias, np.float32))
        slope = attributes["negative_slope"]
        if slope == 0.0:
            rows = emit.op("Relu", rows)
        elif slope != 1.0:
            rows = emit.op("LeakyRelu", rows, alpha=slope)
        return Packed(rows, mask)

    def _is_folded_next(self, name: str) -> bool:
        return self.readers[name] == 1 and any(
            node.op_type == "DepthToSpace" and name in node.input for node in self.model.graph.node
        )

    def _unfolded(self, value: Packed | None, mask: str) -> Packed | None:
        """The value as rows of `mask`; a pixel shuffle becomes the rows of the finer mask."""
        if value is None or (value.mask == mask and not value.folded):
            return value
        if value.folded and self._is_pooled(mask, value.mask):
            return Packed(self._sites(value.mask).unfold(value.rows, self._sites(mask)), mask)
        raise ValueError(f"rows of the mask {value.mask} are read under {mask}, which is not its finer mask")

    def _is_pooled(self, fine: str, coarse: str) -> bool:
        maker = self.makers.get(coarse)
        return maker is not None and maker.op_type == "MaxPool" and maker.input[0] == fine

    def _concatenation(self, inputs: list[Packed | None]) -> Packed | None:
        plain = [value.mask for value in inputs if value and not value.folded]
        if not plain or any(value is None for value in inputs):
            return None
        rows = [self._unfolded(value, plain[0]).rows for value in inputs]  # type: ignore[union-attr]
        return Packed(self.emit.op("Concat", *rows, axis=1), plain[0])

    def _non_local(self, node: onnx.NodeProto, attributes: dict) -> Packed:
        query, key, value, mask, key_mask = node.input
        source = self._unfolded(self.packed.get(query), mask)
        if source is None:
            raise ValueError(f"SparseNonLocal {node.output[0]} has dense queries; they must come from a SparseConv2d")
        emit, sites = self.emit, self._sites(mask)
        # Keys of all images side by side; a query may look at its own image's only.
        keys = emit.op("Reshape", emit.op("Transpose", key, perm=[1, 0, 2, 3]), emit.const([0, -1]))  # [C, N*J]
        values = emit.op("Transpose", value, perm=[0, 2, 3, 1])
        channels = emit.op("Shape", value, start=1, end=2)
        values = emit.op("Reshape", values, emit.op("Concat", emit.const([-1]), channels, axis=0))  # [N*J, D]
        usable = sites.own_image(key_mask)  # [n, N*J], 1 where the query may look
        scores = emit.op("Mul", emit.op("MatMul", source.rows, keys), emit.const(attributes["scale"], np.float32))
        blocked = emit.op("Mul", emit.op("Sub", usable, emit.const(1.0, np.float32)), emit.const(1e4, np.float32))
        weights = emit.op("Softmax", emit.op("Add", emit.op("Mul", scores, usable), blocked), axis=-1)
        return Packed(emit.op("MatMul", emit.op("Mul", weights, usable), values), mask)


def _share_mask(values: list[Packed | None]) -> bool:
    return all(value is not None and not value.folded for value in values) and (
        len({value.mask for value in values if value}) == 1
    )


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and initializers that no output needs."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    stored = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:]
    graph.node.extend(reversed(kept))
    del graph.initializer[:]
    graph.initializer.extend(stored)
