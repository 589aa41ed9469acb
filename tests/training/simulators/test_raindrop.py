"""Laws of drops on a pane."""

import dataclasses

import numpy as np
import pytest

from spair.training.simulators import raindrop
from spair.training.simulators.base import from_linear, to_linear
from spair.training.simulators.raindrop import LARGEST, Drops, add_drops

WET = Drops(
    density=0.2,
    radius=8.0,
    spread=0.4,
    defocus=4.0,
    irregular=0.2,
    minify=3.0,
    sky=(0.8, 0.85, 0.9),
    glow=0.6,
    rim=0.4,
    opacity=0.9,
)


def noisy(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3), np.float32)


def test_a_dry_pane_changes_nothing():
    image = noisy(30, 40)
    degraded, mask = add_drops(image, dataclasses.replace(WET, density=0.0), np.random.default_rng(1))
    assert np.array_equal(degraded, image)
    assert not mask.any()


def test_pixels_that_no_drop_reaches_keep_their_bits():
    image = noisy(200, 200)
    degraded, mask = add_drops(image, dataclasses.replace(WET, density=0.05), np.random.default_rng(1))
    untouched = (degraded == image).all(axis=2)
    assert 0.3 < untouched.mean() < 0.95
    assert not mask[untouched].any()
    assert mask.any()


@pytest.mark.parametrize("defocus", [0.0, 2.0, 15.0, 45.0])
def test_drops_cover_nothing_beyond_the_pixels_that_are_computed(defocus, monkeypatch):
    """Every pixel of every drop, against those within reach."""
    drops = dataclasses.replace(WET, defocus=defocus, irregular=0.5)
    degraded = [add_drops(noisy(70, 90), drops, np.random.default_rng(seed)).image for seed in range(5)]
    monkeypatch.setattr(raindrop, "_reach", lambda lenses, defocus: (np.full(len(lenses.y), 500.0),) * 2)
    everywhere = [add_drops(noisy(70, 90), drops, np.random.default_rng(seed)).image for seed in range(5)]
    np.testing.assert_allclose(degraded, everywhere, atol=1e-6)  # the same sums in float32, in another order


def test_the_covered_share_grows_with_the_density_and_is_the_one_asked_for():
    image = np.zeros((300, 300, 3), np.float32)
    crisp = dataclasses.replace(
        WET, defocus=0.0, glow=1.0, rim=0.0, irregular=0.0, opacity=1.0, sky=(1.0, 1.0, 1.0), spread=0.0
    )
    shares = []
    for density in (0.05, 0.4):
        degraded = add_drops(image, dataclasses.replace(crisp, density=density), np.random.default_rng(2)).image
        covered = (degraded > 0).any(axis=2).mean()
        # Drops fall independently: a point stays dry with exp(-density); outlines are 0.95 to 1.3 times as high as
        # wide, and a black scene shows only the part of a drop that has sky in it.
        assert 0.3 * (1 - np.exp(-density)) < covered < 1.3 * (1 - np.exp(-0.95 * density)) + 0.02
        shares.append(covered)
    assert shares == sorted(shares)


def test_in_an_even_scene_only_the_sky_and_the_rim_show():
    image = np.full((120, 120, 3), 0.5, np.float32)
    clear = add_drops(image, dataclasses.replace(WET, glow=0.0, rim=0.0), np.random.default_rng(1))
    np.testing.assert_allclose(clear.image, image, atol=1e-4)
    assert add_drops(image, dataclasses.replace(WET, glow=0.0, rim=0.6), np.random.default_rng(1)).image.min() < 0.48
    assert add_drops(image, dataclasses.replace(WET, glow=1.0, rim=0.0), np.random.default_rng(1)).image.max() > 0.6


def test_a_drop_mixes_the_scene_with_the_water_by_its_opacity():
    image = np.full((160, 160, 3), 0.1, np.float32)
    full, half = (
        to_linear(add_drops(image, dataclasses.replace(WET, density=0.05, opacity=o), np.random.default_rng(3)).image)
        for o in (0.8, 0.4)
    )
    behind = to_linear(image)
    strong = full - behind > 0.05
    assert strong.any()
    lone = strong & (half - behind < 0.55 * (full - behind))  # two drops on one point cover 1 - 0.6 * 0.6
    np.testing.assert_allclose((half - behind)[lone], 0.5 * (full - behind)[lone], rtol=0.1)
    assert lone.sum() > 0.5 * strong.sum()


def test_a_sharper_pane_has_steeper_edges():
    image = np.full((200, 200, 3), 0.1, np.float32)
    steps = []
    for defocus in (1.0, 4.0, 16.0):
        drops = dataclasses.replace(WET, defocus=defocus, density=0.1, spread=0.0)
        degraded = add_drops(image, drops, np.random.default_rng(4)).image
        steps.append(np.abs(np.diff(degraded, axis=1)).max())
    assert steps[0] > steps[1] > steps[2] > 0


def test_the_scene_is_upside_down_in_a_drop():
    image = np.zeros((400, 400, 3), np.float32)
    image[:200] = from_linear(np.full(3, 0.5, np.float32))  # light above, dark below
    drops = dataclasses.replace(
        WET,
        density=0.4,
        radius=30.0,
        spread=0.0,
        defocus=2.0,
        irregular=0.0,
        glow=0.0,
        rim=0.0,
        opacity=1.0,
        minify=4.0,
    )
    degraded = add_drops(image, drops, np.random.default_rng(5)).image
    assert (degraded[:190] < image[:190] - 0.2).any()  # the dark below appears in the drops above
    assert (degraded[210:] > 0.2).any()


def test_the_crop_does_not_shrink_the_drops():
    """In some draws a large drop covers a small crop completely."""
    drops = dataclasses.replace(WET, radius=40.0, spread=0.0, density=0.5, irregular=0.0)
    image = np.full((8, 8, 3), 0.05, np.float32)
    touched = [(add_drops(image, drops, np.random.default_rng(seed)).image != image).mean() for seed in range(60)]
    assert 0.15 < np.mean(touched) < 0.8  # 1 - exp(-0.5) = 0.39, more with the blur
    assert np.mean([share in (0.0, 1.0) for share in touched]) > 0.6


@pytest.mark.parametrize(
    "change",
    [
        {"density": 1.5},
        {"radius": LARGEST + 1},
        {"spread": -0.1},
        {"defocus": -1.0},
        {"irregular": 0.6},
        {"minify": 0.5},
        {"glow": 1.5},
        {"rim": -0.1},
        {"opacity": 2.0},
        {"sky": (0.5, 0.5, 1.5)},
    ],
    ids=str,
)
def test_impossible_drops_are_refused_with_their_values(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))}.*: .*{next(iter(change))}"):
        dataclasses.replace(WET, **change)


def test_drawn_drops_are_always_possible():
    for seed in range(200):
        Drops.draw(np.random.default_rng(seed))


def test_half_of_the_panes_are_near_the_lens_and_their_drops_are_veils():
    drawn = [Drops.draw(np.random.default_rng(seed)) for seed in range(400)]
    wide = [drops for drops in drawn if drops.defocus > 14]  # no far pane is blurred as much
    # Six panes in ten are near, and a log-uniform 12..45 exceeds 14 in 88 % of them: 0.53, give or take 0.025.
    assert 0.45 < len(wide) / len(drawn) < 0.61
    # A drop as large as its blur reaches its full strength nowhere but in the middle, and half of it at its outline.
    assert np.mean([drops.radius < 1.5 * drops.defocus for drops in wide]) > 0.7
    assert min(drops.glow for drops in wide) >= 0.3
