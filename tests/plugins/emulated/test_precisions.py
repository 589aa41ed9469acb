"""A whole sparse convolution module in FP16 and INT8 on the emulated driver, against ONNX Runtime on the same graph."""

import copy
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest

from spair.calibration.conversion.convert import ConvertPrecision
from spair.calibration.conversion.layers import find_layers
from spair.calibration.conversion.plan import PrecisionPlan
from spair.export.listed.epilogues import FuseEpilogues
from spair.export.listed.lists import ListActivePixels
from spair.export.listed.quantizers import QuantizeWhereWritten
from spair.export.passes.quantizers import QuantizeWhereRead
from spair.export.passes.residuals import FuseResiduals
from spair.export.passes.unread import SkipUnreadPixels
from tests.plugins.emulated.network import evaluator
from tests.plugins.emulated.test_networks import module_graph, streaks  # noqa: F401

STEP = 1 / 32
"""Of the INT8 activations: values up to 4."""
MOST = {"fp16": 2**-8, "int8": STEP}
"""Values are below 8, where halves are 2^-8 apart, half of which a rounding may be off, twice; in INT8 a value that is
rounded the other way is a step off, and reaches the output through weights of 0.08."""


FIRST = (FuseResiduals, QuantizeWhereRead, SkipUnreadPixels, ListActivePixels, FuseEpilogues)
"""Passes before the one that moves quantizers to those that write."""


def convert(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """The same module with every convolution in the precision."""
    layers = find_layers({"net_r": model})
    scales = {use.key: STEP for layer in layers for use in layer.uses}
    model = copy.deepcopy(model)
    ConvertPrecision(PrecisionPlan({layer.name: precision for layer in layers}, "fp16", scales), "net_r")(model)
    return model


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_module_of_fewer_bits_equals_onnx_runtime(host, module_graph, precision):  # noqa: F811
    model = convert(module_graph, precision)
    mask = streaks(16, 24, 2)
    x = np.random.default_rng(0).standard_normal((2, 20, 16, 24)).astype(np.float32) * mask
    counted: Counter[str] = Counter()
    (out,) = evaluator(model, host, pixels=True, counted=counted).run(None, {"x": x, "mask": mask})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x, "mask": mask})
    assert sum(counted.values()) == 4
    assert all(("Int8" in name) == (precision == "int8") for name in counted)
    np.testing.assert_allclose(out, expected, rtol=0, atol=MOST[precision])
    assert np.abs(out - expected).mean() <= MOST[precision] / 16
    assert np.abs(out - x).mean() > MOST[precision], "the module does nothing"


def test_a_module_that_writes_int8_gives_the_bits_of_one_that_reads_floats(host, module_graph):  # noqa: F811
    model = convert(module_graph, "int8")
    for step in FIRST:
        step()(model)
    moved = copy.deepcopy(model)
    assert QuantizeWhereWritten()(moved).modified
    mask = streaks(16, 24, 2)
    x = np.random.default_rng(0).standard_normal((2, 20, 16, 24)).astype(np.float32) * mask
    outs, names = [], []
    for part in (model, moved):
        counted: Counter[str] = Counter()
        outs += evaluator(part, host, pixels=True, counted=counted).run(None, {"x": x, "mask": mask})
        names.append({name.removeprefix("SparseConv2d") for name in counted if "Conv2d" in name})
    assert not any("Int8" in name for name in names[0])
    assert "Int8Listed" in names[1] and any("ToInt8" in name for name in names[1])
    np.testing.assert_array_equal(outs[1], outs[0])
    assert np.abs(outs[0] - x).mean() > STEP
