"""Laws of the degradation simulators."""

import dataclasses

import numpy as np
import pytest

from spair.training.simulators.rain import Rain, add_rain, streak_kernel

DRIZZLE = Rain(angle=0.0, length=15.0, width=0.7, density=0.004, opacity=0.6, veil=0.0)


def gray(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 0.4, np.float32)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (64, 80)], ids=str)
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(size):
    first, second = (add_rain(gray(*size), DRIZZLE, np.random.default_rng(3)) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert first.shape == (*size, 3)
    assert first.dtype == np.float32
    if size == (64, 80):
        assert add_rain(gray(*size), DRIZZLE, np.random.default_rng(4)).tobytes() != first.tobytes()


def test_streaks_only_brighten_and_stay_in_range():
    image = np.random.default_rng(0).random((60, 70, 3), np.float32)
    rained = add_rain(image, dataclasses.replace(DRIZZLE, density=0.02), np.random.default_rng(1))
    assert (rained >= image - 1e-6).all()
    assert rained.max() <= 1
    assert 0.05 < (rained > image + 0.03).any(2).mean() < 0.95


def test_no_drops_and_no_veil_change_nothing():
    image = np.random.default_rng(0).random((20, 30, 3), np.float32)
    rained = add_rain(image, dataclasses.replace(DRIZZLE, density=0.0), np.random.default_rng(1))
    np.testing.assert_allclose(rained, image, atol=1e-6)


def test_a_veil_pulls_every_pixel_towards_the_sky():
    veiled = add_rain(gray(9, 9), dataclasses.replace(DRIZZLE, density=0.0, veil=0.5), np.random.default_rng(1))
    np.testing.assert_allclose(veiled, 0.5 * 0.4 + 0.5 * 0.8, atol=1e-6)


def test_denser_rain_covers_more():
    shares = [
        (add_rain(gray(100, 100), dataclasses.replace(DRIZZLE, density=d), np.random.default_rng(2)) > 0.43).mean()
        for d in (0.001, 0.004, 0.016)
    ]
    assert shares == sorted(shares)
    assert shares[0] * 3 < shares[2]


@pytest.mark.parametrize("angle", [-40.0, 0.0, 30.0])
def test_a_streak_has_the_length_and_lean_that_were_asked_for(angle):
    kernel = streak_kernel(dataclasses.replace(DRIZZLE, angle=angle, length=31.0))
    rows, columns = np.nonzero(kernel > 0.5)
    ends = np.hypot(np.ptp(rows), np.ptp(columns))
    assert ends == pytest.approx(31, abs=3)
    lean = np.rad2deg(np.arctan(np.polyfit(rows, columns, 1)[0]))
    assert lean == pytest.approx(angle, abs=4)


@pytest.mark.parametrize(
    "change", [{"length": 0.5}, {"width": 0.0}, {"density": 1.5}, {"opacity": -0.1}, {"veil": 1.0}], ids=str
)
def test_impossible_rain_is_refused_with_its_values(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))}"):
        dataclasses.replace(DRIZZLE, **change)


def test_drawn_rain_is_always_possible():
    for seed in range(200):
        Rain.draw(np.random.default_rng(seed))
