"""Laws of rain."""

import dataclasses

import numpy as np
import pytest

from spair.training.simulators.base import VISIBLE
from spair.training.simulators.rain import Rain, add_rain, streak_kernel

DRIZZLE = Rain(angle=0.0, length=15.0, width=0.7, density=0.004, opacity=0.6, veil=0.0)
LAYERED = dataclasses.replace(DRIZZLE, layers=3, spread=12.0, variety=0.4, taper=0.5, skew=2.0)


def gray(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 0.4, np.float32)


@pytest.mark.parametrize("rain", [DRIZZLE, LAYERED], ids=["plain", "layered"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (7, 300), (64, 80)], ids=str)
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(rain, size):
    first, second = (add_rain(gray(*size), rain, np.random.default_rng(3)).image for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert first.shape == (*size, 3)
    assert first.dtype == np.float32
    if size == (64, 80):
        assert add_rain(gray(*size), rain, np.random.default_rng(4)).image.tobytes() != first.tobytes()


@pytest.mark.parametrize("rain", [DRIZZLE, LAYERED], ids=["plain", "layered"])
def test_streaks_only_brighten_and_stay_in_range(rain):
    image = np.random.default_rng(0).random((60, 70, 3), np.float32)
    rained, mask = add_rain(image, dataclasses.replace(rain, density=0.02), np.random.default_rng(1))
    assert (rained >= image - 1e-6).all()
    assert rained.max() <= 1
    assert 0.05 < mask.mean() < 0.98
    assert np.array_equal(mask, (np.abs(rained - image) > VISIBLE).any(2))


def test_no_drops_and_no_veil_change_nothing():
    image = np.random.default_rng(0).random((20, 30, 3), np.float32)
    rained, mask = add_rain(image, dataclasses.replace(LAYERED, density=0.0), np.random.default_rng(1))
    np.testing.assert_allclose(rained, image, atol=1e-6)
    assert not mask.any()


def test_a_veil_pulls_every_pixel_towards_the_sky():
    veiled = add_rain(gray(9, 9), dataclasses.replace(DRIZZLE, density=0.0, veil=0.5), np.random.default_rng(1))
    np.testing.assert_allclose(veiled.image, 0.5 * 0.4 + 0.5 * 0.8, atol=1e-6)
    assert veiled.mask.all()


def test_a_drifting_veil_varies_around_the_even_one():
    drifting = dataclasses.replace(DRIZZLE, density=0.0, veil=0.3, drift=0.4)
    veil = (add_rain(gray(900, 900), drifting, np.random.default_rng(1)).image[..., 0] - 0.4) / 0.4
    assert veil.mean() == pytest.approx(0.3, abs=0.06)  # sd 0.12 over about 50 independent places
    assert veil.std() == pytest.approx(0.12, abs=0.04)


def test_denser_rain_covers_more():
    shares = [
        add_rain(gray(100, 100), dataclasses.replace(DRIZZLE, density=d), np.random.default_rng(2)).mask.mean()
        for d in (0.001, 0.004, 0.016)
    ]
    assert shares == sorted(shares)
    assert shares[0] * 3 < shares[2]


def test_every_layer_covers_more():
    shares = [
        add_rain(gray(100, 100), dataclasses.replace(LAYERED, layers=n), np.random.default_rng(2)).mask.mean()
        for n in (1, 2, 4)
    ]
    assert shares[0] < shares[1] < shares[2]


def test_skewed_rain_has_the_same_streaks_but_most_of_them_fainter():
    even, skewed = (
        add_rain(gray(80, 80), dataclasses.replace(DRIZZLE, skew=skew), np.random.default_rng(2)).image
        for skew in (1.0, 3.0)
    )
    assert (skewed <= even + 1e-6).all()
    assert (skewed - 0.4).sum() < 0.7 * (even - 0.4).sum()


@pytest.mark.parametrize("angle", [-40.0, 0.0, 30.0])
def test_a_streak_has_the_length_and_lean_that_were_asked_for(angle):
    kernel = streak_kernel(dataclasses.replace(DRIZZLE, angle=angle, length=31.0))
    rows, columns = np.nonzero(kernel > 0.5)
    ends = np.hypot(np.ptp(rows), np.ptp(columns))
    assert ends == pytest.approx(31, abs=3)
    lean = np.rad2deg(np.arctan(np.polyfit(rows, columns, 1)[0]))
    assert lean == pytest.approx(angle, abs=4)


def test_a_tapered_streak_fades_towards_its_ends():
    kernel = streak_kernel(dataclasses.replace(DRIZZLE, length=31.0, taper=1.0))
    line = kernel[:, len(kernel) // 2]
    half = len(line) // 2
    assert line.argmax() == half
    assert line[half + 8] == pytest.approx(0.5, abs=0.1)  # half-way to the end, 15.5 away
    assert streak_kernel(dataclasses.replace(DRIZZLE, length=31.0))[half + 8, half] > 0.95


@pytest.mark.parametrize(
    "change",
    [
        {"length": 0.5},
        {"width": 0.0},
        {"density": 1.5},
        {"opacity": -0.1},
        {"veil": 1.0},
        {"layers": 0},
        {"spread": 50.0},
        {"variety": -1.0},
        {"taper": 1.1},
        {"skew": 0.5},
        {"drift": -0.1},
    ],
    ids=str,
)
def test_impossible_rain_is_refused_with_its_values(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))}.*: .*{next(iter(change))}"):
        dataclasses.replace(DRIZZLE, **change)


def test_drawn_rain_is_always_possible():
    for seed in range(200):
        Rain.draw(np.random.default_rng(seed))
