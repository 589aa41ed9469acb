"""Laws of motion blur."""

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from spair.training.simulators import blur
from spair.training.simulators.blur import Blur, add_blur, convolve_sparse, draw_track, track_kernel

PAN = Blur(length=12.0, direction=0.0, shake=0.0, rotation=0.0, zoom=0.0, centre=(0.0, 0.0))


def noisy(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3), np.float32)


def smooth(height: int, width: int) -> np.ndarray:
    """Noise without detail that a bilinear reading could lose."""
    wide = gaussian_filter(np.random.default_rng(0).random((height, width, 3)), (4, 4, 0), mode="wrap")
    return np.clip(0.5 + 8 * (wide - 0.5), 0, 1).astype(np.float32)


@pytest.mark.parametrize("gamma", [1.0, 2.2])
@pytest.mark.parametrize("objects", [(), (0.0,)], ids=["camera", "object"])
def test_no_motion_is_the_identity(gamma, objects):
    still = dataclasses.replace(PAN, length=0.0, gamma=gamma, objects=objects)
    degraded, mask = add_blur(noisy(40, 50), still, np.random.default_rng(1))
    np.testing.assert_allclose(degraded, noisy(40, 50), atol=1e-5)
    assert not mask.any()


def test_a_pan_is_the_mean_of_shifted_pictures():
    image = smooth(60, 90)
    blurred = add_blur(image, PAN, np.random.default_rng(0)).image
    places = np.linspace(-6, 6, 241)
    expected = np.mean([shift(image[..., 1], (0, place), order=1, mode="mirror") for place in places], axis=0)
    np.testing.assert_allclose(blurred[:, 10:-10, 1], expected[:, 10:-10], atol=0.01)


def test_zoom_and_rotation_move_each_place_by_its_own_path():
    image = smooth(200, 200)
    turned = dataclasses.replace(PAN, length=0.0, rotation=4.0, zoom=0.03)
    change = np.abs(add_blur(image, turned, np.random.default_rng(0)).image - image).mean(axis=2)
    assert change[90:110, 90:110].mean() < 0.2 * change[:40, :40].mean()
    elsewhere = dataclasses.replace(turned, centre=(-80.0, -80.0))
    moved = np.abs(add_blur(image, elsewhere, np.random.default_rng(0)).image - image).mean(axis=2)
    assert moved[10:30, 10:30].mean() < 0.2 * moved[160:, 160:].mean()


def test_paths_that_hardly_differ_are_taken_for_one(monkeypatch):
    """Paths that differ by `ALIKE` are off by half of it.

    Half of the difference lies on either side of the middle, so no place is off by more than a pixel.
    """
    image = smooth(120, 160)
    turned = dataclasses.replace(PAN, rotation=0.8, zoom=0.005, centre=(100.0, -300.0))
    assert blur.ALIKE / 2 < np.hypot(np.deg2rad(0.8), 0.005) * np.hypot(120, 160) / 2 < blur.ALIKE
    one = add_blur(image, turned, np.random.default_rng(0)).image
    monkeypatch.setattr(blur, "ALIKE", 0.0)
    many = add_blur(image, turned, np.random.default_rng(0)).image
    unblurred = np.abs(image - many)[20:-20, 20:-20].mean()
    assert 0 < np.abs(one - many)[20:-20, 20:-20].mean() < 0.1 * unblurred


def test_the_direction_of_a_rotation_is_a_circle():
    """Right of the centre the picture moves up or down, which blurs horizontal stripes and no vertical ones."""
    stripes = (0.5 + 0.5 * np.sin(np.arange(129) * 1.2)).astype(np.float32)
    horizontal = np.repeat(np.repeat(stripes[:, None, None], 129, 1), 3, 2)
    turned = dataclasses.replace(PAN, length=0.0, rotation=3.0, centre=(0.0, -200.0))
    contrast = [
        add_blur(image, turned, np.random.default_rng(0)).image[54:74, 54:74].std()
        for image in (horizontal, horizontal.transpose(1, 0, 2))
    ]
    assert contrast[0] < 0.5 * contrast[1]


def test_a_longer_path_is_blurrier():
    contrast = [
        add_blur(noisy(64, 64), dataclasses.replace(PAN, length=length), np.random.default_rng(1)).image.std()
        for length in (1.0, 3.0, 8.0, 24.0)
    ]
    assert contrast == sorted(contrast, reverse=True)
    assert contrast[3] < 0.5 * contrast[0]


@pytest.mark.parametrize("direction", [0.0, 37.0, 90.0])
@pytest.mark.parametrize("length", [0.3, 5.0, 20.0])
def test_a_straight_path_does_not_shift_the_picture(direction, length):
    kernel = track_kernel(draw_track(length, direction, 0.0, np.random.default_rng(0)))
    y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert (kernel * y).sum() == pytest.approx(0, abs=1e-4)
    assert (kernel * x).sum() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("shake", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("length", [0.0, 0.7, 10.0, 30.0])
def test_a_path_has_the_length_asked_for_and_is_at_rest_in_the_middle_of_the_exposure(length, shake):
    track = draw_track(length, 20.0, shake, np.random.default_rng(3))
    assert len(track) % 2 == 1
    assert np.hypot(*np.diff(track, axis=0).T).sum() == pytest.approx(length, abs=1e-9)
    assert not track[len(track) // 2].any()


def test_a_convolution_with_one_entry_moves_the_picture():
    image = noisy(9, 11)
    kernel = np.zeros((5, 5), np.float32)
    kernel[2 + 1, 2 - 2] = 1.0  # down by 1, left by 2
    moved = convolve_sparse(np.pad(image, ((2, 2), (2, 2), (0, 0))), kernel)
    assert np.array_equal(moved[1:, :-2], image[:-1, 2:])


def test_a_moving_thing_is_blurred_in_front_of_a_still_background():
    image = noisy(160, 160)
    alone = dataclasses.replace(PAN, length=0.0, objects=(20.0,))
    degraded, mask = add_blur(image, alone, np.random.default_rng(4))
    assert 0.05 < mask.mean() < 0.9
    still = (np.abs(degraded - image) < 1e-4).all(axis=2)
    assert still.mean() > 0.1


def test_light_that_is_averaged_instead_of_values_is_brighter():
    image = noisy(40, 40)
    values, light = (
        add_blur(image, dataclasses.replace(PAN, gamma=gamma), np.random.default_rng(0)).image for gamma in (1.0, 2.2)
    )
    assert (light >= values - 1e-5).all()  # a power mean grows with its power
    assert light.mean() > values.mean() + 0.02


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 300), (130, 257)], ids=str)
def test_paths_longer_than_the_picture_are_reflected_at_its_edges(size):
    wild = dataclasses.replace(PAN, length=30.0, shake=0.7, rotation=1.0, zoom=0.05, objects=(30.0,))
    degraded = add_blur(noisy(*size), wild, np.random.default_rng(0)).image
    assert degraded.shape == (*size, 3)
    if size == (1, 1):
        np.testing.assert_allclose(degraded, noisy(1, 1), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"length": -1.0},
        {"shake": 1.5},
        {"rotation": 20.0},
        {"zoom": 0.6},
        {"gamma": 0.5},
        {"objects": (3.0, -1.0)},
    ],
    ids=str,
)
def test_impossible_blur_is_refused_with_its_values(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))}.*: .*{next(iter(change))}"):
        dataclasses.replace(PAN, **change)


def test_drawn_blur_is_always_possible():
    for seed in range(200):
        Blur.draw(np.random.default_rng(seed))
