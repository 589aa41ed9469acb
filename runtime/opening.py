"""Networks over the graphs of a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .backends.base import Graph, OpenGraph
from .bounds.memory import find_free_memory
from .bundle.precision import AUTO, choose_precisions
from .bundle.reader import PLAIN, Bundle
from .errors import UserError
from .graphs import THRESHOLD
from .tiling.context import Context
from .tiling.costs import Tuning
from .tiling.planning import PathChoice, TilePath, check_path
from .tiling.spec import ForeignNetwork, SpairNetwork
from .tiling.two_stage import Localization, TwoStageNetwork
from .tiling.whole import WholeNetwork
from .tuning import assume_tuning, load_tuning


class GraphTwoStage(TwoStageNetwork):
    """Two-stage network over the graphs of a bundle.

    It owns the graphs.
    """

    def __init__(
        self,
        spec: SpairNetwork,
        net_l: Graph,
        net_r: Mapping[TilePath, Graph],
        tuning: Tuning,
        *,
        in_main_memory: bool = False,
    ) -> None:
        """Take over the graphs.

        Args:
            spec: sizes and halos.
            net_l: graph of Net_L.
            net_r: graphs of Net_R by the path that they compute, at least one.
            tuning: costs of these paths.
            in_main_memory: whether the graphs run in main memory.
        """
        self.spec, self.tuning, self.in_main_memory = spec, tuning, in_main_memory
        self.paths = tuple(net_r)
        self._net_l, self._net_r = net_l, net_r

    @property
    def takes_threshold(self) -> bool:
        """Whether the graph of Net_L has an input for it."""
        return THRESHOLD in getattr(self._net_l, "optional", ())

    def localize(self, image: np.ndarray, logit: float | None = None) -> Localization:
        """Run the graph of Net_L."""
        feeds = {"image": image}
        if logit is not None:
            feeds[THRESHOLD] = np.array([logit], np.float32)
        outputs = self._net_l.run(feeds)
        height, width = image.shape[2:]
        mask = _take(outputs, "mask", 1, height, width)
        return Localization(mask, {s: _take(outputs, f"f{s}", None, height >> s, width >> s) for s in self.spec.scales})

    def restore_window(self, image: np.ndarray, located: Localization, context: Context, path: TilePath) -> np.ndarray:
        """Run the graph of Net_R that computes a path."""
        feeds = {"image": image, "mask": located.mask, "keys": context.keys, "key_mask": context.key_mask}
        feeds |= {f"f{s}": located.features[s] for s in self.spec.scales}
        feeds |= {f"scale{s}": context.scale[s] for s in self.spec.modulated}
        feeds |= {f"shift{s}": context.shift[s] for s in self.spec.modulated}
        return _take(self._net_r[path].run(feeds), "restored", 3, *image.shape[2:])

    def close(self) -> None:
        """Close the graphs."""
        for graph in (self._net_l, *self._net_r.values()):
            graph.close()


def _take(outputs: Mapping[str, np.ndarray], name: str, channels: int | None, height: int, width: int) -> np.ndarray:
    """Take an output that has the size of the picture.

    Args:
        outputs: arrays by name.
        name: the output.
        channels: its channels; None for any number.
        height: its height.
        width: its width.

    Raises:
        UserError: there is no such output, or it is of another shape or type.
    """
    found = outputs.get(name)
    shape = (1, channels or "any", height, width)
    if (
        found is None
        or found.dtype != np.float32
        or found.ndim != 4
        or found.shape != (1, channels or found.shape[1], height, width)
    ):
        got = "absent" if found is None else f"{found.dtype} {found.shape}"
        raise UserError(f"the output {name!r} of a graph is {got}, expected float32 {shape}; export the bundle again")
    return found


class GraphWhole(WholeNetwork):
    """Whole network over the graphs of a foreign bundle.

    It owns the graphs.
    """

    def __init__(
        self,
        spec: ForeignNetwork,
        model: Graph,
        restored_name: str,
        others: Mapping[tuple[int, int], Graph] | None = None,
    ) -> None:
        """Take over the graphs.

        Args:
            spec: sizes and reach.
            model: the graph, or that of the first size of `spec.sizes`.
            restored_name: name of the output that is the restored picture.
            others: graphs of the other heights and widths.
        """
        self.spec, self.restored_name = spec, restored_name
        self._model = model
        self._others = others or {}
        self._input = next(iter(model.inputs))

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Run the model."""
        graph = self._others.get((image.shape[2], image.shape[3]), self._model)
        return graph.run({self._input: image})

    def close(self) -> None:
        """Close the graphs."""
        for graph in (self._model, *self._others.values()):
            graph.close()


