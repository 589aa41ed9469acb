"""Sensitivity of each layer to a lower precision.

One layer at a time has the lower precision; all others stay FP32.
"""

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
    """Scales and FP32 layers that follow from the observations."""

    scales: Mapping[Key, float]
    """Value of one int8 step of the input, for each use of a layer."""
    full: Mapping[str, frozenset[str]]
    """Tensors of each part that no half holds."""
    forced: frozenset[str]
    """Layers that cannot be FP16, because no half holds their weights, or a tensor that they make or read."""


def find_ranges(trial: Trial, seen: Observations, options: Options) -> Ranges:
    """Find the scales and the layers that cannot be FP16."""
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
    """Make a plan with one layer in a precision.

    All other layers are FP32.
    """
    return PrecisionPlan({layer.name: precision}, "fp32", ranges.scales, options.quantize, ranges.full)


def measure_sensitivities(
    trial: Trial, precision: Precision, ranges: Ranges, options: Options, progress: Progress
) -> dict[str, float]:
    """Measure the loss in dB of each layer alone.

    The journal keeps each loss as soon as it is measured.

    Returns:
        Loss in dB by layer.
    """
    layers = trial.network.layers
    found = {}
    with progress(f"{precision} sensitivity:") as tick:
        for count, layer in enumerate(layers, 1):
            found[layer.name] = trial.loss(lone_plan(layer, precision, ranges, options))
            tick(count, len(layers), layer.name)
    return found
