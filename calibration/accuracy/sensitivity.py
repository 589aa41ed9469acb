"""How much each layer costs, alone in a lower precision among FP32 ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..conversion.layers import Key, Layer, largest_weight, weights_of
from ..conversion.plan import PrecisionPlan
from ..conversion.weights import LARGEST_HALF
from ..options import Options, Precision
from ..progress import Progress
from ..statistics.observe import Observations
from .trial import Trial


@dataclasses.dataclass(frozen=True)
class Ranges:
    """What follows from the observations before anything is tried."""

    scales: Mapping[Key, float]
    """Use of a layer -> what one int8 step of its input stands for."""
    full: Mapping[str, frozenset[str]]
    """Part -> tensors that no half holds."""
    forced: frozenset[str]
    """Layers that make or read such a tensor, or whose weights no half holds: FP32 where they are not INT8."""


def find_ranges(trial: Trial, seen: Observations, options: Options) -> Ranges:
    """Scales and what must stay FP32."""
    full = seen.overflowing()
    scales = {
        key: histogram.scale(options.calibrator, options.percentile) for key, histogram in seen.histograms.items()
    }
    return Ranges(scales, full, frozenset(_forced(trial, full)))


def _forced(trial: Trial, full: Mapping[str, frozenset[str]]) -> set[str]:
    found = set()
    for layer in trial.network.layers:
        touched = {name for use in layer.uses for name in (use.source, use.node)} & full.get(layer.part, frozenset())
        if touched or largest_weight(weights_of(trial.network.models[layer.part])[layer.name]) > LARGEST_HALF:
            found.add(layer.name)
    return found


def lone_plan(layer: Layer, precision: Precision, ranges: Ranges, options: Options) -> PrecisionPlan:
    """One layer in a precision, all others in FP32."""
    return PrecisionPlan({layer.name: precision}, "fp32", ranges.scales, options.quantize, ranges.full)


def measure_sensitivities(
    trial: Trial, precision: Precision, ranges: Ranges, options: Options, progress: Progress
) -> dict[str, float]:
    """Layer -> dB lost when it alone is computed in a precision; each is kept as it is measured."""
    layers = trial.network.layers
    found = {}
    with progress(f"{precision} sensitivity:") as tick:
        for count, layer in enumerate(layers, 1):
            found[layer.name] = trial.loss(lone_plan(layer, precision, ranges, options))
            tick(count, len(layers), layer.name)
    return found
