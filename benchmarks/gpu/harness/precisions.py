"""Graphs of fewer bits whose ranges are not measured.

Any range will do to compare two programs that run the same graph.
"""

from __future__ import annotations

import copy
from pathlib import Path

import onnx

from spair.calibration.conversion.convert import ConvertPrecision
from spair.calibration.conversion.plan import PrecisionPlan
from spair.calibration.variants import Models, Variant, build
from spair.runtime import Bundle
from spair.runtime.bundle.writer import extend_bundle

SCALE = 0.03125
"""Scale of every INT8 tensor, which covers values up to 4."""


def convert(bundle: Bundle, precision: str, path: Path) -> Path:
    """Write the whole network in FP16 or INT8."""
    network = Variant(bundle, threads=1)
    model = copy.deepcopy(network.models["model"])
    ConvertPrecision(_plan(network, precision), "model")(model)
    onnx.save(model, path)
    return path


def add_precision(bundle: Bundle, precision: str) -> Bundle:
    """Add all graphs of a precision to a bundle.

    A bundle that has them stays as it is.
    """
    if precision in bundle.precisions:
        return bundle
    network = Variant(bundle, threads=1)
    models = build(network, _plan(network, precision)).models
    paths = {part: f"graphs/{precision}/{part}.onnx" for part in models}
    files = {paths[part]: model.SerializeToString() for part, model in models.items()}
    return extend_bundle(bundle, {"graphs": {precision: paths}}, files)


def make_twins(bundle: Bundle, precision: str) -> Models:
    """Make graphs of both stages that round like a GPU.

    Their values are float32, so they run on any CPU; see the twins of the calibration.
    """
    network = Variant(bundle, threads=1)
    return build(network, _plan(network, precision)).twins


def _plan(network: Variant, precision: str) -> PrecisionPlan:
    layers = {layer.name: precision for layer in network.layers}
    scales = {use.key: SCALE for layer in network.layers for use in layer.uses}
    return PrecisionPlan(layers, "fp16", scales)
