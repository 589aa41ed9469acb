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
from tests.plugins.emulated.network import evaluator
from tests.plugins.emulated.test_networks import module_graph, streaks  # noqa: F401

STEP = 1 / 32
"""Of the INT8 activations: values up to 4."""
MOST = {"fp16": 2**-8, "int8": STEP}
"""Values are below 8, where halves are 2^-8 apart, half of which a rounding may be off, twice; in INT8 a value that is
rounded the other way is a step off, and reaches the output through weights of 0.08."""


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
