"""A bundle's network in any precision, restoring pictures through the runtime: what every measurement runs on."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx

from ..runtime import Bundle, Restorer
from ..runtime.backends.onnxruntime import OnnxGraph
from ..runtime.backends.registry import Graph
from ..runtime.bundle.manifest import ForeignNetwork
from ..runtime.errors import UserError
from ..runtime.opening import GraphTwoStage, GraphWhole
from ..runtime.tiling.planning import TilePath
from ..runtime.tuning import Tuning
from .conversion.layers import Layer, find_layers, is_quantized

Models = Mapping[str, onnx.ModelProto]
"""Graphs by part."""


class Network:
    """The FP32 graphs of a bundle, and restorers over variants of them."""

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        """Load the graphs, hashes checked.

        Raises:
            UserError: no parity was shown at export; a graph is quantized already; more inputs than one picture.
        """
        self.bundle, self.threads = bundle, threads
        self.spec = bundle.manifest.network
        self.kind = bundle.manifest.kind
        if not bundle.manifest.parity.get("passed"):
            raise UserError(
                f"{bundle.path} has no passed parity report, so its FP32 graphs cannot stand for the network; "
                "export the checkpoint again: spair export CKPT --out NAME.spair"
            )
        files = {part: bundle.graph("fp32", part) for part in bundle.manifest.graphs["fp32"]}
        self.models = {part: onnx.load(file) for part, file in files.items()}
        for part, model in self.models.items():
            if is_quantized(model):
                raise UserError(
                    f"the fp32 graph {part} of {bundle.path} holds quantized or half values already, expected float32 "
                    "alone; export the network as it was trained"
                )
        if self.kind == "foreign" and len(self.models["model"].graph.input) != 1:
            raise UserError(f"the network of {bundle.path} takes several inputs; only those of one picture calibrate")
        self.layers: list[Layer] = find_layers({part: self.models[part] for part in self.parts})
        if not self.layers:
            raise UserError(f"the network of {bundle.path} has no layer with constant weights; nothing to calibrate")

    @property
    def parts(self) -> tuple[str, ...]:
        """The graphs that together restore a picture."""
        return ("model",) if self.kind == "foreign" else ("net_l", "net_r")

    @contextlib.contextmanager
    def opened(self, models: Models) -> Iterator[dict[str, OnnxGraph]]:
        """Sessions over graphs, by part, closed at the end."""
        with tempfile.TemporaryDirectory(prefix="spair-calibrate-") as folder, contextlib.ExitStack() as stack:
            graphs = {}
            for part, model in models.items():
                file = Path(folder) / f"{part}.onnx"
                onnx.save(model, file)
                graphs[part] = stack.enter_context(OnnxGraph(file, threads=self.threads))
            yield graphs

    def restorer(self, graphs: Mapping[str, Graph]) -> Restorer:
        """A restorer over graphs; whoever opened those closes them. With "net_r_packed" every tile is packed."""
        if isinstance(self.spec, ForeignNetwork):
            wanted = next(iter(self.bundle.manifest.outputs), "restored")
            return Restorer(GraphWhole(self.spec, graphs["model"], wanted))
        ways: dict[TilePath, Graph] = (
            {"packed": graphs["net_r_packed"]} if "net_r_packed" in graphs else {"dense": graphs["net_r"]}
        )
        tuning = Tuning.assumed(self.spec.crossover)
        return Restorer(GraphTwoStage(self.spec, graphs["net_l"], ways, tuning))


class RecalledGraph:
    """Net_L of an unchanged precision: every result is computed once and remembered."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self._known: dict[bytes, dict[str, np.ndarray]] = {}

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the graph gives."""
        key = hashlib.sha256(b"".join(value.tobytes() for value in feeds.values())).digest()
        if key not in self._known:
            self._known[key] = self._graph.run(feeds)
        return dict(self._known[key])

    def close(self) -> None:
        """The graph belongs to whoever opened it."""
