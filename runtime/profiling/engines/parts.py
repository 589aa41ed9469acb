"""Times of the engine of Net_R under given masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...backends.base import Graph
from ...clock import ReportProgress, StageClock
from ...engine.graph import GraphOnDemand
from ...engine.slot import SlotOptions
from ...pixels import to_network
from ...restorer import Restorer
from ...tiling.network import Known, PaddedPicture
from ...tiling.planning import Limits
from ...tiling.two_stage import Localization, TwoStageNetwork, TwoStageRun
from ..cases import COARSE_TOLERANCE, Case
from ..gates import check_clean, check_same
from ..timing import Repeats, find_crossover, percentiles, take_turns
from .runs import Rounds, describe_runs, time_runs


class FeedWatch:
    """Graph that keeps its last inputs."""

    def __init__(self, graph: GraphOnDemand) -> None:
        self.graph = graph
        """The graph that it runs."""
        self.feeds: Mapping[str, np.ndarray] | None = None
        """Inputs of the last run; None if there was none."""

    @property
    def inputs(self) -> Mapping[str, str]:
        """ONNX types of the inputs by name."""
        return self.graph.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return self.graph.outputs

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the graph."""
        self.feeds = dict(feeds)
        return self.graph.run(feeds)

    def close(self) -> None:
        """Close the graph; may be called twice."""
        self.feeds = None
        self.graph.close()

    @classmethod
    def around(cls, graph: Graph) -> FeedWatch:
        """Watch the graph of Net_R, see `EngineOpening.open_network`."""
        assert isinstance(graph, GraphOnDemand)
        return cls(graph)


def measure_curves(
    restorer: Restorer,
    watch: FeedWatch,
    baseline: Restorer,
    image: np.ndarray,
    cases: Sequence[Case],
    *,
    gated: bool,
    options: SlotOptions,
    rounds: Rounds,
    repeats: Repeats,
    progress: ReportProgress = lambda words: None,
) -> list[dict[str, Any]]:
    """Time the engine of Net_R under every mask.

    The pictures of the engines and of the CPU are compared first.

    Args:
        restorer: restorer on the engines of the parts.
        watch: graph of Net_R in this restorer.
        baseline: restorer of the same graphs on the CPU, which computes every pixel.
        image: float32 picture that the engines take in one piece.
        cases: masks of its size.
        gated: whether clean pixels must stay as they are.
        options: options of the slot, which captures nothing.
        rounds: limits on the runs of the engine under each mask.
        repeats: limits on the whole restorations under each mask.
        progress: called with a phrase on what is being timed.

    Returns:
        [{"mask", "points": [{"density", "compute_ms", "latency_ms", "engine_ms", "cpu_ms", "pieces"}],
        "crossover_density"}]. "compute_ms" and "latency_ms" are the engine of Net_R alone on the picture in one piece,
        None where no pixel is distorted and it does not run. "engine_ms" and "cpu_ms" are percentiles of whole
        restorations, from array to array, Net_L included; "pieces" is the number of pieces that the engine was given
        in these, which is more than 1 where clean parts are left out.
        "crossover_density" is where the engine becomes slower than the CPU, None where it does not.

    Raises:
        GateError: the engines restore another picture than the CPU.
        EngineError, MemoryError: see `SlotPool.run`.
    """
    points: dict[tuple[str, float], dict[str, Any]] = {}
    for case in {case.key: case for case in cases}.values():
        progress(f"Net_R, {case}")
        result, dense = (one(image, mask=case.mask) for one in (restorer, baseline))
        if gated:
            check_clean(f"{case}, engines", image, result.image, case.mask)
        check_same(str(case), "engines'", result.image, dense.image, COARSE_TOLERANCE)
        runs = {
            "engine_ms": partial(restorer, image, mask=case.mask),
            "cpu_ms": partial(baseline, image, mask=case.mask),
        }
        seconds = take_turns(runs, lambda key: repeats)
        points[case.key] = {
            **_time_part(restorer.network, watch, image, case.mask, options, rounds),
            **{key: percentiles(times) for key, times in seconds.items()},
            "pieces": result.tiles.packed + result.tiles.dense,
        }
    return [_make_curve(shape, cases, points) for shape in dict.fromkeys(case.shape for case in cases)]


def _time_part(
    network: Any, watch: FeedWatch, image: np.ndarray, mask: np.ndarray, options: SlotOptions, rounds: Rounds
) -> dict[str, Any]:
    feeds = run_one_piece(network, watch, image, mask)
    if feeds is None:
        return {"compute_ms": None, "latency_ms": None}
    with watch.graph.own_slot(replace(options, graph=False)) as slot:
        described = describe_runs(time_runs(slot, watch.graph.convert(feeds), rounds))
    return {key: described[key] for key in ("compute_ms", "latency_ms")}


def run_one_piece(
    network: TwoStageNetwork, watch: FeedWatch, image: np.ndarray, mask: np.ndarray
) -> Mapping[str, np.ndarray] | None:
    """Run Net_R on a picture in one piece.

    A restorer would cut out what is clean, so that the engine would see masks of other densities.

    Args:
        network: the network.
        watch: its graph of Net_R.
        image: float32 picture.
        mask: [H, W] bool.

    Returns:
        The inputs of Net_R; None if no pixel has to be restored.
    """
    picture = PaddedPicture(to_network(image, network.spec.multiple), mask.shape, Known(mask))
    run = TwoStageRun(network, picture, Limits())
    context = run.localize(StageClock())
    if context is None:
        return None
    given = run.mask[None, None].astype(np.float32)
    located = Localization(given, network.localize(picture.image).features)
    network.restore_window(picture.image, located, context, "dense")
    return watch.feeds


def _make_curve(
    shape: str, cases: Sequence[Case], points: Mapping[tuple[str, float], dict[str, Any]]
) -> dict[str, Any]:
    own = sorted((case for case in cases if case.shape == shape), key=lambda case: case.density)
    curve = [{"density": case.density, **points[case.key]} for case in own]
    engine, cpu = ([point[key]["p50"] for point in curve] for key in ("engine_ms", "cpu_ms"))
    return {
        "mask": shape,
        "points": curve,
        "crossover_density": find_crossover([point["density"] for point in curve], engine, cpu),
    }
