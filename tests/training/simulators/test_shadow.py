"""Laws of cast shadows."""

import dataclasses
import itertools

import numpy as np
import pytest

from spair.training.simulators.base import to_linear
from spair.training.simulators.shadow import SHAPES, Shadow, add_shadow

NOON = Shadow(shapes=("plane",), size=60.0, penumbra=3.0, contact=1.0, light=(0.18, 0.22, 0.3), variation=0.0)


def white(height: int, width: int) -> np.ndarray:
    return np.ones((height, width, 3), np.float32)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(1, 1), (7, 300), (90, 64)], ids=str)
def test_every_shape_darkens_and_the_remaining_light_is_the_one_asked_for(shape, size):
    darkest = np.ones(3)
    for seed in range(20):
        shadow = dataclasses.replace(NOON, shapes=(shape,))
        image, mask = add_shadow(white(*size), shadow, np.random.default_rng(seed))
        assert (image <= 1).all()
        assert image.shape == (*size, 3)
        darkest = np.minimum(darkest, to_linear(image).min(axis=(0, 1)))
        assert np.array_equal(mask, (1 - image).max(axis=2) > 8.5 / 255)
    np.testing.assert_allclose(darkest, NOON.light, atol=0.02)


def test_no_shape_and_full_light_change_nothing():
    image = np.random.default_rng(0).random((30, 40, 3), np.float32)
    for shadow in (dataclasses.replace(NOON, shapes=()), dataclasses.replace(NOON, light=(1.0, 1.0, 1.0))):
        degraded, mask = add_shadow(image, shadow, np.random.default_rng(1))
        assert np.array_equal(degraded, image)
        assert not mask.any()


def test_less_light_is_darker_everywhere_and_masks_more():
    image = np.random.default_rng(0).random((60, 60, 3), np.float32)
    results = [
        add_shadow(image, dataclasses.replace(NOON, light=(k, k, k)), np.random.default_rng(2)) for k in (0.7, 0.3, 0.1)
    ]
    for pale, deep in itertools.pairwise(results):
        assert (deep.image <= pale.image + 1e-6).all()
        assert deep.image.sum() < pale.image.sum()
        assert (deep.mask >= pale.mask).all()


def test_red_is_attenuated_most_and_blue_least():
    image = add_shadow(white(80, 80), NOON, np.random.default_rng(2)).image
    inside = image[..., 1] < 0.9
    assert inside.any()
    assert (image[inside][:, 0] < image[inside][:, 1]).all()
    assert (image[inside][:, 1] < image[inside][:, 2]).all()


def test_what_is_black_by_itself_belongs_to_the_shadow_it_lies_in():
    on_black = add_shadow(np.zeros((80, 80, 3), np.float32), NOON, np.random.default_rng(2))
    on_white = add_shadow(white(80, 80), NOON, np.random.default_rng(2))
    assert not on_black.image.any()
    assert on_black.mask.any()
    assert np.array_equal(on_black.mask, on_white.mask)


def test_a_wider_penumbra_is_softer():
    slopes = []
    for penumbra in (1.0, 4.0, 12.0):
        shadow = dataclasses.replace(NOON, penumbra=penumbra)
        images = [add_shadow(white(96, 96), shadow, np.random.default_rng(seed)).image for seed in range(6)]
        slopes.append(max(np.abs(np.diff(to_linear(image), axis=axis)).max() for image in images for axis in (0, 1)))
    assert slopes[0] > 1.5 * slopes[1] > 2.25 * slopes[2]
    # The steepest place of a blurred edge falls by (1 - 0.18) / (sigma * sqrt(2 pi)) per pixel.
    assert slopes[1] == pytest.approx(0.82 / (4.0 * np.sqrt(2 * np.pi)), rel=0.35)


@pytest.mark.parametrize(
    "change",
    [
        {"shapes": ("plane", "moon")},
        {"size": 0.0},
        {"penumbra": 0.0},
        {"contact": 1.1},
        {"light": (0.2, 0.2, 1.2)},
        {"variation": -0.1},
    ],
    ids=str,
)
def test_impossible_shadows_are_refused_with_their_values(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))}.*: .*{next(iter(change))}"):
        dataclasses.replace(NOON, **change)


def test_drawn_shadows_are_always_possible():
    for seed in range(200):
        Shadow.draw(np.random.default_rng(seed))
