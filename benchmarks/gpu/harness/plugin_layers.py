"""Comparison of each layer's plugin with cuDNN and the estimate.

The layers are those of the shipped network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from benchmarks.common.measuring import print_progress
from benchmarks.estimates.predictions import Estimate, Estimator
from benchmarks.gpu.harness.graph_timing import time_runs
from benchmarks.gpu.harness.plugin_cases import MAKERS, LayerRuns, Scene
from benchmarks.subjects.gpus import find_gpus
from benchmarks.subjects.layers import Attention, Compose, Index, Modulation, Operator, SparseLayer
from spair.plugins.cost import NumberType
from spair.runtime.errors import GateError
from tests.plugins.emulated.plugin import PluginHost

GPU = "H100 SXM"
"""GPU that the estimate is for."""


def measure_layers(
    host: PluginHost,
    forms: Mapping[str, Sequence[Operator]],
    scenes: Sequence[Scene],
    kinds: Sequence[NumberType],
    replays: int,
) -> Iterator[dict[str, Any]]:
    """Measure each layer, kind and mask, a row each.

    Args:
        host: the plugin library.
        forms: layers of the network by the name of their form. Those that two forms have in common run once, and so do
            dense layers.
        scenes: masks.
        kinds: types of the products.
        replays: replays of each graph.

    Raises:
        GateError: a plugin is further from its definition than its arithmetic allows.
    """
    dense: dict[tuple[Operator, str], float] = {}
    estimator = Estimator(find_gpus((GPU,))[0])
    counts = {form: Counter(layers) for form, layers in forms.items()}
    for operator in dict.fromkeys(layer for layers in forms.values() for layer in layers):
        numbers = {form: found[operator] for form, found in counts.items() if operator in found}
        for kind in kinds:
            if kind == "int8" and not isinstance(operator, SparseLayer | Index):
                continue
            for scene in scenes:
                sparse_ms, off = _measure(host, operator, kind, scene, dense, replays)
                row = _describe(operator, kind, scene, estimator)
                dense_ms = dense[plain(operator), kind]
                for form, count in numbers.items():
                    yield {
                        "form": form, "count": count, **row, "sparse_ms": sparse_ms, "dense_ms": dense_ms,
                        "speedup": dense_ms / sparse_ms, "off": off,
                    }  # fmt: skip


def plain(operator: Operator) -> Operator:
    """Return what of an operator matters to its dense layer."""
    if isinstance(operator, SparseLayer):
        return replace(
            operator, listed=False, coarse=False, sum_slope=1.0, residual=False, clear_output=True, joined=0, other=0
        )
    return replace(operator, listed=False, clear_output=True) if isinstance(operator, Attention) else operator


def _measure(
    host: PluginHost,
    operator: Operator,
    kind: NumberType,
    scene: Scene,
    dense: dict[tuple[Operator, str], float],
    replays: int,
) -> tuple[float, float]:
    """Measure one layer under one mask.

    Returns its milliseconds, and how far it is off as a share of its bound. The dense layer is measured where it was
    not yet: the mask does not matter to it.
    """
    print_progress(f"{name_of(operator)} {kind} {scene.shape} {scene.density:g}")
    made: LayerRuns = _maker(operator)(host, operator, kind, scene)
    off = made.check(made.sparse[0]())
    if not off <= 1.0:
        raise GateError(f"{name_of(operator)}, {kind}, {scene.shape} {scene.density:g}: {off:.2f} of its bound")
    if (plain(operator), kind) not in dense:
        dense[plain(operator), kind] = time_runs(made.dense, replays) if made.dense else 0.0
    return time_runs(made.sparse, replays), off


def _maker(operator: Operator) -> Callable[..., LayerRuns]:
    return MAKERS[type(operator)]


def _describe(operator: Operator, kind: NumberType, scene: Scene, estimator: Estimator) -> dict[str, Any]:
    """Describe a row but for what is measured."""
    sparse: Estimate = estimator.sparse([operator], scene.model, kind)
    dense = estimator.dense([operator], scene.model, "fp16" if kind == "int8" else kind)
    return {
        "layer": name_of(operator), **asdict(operator), "kind": kind, "mask": scene.shape,
        "density": scene.model.densities[operator.scale], "asked": scene.density, "launches": sparse.launches,
        **{f"model_{name}": number for name, number in sparse.as_json().items()},
        **{f"model_dense_{name}": number for name, number in dense.as_json().items()},
    }  # fmt: skip


def name_of(operator: Operator) -> str:
    """Name an operator shortly, as "conv 48-48 k3 /1 +"."""
    size = f"/{2**operator.scale}"
    if isinstance(operator, Index):
        return f"list {size}"
    if isinstance(operator, Modulation):
        return f"modulation {operator.channels} {size}"
    if isinstance(operator, Compose):
        return f"compose {operator.channels} {size}"
    if isinstance(operator, Attention):
        return f"attention {operator.channels} {size}{' listed' * operator.listed}"
    marks = "".join(
        mark
        for mark, on in (
            (" +", operator.residual),
            (" up", operator.coarse),
            (" clean", operator.clean_input),
            (" zeros", operator.clear_output),
            (" listed", operator.listed),
            (" joined", operator.joined > 0),
        )
        if on
    ) + (f" other {operator.other}" if operator.other else "")
    return f"conv {operator.channels}-{operator.outputs} k{operator.kernel} {size}{marks}"
