"""Blocks and tiles of two stages give what the whole picture gives, in bounded memory."""

import numpy as np
import onnxruntime as ort
import pytest

from spair.runtime.opening import GraphTwoStage
from spair.runtime.tiling.context import Context
from spair.runtime.tiling.network import TileCounts
from spair.runtime.tiling.two_stage import Localization
from tests.runtime.samples import photo, restore

TOLERANCE = 1e-5  # float32 sums in another order, of values of about 1


def untiled(bundle, image):
    """The definition, in one piece: both graphs on the whole padded picture, statistics by plain numpy."""
    height, width = image.shape[:2]
    padding = ((0, -height % 8), (0, -width % 8), (0, 0))
    x = np.ascontiguousarray(np.pad(image, padding, mode="edge").transpose(2, 0, 1)[None])
    net_l = ort.InferenceSession(bundle.graph("fp32", "net_l"), providers=["CPUExecutionProvider"])
    net_r = ort.InferenceSession(bundle.graph("fp32", "net_r"), providers=["CPUExecutionProvider"])
    mask, *features = net_l.run(["mask", "f0", "f1", "f2"], {"image": x})
    mask = np.pad(mask[..., :height, :width], ((0, 0), (0, 0), *padding[:2]), mode="edge")
    feeds = {"image": x, "mask": mask} | {f"f{s}": f for s, f in enumerate(features)}
    small = mask[0, 0] > 0.5
    for s in (1, 2):
        small = small.reshape(small.shape[0] // 2, 2, -1, 2).max(axis=(1, 3))
        feeds[f"scale{s}"], feeds[f"shift{s}"] = plain_modulation(features[s][0], small)
    feeds["keys"], feeds["key_mask"] = plain_keys(features[2][0], small, grid=4)
    (restored,) = net_r.run(["restored"], feeds)
    return restored[0].transpose(1, 2, 0)[:height, :width], mask[0, 0, :height, :width] > 0.5


def plain_modulation(feature, mask):
    scale, shift = np.ones(len(feature)), np.zeros(len(feature))
    if mask.any() and not mask.all():
        clean, distorted = feature[:, ~mask].astype(float), feature[:, mask].astype(float)
        scale = np.sqrt((clean.var(axis=1) + 1e-5) / (distorted.var(axis=1) + 1e-5))
        shift = clean.mean(axis=1) - distorted.mean(axis=1) * scale
    return [value.astype(np.float32).reshape(1, -1, 1, 1) for value in (scale, shift)]


def plain_keys(feature, mask, grid):
    channels, height, width = feature.shape
    rows, columns = np.arange(height) * grid // height, np.arange(width) * grid // width
    keys, present = np.zeros((1, channels, grid, grid)), np.zeros((1, 1, grid, grid))
    for i in range(grid):
        for j in range(grid):
            cell = (rows[:, None] == i) & (columns[None] == j) & ~mask
            if cell.any():
                keys[0, :, i, j], present[0, 0, i, j] = feature[:, cell].mean(axis=1, dtype=float), 1
    return keys.astype(np.float32), present.astype(np.float32)


SIZES = [(1, 1), (1, 50), (7, 9), (8, 8), (63, 65), (64, 64), (90, 131)]


PLANS = {
    "one block, one tile": {},
    "one block, tiles of 32": {"tile": 32},
    "blocks of 48, tiles of 16": {"tile": 16, "block_pixels": 48 * 48},
    "blocks of 32, one tile each": {"tile": 64, "block_pixels": 32 * 32},
    "blocks of 8, tiles of 8": {"tile": 8, "block_pixels": 64},
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("mask", ["empty", "one pixel", "corner", "blobs", "full"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("plan", PLANS)
def test_tiled_equals_untiled(bundles, size, mask, plan):
    bundle, image = bundles.spair(), photo(*size, mask)
    expected, expected_mask = untiled(bundle, image)
    result = restore(bundle, image, **PLANS[plan])
    assert np.abs(result.image - expected).max() <= TOLERANCE
    np.testing.assert_array_equal(result.mask, expected_mask)
    assert result.density == pytest.approx(expected_mask.mean())


@pytest.mark.sampled(3)
@pytest.mark.parametrize("mask", ["empty", "corner", "blobs", "full"])
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (63, 65)], ids=str)
@pytest.mark.parametrize("plan", ["one block, one tile", "blocks of 48, tiles of 16", "blocks of 32, one tile each"])
def test_what_is_found_in_the_padding_does_not_count(bundles, monkeypatch, size, mask, plan):
    bundle, image = bundles.spair(), photo(*size, mask)
    expected, expected_mask = untiled(bundle, image)
    real = GraphTwoStage.localize
    monkeypatch.setattr(GraphTwoStage, "localize", lambda self, window: turn_padding(real(self, window), window))
    result = restore(bundle, image, **PLANS[plan])
    assert np.abs(result.image - expected).max() <= TOLERANCE
    np.testing.assert_array_equal(result.mask, expected_mask)
    if mask == "empty":
        assert result.tiles.packed == result.tiles.dense == 0


def turn_padding(located, window):
    """Turn a mask in the padding, where rows or columns repeat: no two of a noisy picture are equal."""
    rows, columns = (np.zeros(side, bool) for side in window.shape[2:])
    rows[1:] = (np.diff(window[0], axis=1) == 0).all(axis=(0, 2))
    columns[1:] = (np.diff(window[0], axis=2) == 0).all(axis=(0, 1))
    turned = rows[:, None] | columns
    return Localization(np.where(turned, 1 - located.mask, located.mask), located.features)


def test_the_synthetic_network_really_depends_on_its_context(bundles, monkeypatch):
    """Otherwise the tests above could not notice a wrong one."""
    bundle, image = bundles.spair(), photo(90, 131)
    expected, _ = untiled(bundle, image)
    real = GraphTwoStage.restore_window
    wrong = {
        "scale": lambda c: Context({s: v * 1.1 for s, v in c.scale.items()}, c.shift, c.keys, c.key_mask),
        "shift": lambda c: Context(c.scale, {s: v + 0.1 for s, v in c.shift.items()}, c.keys, c.key_mask),
        "keys": lambda c: Context(c.scale, c.shift, c.keys[..., ::-1] * 2, c.key_mask),
        "key_mask": lambda c: Context(c.scale, c.shift, c.keys, c.key_mask * (np.arange(4) < 1)),
    }
    for what, change in wrong.items():
        with monkeypatch.context() as patch:
            patch.setattr(
                GraphTwoStage,
                "restore_window",
                lambda self, i, located, context, path, change=change: real(self, i, located, change(context), path),
            )
            result = restore(bundle, image)
        assert np.abs(result.image - expected).max() > 10 * TOLERANCE, what


@pytest.mark.parametrize("halo", ["halo_l", "halo_r"])
def test_a_missing_halo_is_visible(bundles, halo, monkeypatch):
    monkeypatch.setattr("spair.runtime.bundle.reader.check_graph", lambda *_: None)  # which would refuse it
    image = photo(90, 131)
    expected, _ = untiled(bundles.spair(), image)
    broken = bundles.spair("broken.spair", **{halo: 0})
    result = restore(broken, image, tile=16, block_pixels=32 * 32)
    assert np.abs(result.image - expected).max() > 10 * TOLERANCE


def test_one_dropped_tile_is_visible(bundles, monkeypatch):
    bundle, image = bundles.spair(), photo(64, 64)
    expected, _ = untiled(bundle, image)
    real, calls = GraphTwoStage.restore_window, []

    def drops_third(self, window, located, context, path):
        calls.append(window)
        return window if len(calls) == 3 else real(self, window, located, context, path)

    monkeypatch.setattr(GraphTwoStage, "restore_window", drops_third)
    assert np.abs(restore(bundle, image, tile=32).image - expected).max() > 10 * TOLERANCE


def test_tiles_with_an_empty_mask_are_skipped_and_counted(bundles):
    bundle, image = bundles.spair(), photo(64, 96, "corner")
    result = restore(bundle, image, tile=32)
    # Halved to 64x48 (empty: one), 32x48 (one), 32x24 (one), and the corner's 32x24.
    assert result.tiles == TileCounts(skipped=3, packed=0, dense=1)
    assert restore(bundle, photo(64, 96, "empty"), tile=32).tiles == TileCounts(skipped=1)


def test_blocks_without_distortion_are_not_computed_again(bundles, monkeypatch):
    real, calls = GraphTwoStage.localize, []
    monkeypatch.setattr(GraphTwoStage, "localize", lambda s, image: calls.append(image.shape) or real(s, image))
    restore(bundles.spair(), photo(64, 96, "corner"), tile=32, block_pixels=32 * 32)
    assert len(calls) == 6 + 1  # every block once, the one with the pixel twice


def test_memory_is_bounded_by_the_block(bundles, monkeypatch):
    real, sizes = GraphTwoStage.localize, []
    monkeypatch.setattr(GraphTwoStage, "localize", lambda s, image: sizes.append(image.shape[2:]) or real(s, image))
    restore(bundles.spair(), photo(200, 328), tile=32, block_pixels=64 * 64)
    limit = 64 + 2 * (24 + 16)  # the block, halo_l and halo_r on both sides
    assert max(max(size) for size in sizes) <= limit


@pytest.mark.parametrize(("crossover", "path"), [(1.1, "packed"), (0.0, "dense")])
def test_the_density_chooses_packed_or_dense(bundles, crossover, path):
    bundle, image = bundles.packed(crossover), photo(32, 32)
    assert getattr(restore(bundle, image).tiles, path) == 1
    assert restore(bundle, image, tile_path="dense").tiles.dense == 1
    assert restore(bundle, image, tile_path="packed").tiles.packed == 1