def open_network(
    bundle: Bundle,
    precision: str,
    open_graph: OpenGraph,
    *,
    threads: int | None = None,
    path: PathChoice = "auto",
    backend: str = "onnxruntime",
) -> GraphTwoStage | GraphWhole:
    """Load the graphs of a bundle.

    A failure closes the graphs that were loaded before it.

    Args:
        bundle: the bundle; every graph's hash is checked before it is loaded.
        precision: "fp32", "fp16", "int8", ...; "auto" takes for each graph the one that a calibration found fastest on
            this machine.
        open_graph: function of a backend that loads a graph.
        threads: number of threads inside an operator; None takes all cores.
        path: path of the pieces of a two-stage network. "auto" takes for each piece the cheaper one by the costs
            measured on this machine; without a packed graph ("net_r_packed") in the bundle it is "dense".
        backend: name of the backend, under which the measured costs were kept.

    Raises:
        UserError: the bundle lacks the precision, or the packed graph for the path "packed"; a foreign network does
            not take exactly one RGB picture; the path is not known; a file was changed; the backend cannot load a
            graph.
    """
    check_path(path)
    spec = bundle.manifest.network
    chosen: dict[str, str] = {}
    if precision == AUTO:
        precision = PLAIN
        chosen = choose_precisions(bundle, bundle.manifest.graphs.get(PLAIN, ()), backend, threads)
    if isinstance(spec, ForeignNetwork):
        whole = _open_whole(bundle, spec, open_graph, chosen.get("model", precision), threads)
        if backend != "cuda":  # whose memory is another one
            whole.find_free_memory = find_free_memory
        return whole
    if path == "packed" and not bundle.has_graph(precision, "net_r_packed"):
        raise UserError(f"the bundle {bundle.path} has no packed {precision} graph; use the dense path")
    has_packed = path != "dense" and bundle.has_graph(precision, "net_r_packed")
    parts = ["net_l", *(["net_r"] if path != "packed" else []), *(["net_r_packed"] if has_packed else [])]
    # Every graph of the precision is hashed, unused ones too, so that a damaged bundle is always refused.
    every = dict.fromkeys((*bundle.manifest.graphs.get(precision, ()), *parts))
    hashed = {part: bundle.graph(chosen.get(part, precision), part) for part in every}
    files = [hashed[part] for part in parts]
    graphs = dict(zip(parts, _open_all(files, open_graph, threads), strict=True))
    net_r: dict[TilePath, Graph] = {"dense": graphs["net_r"]} if "net_r" in graphs else {}
    if "net_r_packed" in graphs:
        net_r["packed"] = graphs["net_r_packed"]
    tuning = load_tuning(bundle, precision, threads, backend=backend) or assume_tuning(spec, precision, backend)
    return GraphTwoStage(spec, graphs["net_l"], net_r, tuning, in_main_memory=backend == "onnxruntime")


def _open_whole(
    bundle: Bundle, spec: ForeignNetwork, open_graph: OpenGraph, precision: str, threads: int | None
) -> GraphWhole:
    parts = [name_part(size, place) for place, size in enumerate(spec.sizes)] or ["model"]
    model, *others = _open_all([bundle.graph(precision, part) for part in parts], open_graph, threads)
    if not model.outputs:
        for graph in (model, *others):
            graph.close()
        raise UserError(f"the network of {bundle.path} has no output; export it again")
    wanted = next(iter(bundle.manifest.outputs), "restored")
    name = wanted if wanted in model.outputs else model.outputs[0]
    whole = GraphWhole(spec, model, name, dict(zip(spec.sizes[1:], others, strict=True)))
    if len(model.inputs) != 1:
        whole.close()
        raise UserError(
            f"the network of {bundle.path} takes {', '.join(model.inputs)}; only networks with "
            "one input can restore a picture"
        )
    channels = next(
        (entry.get("channels", spec.picture_channels) for entry in bundle.manifest.inputs), spec.picture_channels
    )
    if channels != spec.picture_channels:  # a bundle of an older version, whose range and output nobody measured
        whole.close()
        raise UserError(
            f"the network of {bundle.path} takes a picture of {channels} channels, and its manifest says "
            f"{spec.picture_channels}; export it again"
        )
    return whole


def name_part(size: tuple[int, int], place: int) -> str:
    """Name the part that holds the graph of a size.

    Args:
        size: height and width in pixels.
        place: its place among the network's sizes, from 0.
    """
    return "model" if place == 0 else f"model_{size[0]}x{size[1]}"


def _open_all(files: Sequence[Path], open_graph: OpenGraph, threads: int | None) -> list[Graph]:
    graphs: list[Graph] = []
    try:
        for file in files:
            graphs.append(open_graph(file, threads))
    except BaseException:
        for graph in graphs:
            graph.close()
        raise
    return graphs
