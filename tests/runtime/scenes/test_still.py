"""Kept values stand for distorted pixels where a scene stands still, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from spair.runtime import Restorer
from spair.runtime.cpu.library.compiling import find_compiler
from spair.runtime.scenes.still import STILLNESS, Stillness, StillScene

SIZE = (136, 200)
BOUNDS = Stillness(change=0.05, share=0.1, own=1.0, moving=1.0, whole=0.5, frames=1000)


def draw(seed=0, size=SIZE):
    return np.random.default_rng(seed).random((3, *size), dtype=np.float32)


def scatter(share=0.1, size=SIZE):
    return np.random.default_rng(1).random(size) < share


def begin(bounds=BOUNDS, kept=None):
    scene = StillScene(bounds)
    assert scene.find(draw(), scatter()) is None, "nothing was shown before"
    scene.keep(draw() if kept is None else kept)
    return scene


def test_all_distorted_pixels_of_a_scene_at_rest_are_taken():
    scene, frame, mask = begin(), draw(), scatter()
    frame[:, mask] = 0.5
    taken = scene.find(frame, mask)
    np.testing.assert_array_equal(taken, mask)
    before = frame.copy()
    np.testing.assert_array_equal(scene.put(frame, taken), draw())
    np.testing.assert_array_equal(frame, before)


@pytest.mark.parametrize(("shift", "still"), [(0.04, True), (0.06, False)])
def test_small_changes_of_all_pixels_are_none(shift, still):
    scene = begin(kept=draw() * 0.5)
    assert (scene.find(draw() * np.float32(0.5) + np.float32(shift), scatter()) is not None) == still


def test_what_moves_is_computed_and_the_rest_is_not():
    """With the cells around it, since an edge may pass between two samples."""
    scene, frame, mask = begin(), draw(), scatter()
    frame[:, 64:96, 96:128] = draw(2)[:, 64:96, 96:128]
    taken = scene.find(frame, mask)
    assert not taken[64:96, 96:128].any()
    np.testing.assert_array_equal(taken[:32], mask[:32])
    np.testing.assert_array_equal(taken[:, 160:], mask[:, 160:])


@pytest.mark.parametrize(
    ("bounds", "computed"),
    [
        ({}, False),  # 36 of the 576 samples around
        ({"own": 0.5}, True),  # 36 of its own 64
        ({"moving": 0.5}, True),
        ({"moving": 0.6}, False),
    ],
)
def test_a_small_thing_that_moves_is_seen_in_its_own_cell(bounds, computed):
    scene, frame, mask = begin(replace(BOUNDS, **bounds)), draw(), scatter(0.02)
    frame[:, 64:88, 96:120] = draw(2)[:, 64:88, 96:120]
    taken = scene.find(frame, mask)
    assert (not taken[64:96, 96:128].any()) == computed
    neighbour, far = (slice(64, 96), slice(64, 96)), (slice(64, 96), slice(32, 64))
    assert taken[neighbour].any() == (bounds.get("moving") != 0.5) and taken[far].any()


def test_a_camera_that_moves_leaves_nothing_though_parts_are_flat():
    kept = draw()
    kept[:, :, :104] = 0.25
    scene, moved = begin(kept=kept), np.roll(kept, 3, axis=2)
    assert scene.find(moved, scatter()) is None
    rested = replace(BOUNDS, whole=0.1)
    assert begin(rested, kept).find(moved, scatter())[:, 8:32].any(), "the flat part alone seems to rest"


def test_cells_without_enough_clean_pixels_are_computed():
    scene, mask = begin(), scatter()
    mask[:, :104] = True
    taken = scene.find(draw(), mask)
    assert not taken[:, :64].any() and taken[:, 160:].any()


def test_every_cell_is_computed_anew_in_turn():
    frames = 6
    scene = begin(replace(BOUNDS, frames=frames))
    everywhere = np.zeros(SIZE, bool)
    everywhere[16::32, 16::32] = True
    computed = [everywhere & ~scene.find(draw(), everywhere) for _ in range(frames)]
    assert (np.sum(computed, axis=0) == everywhere).all() and all(one.any() for one in computed)


@pytest.mark.parametrize("size", [(8, 8), (16, 200), (136, 8)])
def test_frames_of_any_size(size):
    scene = StillScene(BOUNDS)
    scene.find(draw(size=size), scatter(size=size))
    scene.keep(draw(size=size))
    mask = scatter(0.2, size)
    np.testing.assert_array_equal(scene.find(draw(size=size), mask), mask)


def test_a_frame_of_another_size_takes_nothing():
    assert begin().find(draw(size=(136, 208)), scatter(size=(136, 208))) is None


def test_values_that_are_not_finite_are_not_at_rest():
    kept = np.full((3, *SIZE), np.nan, np.float32)
    assert begin(kept=kept).find(draw(), scatter()) is None


@pytest.mark.parametrize("backend", ["onnxruntime", "cpu"])
@pytest.mark.parametrize("name", STILLNESS)
def test_a_restorer_computes_what_the_scene_does_not_give(tiny_bundle, name, backend):
    """A first frame is a picture of its own; later ones keep what it gave, and the mask is that of the frame."""
    if backend == "cpu" and find_compiler() is None:
        pytest.skip("a C++ compiler is not installed")
    picture = (255 * np.moveaxis(draw(), 0, 2)).astype(np.uint8)
    mask, scene = scatter(), StillScene(STILLNESS[name])
    with Restorer.open(tiny_bundle, backend=backend, threads=1) as restorer:
        alone, first = restorer(picture, mask=mask), restorer(picture, mask=mask, scene=scene)
        np.testing.assert_array_equal(first.image, alone.image)
        streaked = picture.copy()
        streaked[mask] = 200
        second, alone = restorer(streaked, mask=mask, scene=scene), restorer(streaked, mask=mask)
        np.testing.assert_array_equal(second.mask, mask)
        np.testing.assert_array_equal(second.image[~mask], picture[~mask])
        kept = (second.image == first.image).all(axis=2) & mask
        assert kept.sum() > 0.8 * mask.sum() and (alone.image == first.image).all(axis=2)[mask].mean() < 0.5
        np.testing.assert_array_equal(restorer(picture, mask=np.zeros_like(mask), scene=scene).image, picture)
