"""The network in INT8 with made-up ranges."""

from __future__ import annotations

import copy

import onnx

from spair.calibration.conversion.convert import ConvertPrecision
from spair.calibration.conversion.layers import find_layers
from spair.calibration.conversion.plan import PrecisionPlan
from spair.runtime.bundle.engines import WHOLE

SCALE = 0.03125
"""Scale of every INT8 tensor; which graph it gives does not depend on it."""
KEPT = ("net_r.fuse.0", "net_r.out")
"""Sparse convolutions that the calibration of the shipped weights for rain kept in FP16: the first and the last."""


def quantize_network(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Convert a copy of the exported network.

    All layers but `KEPT` become INT8, and the rest FP16.
    """
    layers = find_layers({WHOLE: graph})
    kinds = {layer.name: "fp16" if layer.name in KEPT else "int8" for layer in layers if layer.quantizable}
    scales = {use.key: SCALE for layer in layers for use in layer.uses}
    converted = copy.deepcopy(graph)
    ConvertPrecision(PrecisionPlan(kinds, "fp16", scales), WHOLE)(converted)
    return converted
