"""Fit of the model to an H100's times.

Sparse layers: the sums over layers decide the numbers of the model. Dense layers: a share of the peaks and a rate for
each type, from the sums over layers and from the whole network on all pixels. The whole network under the plugins
decides nothing: it is predicted, and what the prediction is off by widens the intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from scipy.optimize import brentq

from benchmarks.estimates import h100
from benchmarks.estimates.between import list_masking
from benchmarks.estimates.dense import UNMEASURED, CycleRates, DenseModel, PeakShares
from benchmarks.estimates.h100 import MeasuredLayers, MeasuredNetwork, Part
from benchmarks.estimates.launches import ScaledMasks, cost_dense, cost_rest
from benchmarks.estimates.model import Efficiency, Point, Residuals, Work, fit, leave_out, measure_residuals
from benchmarks.estimates.steps import CountedLaunch, list_steps
from benchmarks.subjects.gpus import Gpu, find_gpus
from benchmarks.subjects.layers import Operator, SparseLayer, list_dense
from spair.network import SPAIR
from spair.network.presets import PRESETS
from spair.plugins.cost import Launch, NumberType

Measured = MeasuredLayers | MeasuredNetwork


@dataclass(frozen=True)
class Fitted:
    """Model's numbers, and factors of measured times to its own."""

    efficiency: Efficiency
    shares: PeakShares
    """Dense layers at shares of the peaks."""
    rates: CycleRates
    """Dense layers at multiply-adds in a cycle."""
    layers: Residuals
    """Factors of the sums over sparse layers."""
    left_out: Residuals
    """Factors of the sums of one density or type for a fit to the other densities or to the other type."""
    network: Residuals
    """Factors of the whole network with plugins, which no fit has seen."""
    dense: Residuals
    """Factors of the sums over dense layers, and of the whole network on all pixels, at shares and at rates."""

    @property
    def sparse(self) -> Residuals:
        """Widest factors of all, which intervals of sparse layers have."""
        return self.layers.joined(self.left_out).joined(self.network)


@cache
def fit_h100() -> Fitted:
    """Fit the model to the times of `h100`."""
    gpu, rows, networks = _gpu(), h100.list_layers(), h100.list_networks()
    points = [Point(list_plugins(row), row.sparse_ms / 1e3) for row in rows]
    efficiency = fit(gpu, points)
    shares = PeakShares(efficiency.launch, _fit_dense(efficiency, PeakShares, (1e-3, 1.0)))
    rates = CycleRates(efficiency.launch, _fit_dense(efficiency, CycleRates, (1.0, 1e5)))
    times = list_dense_times()
    return Fitted(
        efficiency,
        shares,
        rates,
        measure_residuals([point.seconds / Work(gpu, point.steps).seconds(efficiency) for point in points]),
        leave_out(gpu, points, [row.density for row in rows]).joined(
            leave_out(gpu, points, [row.kind for row in rows])
        ),
        measure_residuals([row.sparse_ms / 1e3 / predict_sparse(row, efficiency, shares) for row in networks]),
        measure_residuals(
            [seconds / predict_dense(row, efficiency, dense) for dense in (shares, rates) for row, seconds in times]
        ),
    )


def list_dense_times() -> list[tuple[Measured, float]]:
    """List measured rows with the seconds on all pixels.

    Those of the network come twice; the second time is that of the PyTorch module.
    """
    layers, networks = h100.list_layers(), h100.list_networks()
    times: list[tuple[Measured, float]] = [(row, row.dense_ms / 1e3) for row in (*layers, *networks)]
    return [*times, *((row, row.module_ms / 1e3) for row in networks)]


def list_plugins(row: Measured) -> list[CountedLaunch]:
    """List the launches of a row's plugins."""
    masks = _masks(_size(row), row.density)
    parts = _choose(row.part if isinstance(row, MeasuredLayers) else None, row.kind)
    return [step for chosen, kind in parts for step in list_steps(chosen, masks, kind, h100.list_tiles())]


