"""Weights are packed so that products give the convolution's outputs at their places."""

import numpy as np
import pytest

from spair.runtime.cpu.memory.forms import FLOAT, HALF, Form, to_halves
from spair.runtime.cpu.memory.layers import (
    Weights,
    fits_taps,
    pack_head,
    pack_map,
    pack_rows,
    pack_taps,
    round_channels,
)


class Plain:
    """Library whose order is none, so that the matrix can be looked at."""

    lanes = 1

    def pack_layer(self, weight, kind):
        return weight.reshape(-1, weight.shape[2]), np.zeros((weight.shape[0], weight.shape[2]), np.int32)


@pytest.mark.parametrize(("count", "expected"), [(1, 8), (8, 8), (9, 16), (112, 112)])
def test_channels_are_rounded_up(count, expected):
    assert round_channels(count) == expected


@pytest.mark.parametrize("kernel", [1, 3])
def test_rows_read_tap_by_tap(kernel):
    random = np.random.default_rng(0)
    weight = random.random((12, 5, kernel, kernel)).astype(np.float32)
    bias = random.random(12).astype(np.float32)
    layer = pack_rows(Plain(), Weights(weight, bias))
    x = random.random((kernel * kernel, 5)).astype(np.float32)
    np.testing.assert_allclose(
        (x.reshape(-1) @ layer.weight)[:12], np.einsum("tc,dct->d", x, weight.reshape(12, 5, -1)), rtol=1e-5
    )
    assert (layer.inputs, layer.outputs, layer.kernel) == (5, 16, kernel)
    assert (layer.weight[:, 12:] == 0).all() and (layer.bias[12:] == 0).all() and layer.bias.size >= 16 + 16


def test_folded_rows_have_one_position_after_the_other():
    weight = np.arange(4 * 5, dtype=np.float32).reshape(20, 1, 1, 1)
    layer = pack_rows(Plain(), Weights(weight, weight.reshape(-1)), folded=True)
    values = layer.weight.reshape(4, 8)
    assert (layer.outputs, layer.channels) == (32, 5)
    for position in range(4):
        np.testing.assert_array_equal(values[position, :5], np.arange(5) * 4 + position)
    assert (values[:, 5:] == 0).all()
    np.testing.assert_array_equal(layer.bias[:32], values.reshape(-1))


@pytest.mark.parametrize("form", [FLOAT, HALF])
def test_the_taps_of_few_outputs_stand_side_by_side(form):
    weight = np.random.default_rng(0).random((3, 5, 3, 3)).astype(np.float32)
    bias = np.arange(1, 4, dtype=np.float32)
    layer = pack_taps(Plain(), Weights(weight, bias, form))
    expected = to_halves(weight) if form == HALF else weight
    for tap in range(9):
        wanted = expected[:, :, tap // 3, tap % 3].T
        np.testing.assert_array_equal(layer.weight.reshape(5, 32)[:, 3 * tap : 3 * tap + 3], wanted)
    assert (layer.kernel, layer.inputs, layer.outputs, layer.width, layer.channels) == (1, 5, 32, 8, 3)
    assert (layer.bias == 0).all() and layer.tap_bias.tolist() == [1, 2, 3, 0, 0, 0, 0, 0]


def test_other_layers_are_not_computed_by_taps():
    ones, steps = np.ones((8, 4, 3, 3), np.float32), np.ones((3, 4, 3, 3), np.int8)
    assert fits_taps(Weights(ones[:7], ones[:7, 0, 0, 0]))
    assert not fits_taps(Weights(ones, ones[:, 0, 0, 0]))
    assert not fits_taps(Weights(ones[:3, :, :1, :1], ones[:3, 0, 0, 0]))
    assert not fits_taps(Weights(steps, ones[:3, 0, 0, 0], Form("i8", 0.5), ones[:3, 0, 0, 0]))


def test_maps_read_line_by_line_with_zeros_behind_the_channels():
    weight = np.random.default_rng(0).random((3, 2, 3, 3)).astype(np.float32)
    layer = pack_map(Plain(), Weights(weight, np.zeros(3, np.float32)), 8)
    lines = layer.weight.reshape(3, 3, 8, 8)
    np.testing.assert_array_equal(lines[:, :, :2, :3], weight.transpose(2, 3, 1, 0))
    assert (lines[:, :, 2:] == 0).all() and (lines[..., 3:] == 0).all()


def test_the_head_has_features_by_position_then_logits():
    weight = np.arange(4 * 3, dtype=np.float32).reshape(12, 1, 1, 1)  # channel 4 * c + position, c = 0 the logit
    layer = pack_head(Plain(), Weights(weight, weight.reshape(-1)), 1)
    values = layer.weight.reshape(-1)
    assert (layer.outputs, layer.channels) == (40, 2)
    for position in range(4):
        np.testing.assert_array_equal(values[8 * position : 8 * position + 2], [4 + position, 8 + position])
    np.testing.assert_array_equal(values[32:36], [0, 1, 2, 3])


def test_int8_weights_keep_their_values_and_factors():
    random = np.random.default_rng(0)
    weight, scales = random.integers(-127, 128, (12, 5, 3, 3)).astype(np.int8), random.random(12).astype(np.float32)
    given = Weights(weight, np.ones(12, np.float32), Form("i8", 0.5), scales)
    layer = pack_rows(Plain(), given, folded=True)
    assert layer.weight.dtype == np.int8 and layer.form.step == 0.5
    for position in range(4):
        np.testing.assert_array_equal(layer.scale[8 * position : 8 * position + 3], scales[position::4] * 0.5)
        np.testing.assert_array_equal(layer.weight.reshape(9, 5, 32)[4, :, 8 * position], weight[position, :, 1, 1])
    assert (layer.scale[3:8] == 0).all()


def test_halves_are_rounded_from_float32():
    weight = np.random.default_rng(0).random((8, 4, 1, 1)).astype(np.float32)
    layer = pack_map(Plain(), Weights(weight, np.zeros(8, np.float32), HALF), 8)
    np.testing.assert_array_equal(layer.weight[:4], to_halves(weight[:, :, 0, 0].T))


@pytest.mark.parametrize(
    ("kind", "form", "scales"),
    [
        (np.int8, HALF, None),
        (np.float32, Form("i8", 0.1), np.ones(3, np.float32)),
        (np.int8, Form("i8", 0.1), None),
        (np.int8, Form("i8", 0.1), np.ones(2, np.float32)),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(kind, form, scales):
    with pytest.raises(ValueError, match=r"weights"):
        Weights(np.zeros((3, 1, 1, 1), kind), np.zeros(3, np.float32), form, scales)
