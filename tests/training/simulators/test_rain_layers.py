"""Layers of rain that a pair shows, and their variation."""

import numpy as np
import pytest

from spair.training.simulators.rain_layers import (
    GAIN,
    SHEAR,
    RainLayer,
    complete_light,
    find_layer,
    find_margin,
    vary_light,
)


def lay(light: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Lay gray light int [H,W] over a picture."""
    return np.clip(clean.astype(int) + light[..., None], 0, 255).astype(np.uint8)


def test_a_layer_is_the_gray_light_wherever_a_channel_is_not_white():
    random = np.random.default_rng(0)
    clean = random.integers(0, 256, (37, 23, 3)).astype(np.uint8)
    light = random.integers(0, 200, (37, 23))
    layer = find_layer(lay(light, clean), clean)
    shown = (clean + light[..., None] < 255).any(axis=2)
    np.testing.assert_array_equal(layer.seen, shown)
    assert 0 < shown.mean() < 1
    for channel in range(3):  # no colour of the background is left, not even where two channels are white
        np.testing.assert_array_equal(layer.light[..., channel][shown], light[shown])
        assert (layer.light[..., channel][~shown] <= light[~shown]).all()
    assert layer.light.dtype == np.int16


def test_coloured_and_dark_differences_are_kept():
    clean = np.full((1, 2, 3), 100, np.uint8)
    degraded = np.array([[[110, 120, 90], [255, 140, 90]]], np.uint8)
    assert find_layer(degraded, clean).light.tolist() == [[[10, 20, -10], [155, 40, -10]]]


def test_light_that_one_layer_does_not_show_comes_from_the_others():
    def layer(light, seen):
        return RainLayer(np.array([light] * 3, np.int16).T[None], np.array([seen], bool))

    most = layer([1, 2, 3, 40], [1, 1, 1, 0])
    second, third = layer([9, 9, 50, 30], [0, 0, 1, 1]), layer([9, 9, 9, 90], [1, 0, 0, 0])
    assert complete_light([third, second, most])[0, :, 0].tolist() == [1, 2, 3, 40]  # at least the bound
    brighter = layer([9, 9, 9, 60], [0, 0, 0, 1])
    assert complete_light([most, brighter])[0, :, 0].tolist() == [1, 2, 3, 60]
    assert complete_light([most])[0, :, 0].tolist() == [1, 2, 3, 40]


@pytest.mark.parametrize("size", [5, 16, 33])
def test_a_varied_layer_keeps_its_rows_but_shifts_and_scales_them(size):
    margin = find_margin(size)
    random = np.random.default_rng(1)
    light = random.integers(0, 2000, (size, size + 2 * margin, 1)).astype(np.int16).repeat(3, axis=2)
    ups, slants, gains = set(), [], []
    for _ in range(60):
        varied = vary_light(random, light, margin)
        assert varied.shape == (size, size, 3) and varied.dtype == np.int16
        (up, shifts, gain) = explain(varied[..., 0], light[..., 0], margin)
        ups.add(up)
        gains.append(gain)
        slants.append(shifts[-1] - shifts[0])
        np.testing.assert_array_equal(shifts, -shifts[::-1])  # about the middle, so that no side is drawn more
    assert 1 / GAIN - 0.01 <= min(gains) < 0.9 and 1.1 < max(gains) <= GAIN + 0.01
    assert ups == {False, True}
    if size > 5:  # at 5 rows the slant is less than half a pixel at either end
        assert min(slants) < 0 < max(slants) and max(map(abs, slants)) <= SHEAR * size + 1


def explain(varied: np.ndarray, light: np.ndarray, margin: int) -> tuple[bool, np.ndarray, float]:
    """Find whether a layer was turned upside down, the shifts of its rows, and its gain."""
    size = len(light)
    for up in (False, True):
        rows, shifts, gains = light[::-1] if up else light, [], []
        for row, source in zip(varied, rows, strict=True):
            for shift in range(-margin, margin + 1):
                part = source[margin + shift :][:size]
                gain = row.sum() / max(part.sum(), 1)
                if (np.abs(row - gain * part) <= 1).all():
                    shifts.append(shift)
                    gains.append(gain)
                    break
        if len(shifts) == size:
            return up, np.array(shifts), float(np.mean(gains))
    raise AssertionError("no shift of whole pixels explains the layer")


def test_a_layer_without_a_margin_is_not_slanted():
    light = np.arange(25, dtype=np.int16).reshape(5, 5, 1).repeat(3, axis=2) * 100
    for seed in range(8):
        _, shifts, _ = explain(vary_light(np.random.default_rng(seed), light, 0)[..., 0], light[..., 0], 0)
        assert not shifts.any()