def predict_sparse(row: Measured, efficiency: Efficiency, dense: DenseModel) -> float:
    """Predict the seconds of a row with plugins."""
    seconds = Work(_gpu(), list_plugins(row)).seconds(efficiency)
    if isinstance(row, MeasuredLayers):
        return seconds
    rest = dense.seconds(_gpu(), _list_rest(row.kind, row.size))
    return seconds + rest + _pass_seconds(_list_between(row.kind, row.size), efficiency)


def predict_dense(row: Measured, efficiency: Efficiency, dense: DenseModel) -> float:
    """Predict the seconds of a row on all pixels."""
    part = row.part if isinstance(row, MeasuredLayers) else None
    launches, passes = _list_dense_work(row.kind, _size(row), part)
    return dense.seconds(_gpu(), launches) + _pass_seconds(passes, efficiency)


@cache
def _list_dense_work(kind: NumberType, size: tuple[int, int], part: Part | None) -> tuple[list[Launch], list[Launch]]:
    """List dense layers, and the passes around them.

    They are those of the whole network where `part` is None.
    """
    masks = _masks(size, 1.0)
    parts = _choose(part, UNMEASURED.get(kind, kind))
    launches = [launch for chosen, own in parts for launch in cost_dense(chosen, masks, own)]
    if part is not None:
        return launches, []
    masking = [launch for chosen, own in parts for launch in list_masking(chosen, masks, own)]
    return [*launches, *_list_rest(kind, size)], [*_list_between(kind, size), *masking]


def _fit_dense(efficiency: Efficiency, model: type[DenseModel], ends: tuple[float, float]) -> dict[NumberType, float]:
    """Fit the number of each type.

    With it the logarithms of measured / model add up to 0.
    """
    numbers: dict[NumberType, float] = {}
    kinds: tuple[NumberType, ...] = ("fp32", "fp16")
    for kind in kinds:
        own = [(row, seconds) for row, seconds in list_dense_times() if UNMEASURED.get(row.kind, row.kind) == kind]

        def sum_logarithms(number: float, own: Sequence[tuple[Measured, float]] = own) -> float:
            tried = model(efficiency.launch, dict.fromkeys(kinds, number))
            return sum(math.log(seconds / predict_dense(row, efficiency, tried)) for row, seconds in own)

        numbers[kind] = brentq(sum_logarithms, *ends)
    return numbers | {kind: numbers[other] for kind, other in UNMEASURED.items()}


def _gpu() -> Gpu:
    (gpu,) = find_gpus((h100.GPU,))
    return gpu


def _size(row: Measured) -> tuple[int, int]:
    return row.size if isinstance(row, MeasuredNetwork) else h100.layers_size()


@cache
def _masks(size: tuple[int, int], density: float) -> ScaledMasks:
    return ScaledMasks(h100.layers_mask(), size[1], size[0], density, PRESETS[h100.preset()].grid)


def _choose(part: Part | None, kind: NumberType) -> list[tuple[list[Operator], NumberType]]:
    """List the operators of a row with their types.

    In whole networks, where `part` is None, the modulation and the attention compute in FP32.
    """
    every = h100.list_operators()
    convolutions: list[Operator] = [operator for operator in every if isinstance(operator, SparseLayer)]
    others = [operator for operator in every if not isinstance(operator, SparseLayer)]
    if part is None:
        return [(convolutions, kind), (others, "fp32")]
    return [(convolutions if part == "convolutions" else every, kind)]


@cache
def _list_rest(kind: NumberType, size: tuple[int, int]) -> list[Launch]:
    with torch.device("meta"):
        model = SPAIR(PRESETS[h100.preset()])
    return list(cost_rest(list_dense(model, size[1], size[0]), kind))


def _list_between(kind: NumberType, size: tuple[int, int]) -> list[Launch]:
    launches, moved = h100.find_between(kind, size)
    return [Launch("between", read=moved // launches)] * launches


def _pass_seconds(launches: Sequence[Launch], efficiency: Efficiency) -> float:
    return Work(_gpu(), [CountedLaunch(launch) for launch in launches]).seconds(efficiency)
