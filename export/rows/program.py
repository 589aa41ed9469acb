"""Row programs of exported graphs."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import onnx

from ...runtime.cpu.program import RowProgram
from ..passes.halves import WidenHalves
from .localization import LocalizationWalk
from .restoration import RestorationWalk


def make_row_program(net_l: onnx.ModelProto, net_r: onnx.ModelProto, scales: Sequence[int]) -> RowProgram:
    """Make the row program of a network.

    Halves become float32 of the same values, and what is quantized stays so.

    Args:
        net_l: graph of Net_L, in float32 or calibrated.
        net_r: dense graph of Net_R, in float32 or calibrated.
        scales: scales of the features, which the graphs call f0, f1 and so on.

    Raises:
        PassError: a graph has a node without a form on rows; the message names it.
    """
    localization, restoration = LocalizationWalk(_widen(net_l)), RestorationWalk(_widen(net_r))
    map_steps, row_steps = localization.list_steps(), restoration.list_steps()
    features = tuple(f"f{scale}" for scale in scales)
    return RowProgram(map_steps, row_steps, features, {**localization.arrays, **restoration.arrays})


def _widen(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph without halves, or a widened copy."""
    if not any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer):
        return model
    widened = copy.deepcopy(model)
    WidenHalves()(widened)
    return widened
