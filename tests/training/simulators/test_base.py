"""Laws of the parts that the simulators share."""

import numpy as np
import pytest

from spair.training.simulators.base import (
    VISIBLE,
    draw_smooth_noise,
    find_visible,
    from_linear,
    spline_weights,
    to_linear,
)


def test_linear_light_and_back_is_the_identity_and_agrees_with_the_standard():
    values = np.linspace(0.0, 1.0, 1001, dtype=np.float32)
    np.testing.assert_allclose(from_linear(to_linear(values)), values, atol=2e-6)
    assert to_linear(np.float32([0.5]))[0] == pytest.approx(0.21404, abs=1e-5)  # IEC 61966-2-1
    assert from_linear(np.float32([0.002]))[0] == pytest.approx(0.02584, abs=1e-5)
    assert (np.diff(from_linear(values)) > 0).all()


def test_one_channel_that_changed_by_nine_steps_is_visible_and_by_eight_is_not():
    clean = np.full((1, 3, 3), 100 / 255)
    degraded = clean.copy()
    degraded[0, 1, 2] += 8 / 255
    degraded[0, 2, 0] -= 9 / 255
    assert find_visible(degraded, clean).tolist() == [[False, False, True]]
    assert 8 / 255 < VISIBLE < 9 / 255


@pytest.mark.parametrize(("size", "scale"), [(1, 5.0), (7, 0.7), (300, 40.0)], ids=str)
def test_spline_weights_share_out_one(size, scale):
    weights = spline_weights(size, scale, 0.3)
    assert weights.shape[0] == size
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)


def test_smooth_noise_has_unit_variance_and_features_of_the_scale():
    rng = np.random.default_rng(0)
    noise = draw_smooth_noise(rng, 400, 400, 8.0)
    assert noise.dtype == np.float32
    assert noise.std() == pytest.approx(1.0, abs=0.1)  # (400 / 8)^2 independent values: +- 0.014 on average
    correlation = [np.mean(noise[:, :-shift] * noise[:, shift:]) / noise.var() for shift in (2, 8, 40)]
    assert correlation[0] > 0.9
    assert 0.2 < correlation[1] < 0.7
    assert abs(correlation[2]) < 0.1
