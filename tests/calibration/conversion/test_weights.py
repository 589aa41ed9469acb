"""INT8 weights and their scales as halves."""

import numpy as np
import pytest

from spair.calibration.conversion.weights import LEVELS, SMALLEST_SCALE, channel_axis, half_scale, quantize_weights


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (5, 7), (1, 1, 1, 1)], ids=str)
def test_every_weight_is_within_half_a_step_of_its_channel(axis, shape):
    weights = np.random.default_rng(0).standard_normal(shape).astype(np.float32) * 0.05
    quantized = quantize_weights(weights, axis)
    steps = quantized.scales.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])
    # Half a step, and the rounding of the scale to 11 bits, which the largest weight feels LEVELS times
    assert (np.abs(quantized.restored() - weights) <= steps * (0.5 + LEVELS * 2**-11)).all()
    assert quantized.values.dtype == np.int8 and quantized.values.min() >= -LEVELS


def test_one_large_channel_costs_the_others_nothing():
    weights = np.random.default_rng(1).standard_normal((3, 2, 3, 3)).astype(np.float32)
    weights[1] *= 1000
    alone = quantize_weights(weights[:1], 0)
    together = quantize_weights(weights, 0)
    np.testing.assert_array_equal(together.values[0], alone.values[0])
    assert together.scales[1] > 100 * together.scales[0]


def test_zero_channels_stay_zero_and_scales_are_halves():
    weights = np.zeros((2, 3), np.float32)
    weights[1] = [1e-9, -2e-9, 3e-5]
    quantized = quantize_weights(weights, 0)
    assert quantized.scales[0] == 1.0 and not quantized.values[0].any()
    assert (quantized.scales.astype(np.float16).astype(np.float32) == quantized.scales).all()


@pytest.mark.parametrize("largest", [0.0, -1.0, 1e-12, 0.3, 1e5, 1e30])
def test_a_scale_is_positive_and_a_finite_half(largest):
    scale = half_scale(largest)
    assert scale >= SMALLEST_SCALE and np.isfinite(np.float16(scale)) and float(np.float16(scale)) == scale


def test_channels_lie_where_the_operator_has_its_outputs():
    assert [channel_axis(kind) for kind in ("Conv", "SparseConv2d", "ConvTranspose", "MatMul", "Gemm")] == [
        0,
        0,
        1,
        -1,
        1,
    ]
    assert channel_axis("Gemm", transposed=True) == 0
