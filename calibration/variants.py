"""Network of a bundle in any precision.

Every measurement of a calibration restores pictures with these graphs through the runtime.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import onnx

from ..export.packed.packing import PackSparse
from ..export.passes.reading import read_model
from ..runtime import Bundle, Restorer
from ..runtime.backends.base import Graph
from ..runtime.backends.onnxruntime import OnnxGraph
from ..runtime.errors import UserError
from ..runtime.opening import GraphTwoStage, GraphWhole
from ..runtime.tiling.costs import Tuning
from ..runtime.tiling.planning import TilePath
from ..runtime.tiling.spec import ForeignNetwork
from ..temporary.places import scratch_folder
from .conversion.convert import Conversion, convert
from .conversion.layers import Layer, find_layers, is_quantized
from .conversion.plan import PrecisionPlan

Models = Mapping[str, onnx.ModelProto]
"""ONNX graphs by part of the bundle, as "net_l"."""


class Variant:
    """FP32 graphs of a bundle and restorers over their variants."""

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        """Load the graphs and check their hashes.

        Args:
            bundle: the bundle to calibrate.
            threads: number of threads of ONNX Runtime; None stands for all cores.

        Raises:
            UserError: the export did not show parity, a graph is quantized already or of an older version, the network
                takes more than one picture, or it has no layer with constant weights.
        """
        self.bundle, self.threads = bundle, threads
        self.spec = bundle.manifest.network
        self.kind = bundle.manifest.kind
        if not bundle.manifest.parity.get("passed"):
            raise UserError(
                f"{bundle.path} has no parity report that passed, so its FP32 graphs may differ from the network; "
                "export the checkpoint again with spair export CKPT --out NAME.spair"
            )
        files = {part: bundle.graph("fp32", part) for part in bundle.manifest.graphs.get("fp32", ())}
        if not files:
            raise UserError(f"{bundle.path} has no fp32 graphs, which calibrations start from; export it again")
        if self.kind == "spair" and "model" in files:
            bundle.check_whole("fp32")  # the gate compares it with the two stages
        self.models = {part: read_model(file) for part, file in files.items()}
        for part, model in self.models.items():
            if is_quantized(model):
                raise UserError(
                    f"the FP32 graph {part} of {bundle.path} already holds quantized or half values, expected float32 "
                    "only; export the network as it was trained"
                )
        if isinstance(self.spec, ForeignNetwork) and len(self.spec.sizes) > 1:
            listed = [f"{height}x{width}" for height, width in self.spec.sizes]
            raise UserError(
                f"the network of {bundle.path} has a graph for each of the sizes {', '.join(listed)}, and networks of "
                f"one size are calibrated; export it with the most useful one alone, as --sizes {listed[-1]}"
            )
        if self.kind == "foreign" and len(self.models["model"].graph.input) != 1:
            raise UserError(f"the network of {bundle.path} takes several inputs, expected one picture to calibrate it")
        self.layers: list[Layer] = find_layers({part: self.models[part] for part in self.parts})
        if not self.layers:
            raise UserError(
                f"the network of {bundle.path} has no layer with constant weights, so nothing can be calibrated"
            )

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the graphs that together restore a picture."""
        return ("model",) if self.kind == "foreign" else ("net_l", "net_r")

    @contextlib.contextmanager
    def opened(self, models: Models) -> Iterator[dict[str, OnnxGraph]]:
        """Open graphs by part and close them at the end."""
        with scratch_folder("calibrate") as folder, contextlib.ExitStack() as stack:
            graphs = {}
            for part, model in models.items():
                file = folder / f"{part}.onnx"
                onnx.save(model, file)
                graphs[part] = stack.enter_context(OnnxGraph(file, threads=self.threads))
            yield graphs

    def restorer(self, graphs: Mapping[str, Graph]) -> Restorer:
        """Make a restorer over opened graphs.

        The caller closes the graphs.

        Args:
            graphs: opened graphs by part; with "net_r_packed", the restorer packs every tile.
        """
        if isinstance(self.spec, ForeignNetwork):
            wanted = next(iter(self.bundle.manifest.outputs), "restored")
            return Restorer(GraphWhole(self.spec, graphs["model"], wanted))
        by_path: dict[TilePath, Graph] = (
            {"packed": graphs["net_r_packed"]} if "net_r_packed" in graphs else {"dense": graphs["net_r"]}
        )
        tuning = Tuning.assumed(self.spec.crossover)
        return Restorer(GraphTwoStage(self.spec, graphs["net_l"], by_path, tuning))


class RecalledGraph:
    """Graph that remembers its results and computes each once."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self._known: dict[bytes, dict[str, np.ndarray]] = {}

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of the graph for these inputs."""
        key = hashlib.sha256(b"".join(value.tobytes() for value in feeds.values())).digest()
        if key not in self._known:
            self._known[key] = self._graph.run(feeds)
        return dict(self._known[key])

    def close(self) -> None:
        """Leave the graph open, because its owner closes it."""


@dataclasses.dataclass(frozen=True)
class Built:
    """Converted graphs of a plan."""

    models: Mapping[str, onnx.ModelProto]
    """Graphs to store, by part; the packed one is among them."""
    twins: Mapping[str, onnx.ModelProto]
    """Float32 graphs that round as halves do, by part."""
    conversions: Mapping[str, Conversion]
    """Counts of each conversion, by part."""


def build(network: Variant, plan: PrecisionPlan) -> Built:
    """Convert every graph of a bundle.

    A diagnosis reads only the float32 twins, so for it only those are made.
    """
    twins = {part: convert(network.models[part], plan, part, twin=True)[0] for part in network.parts}
    if plan.quantize != "both":
        return Built({}, twins, {})
    made = {part: convert(model, plan, part) for part, model in network.models.items() if part != "net_r_packed"}
    models = {part: model for part, (model, _) in made.items()}
    if "net_r_packed" in network.models:
        models["net_r_packed"] = copy.deepcopy(models["net_r"])
        PackSparse()(models["net_r_packed"])
    return Built(models, twins, {part: conversion for part, (_, conversion) in made.items()})
