"""Tiled equals untiled, clean pixels are untouched, and every kind of picture comes back as it went in."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime as ort
import pytest

from spair.runtime import Restorer, UserError
from spair.runtime.opening import GraphTwoStage
from spair.runtime.tiling.context import Context
from spair.runtime.tiling.network import TileCounts

TOLERANCE = 1e-5  # float32 sums in another order, of values of about 1


def photo(height, width, mask="blobs", seed=0):
    """Float32 RGB in 0..1 whose red channel draws the mask (above 0.75) for the synthetic network."""
    random = np.random.default_rng(seed)
    image = random.uniform(0.05, 0.7, (height, width, 3)).astype(np.float32)
    image[make_mask(height, width, mask), 0] = 0.9
    return image


def make_mask(height, width, kind):
    mask = np.zeros((height, width), dtype=bool)
    if kind == "full":
        mask[:] = True
    elif kind == "one pixel":
        mask[height // 2, width // 2] = True
    elif kind == "blobs":
        y, x = np.mgrid[:height, :width]
        mask = (np.sin(y / 7.0) * np.sin(x / 9.0)) > 0.5
    elif kind == "corner":
        mask[-1, -1] = True
    return mask


def untiled(bundle, image):
    """The definition, in one piece: both graphs on the whole padded picture, statistics by plain numpy."""
    height, width = image.shape[:2]
    padding = ((0, -height % 8), (0, -width % 8), (0, 0))
    x = np.ascontiguousarray(np.pad(image, padding, mode="edge").transpose(2, 0, 1)[None])
    net_l = ort.InferenceSession(bundle.graph("fp32", "net_l"), providers=["CPUExecutionProvider"])
    net_r = ort.InferenceSession(bundle.graph("fp32", "net_r"), providers=["CPUExecutionProvider"])
    mask, *features = net_l.run(["mask", "f0", "f1", "f2"], {"image": x})
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


def restore(bundle, image, **settings):
    with Restorer.open(bundle.path, threads=1, **settings) as restorer:
        return restorer(image)


SIZES = [(1, 1), (1, 50), (7, 9), (8, 8), (63, 65), (64, 64), (90, 131)]
PLANS = {
    "one block, one tile": {},
    "one block, tiles of 32": {"tile": 32},
    "blocks of 48, tiles of 16": {"tile": 16, "block_pixels": 48 * 48},
    "blocks of 32, one tile each": {"tile": 64, "block_pixels": 32 * 32},
    "blocks of 8, tiles of 8": {"tile": 8, "block_pixels": 64},
}


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
def test_a_missing_halo_is_visible(bundles, halo):
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


def test_packed_is_refused_where_there_is_no_packed_graph(bundles):
    with pytest.raises(UserError, match=r"no packed fp32 graph; use the dense path"):
        Restorer.open(bundles.spair().path, tile_path="packed")


def as_kind(image, kind):
    """The float picture as another dtype."""
    full = {"uint8": 255, "uint16": 65535}.get(kind)
    return image if full is None else np.rint(image * full).astype(kind)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("layout", ["rgb", "rgba", "gray", "gray3d"])
def test_every_layout_comes_back_with_its_clean_pixels_untouched(bundles, kind, layout):
    image = photo(37, 53)
    picture = {
        "rgb": image,
        "rgba": np.dstack([image, photo(37, 53, seed=5)[..., 1]]),
        "gray": image[..., 0],
        "gray3d": image[..., :1],
    }[layout]
    picture = as_kind(picture, kind)
    before = picture.copy()
    result = restore(bundles.spair(), picture, tile=16)
    np.testing.assert_array_equal(picture, before)  # the input is not written to
    assert result.image.shape == picture.shape and result.image.dtype == picture.dtype
    assert result.mask.shape == (37, 53) and 0 < result.mask.mean() < 1
    np.testing.assert_array_equal(result.image[~result.mask], picture[~result.mask])
    assert (result.image[result.mask] != picture[result.mask]).mean() > 0.3
    if layout == "rgba":
        np.testing.assert_array_equal(result.image[..., 3], picture[..., 3])


@pytest.mark.parametrize(("kind", "full"), [("uint8", 255), ("uint16", 65535)])
def test_integers_are_the_float_result_rounded_to_nearest(bundles, kind, full):
    bundle, picture = bundles.spair(), as_kind(photo(37, 53), kind)
    exact = restore(bundle, picture.astype(np.float32) / np.float32(full)).image.astype(float) * full
    rounding = full * 2.0**-24  # of the product with `full` in float32, before it is rounded to an integer
    assert np.abs(restore(bundle, picture).image - exact).max() <= 0.5 + rounding


def test_gray_is_the_mean_of_the_restored_channels(bundles):
    bundle, gray = bundles.spair(), photo(24, 24)[..., 0]
    colour = restore(bundle, np.repeat(gray[..., None], 3, axis=2))
    result = restore(bundle, gray)
    expected = np.where(colour.mask, colour.image.mean(axis=2), gray)
    np.testing.assert_allclose(result.image, expected, atol=1e-6)


def test_a_view_with_strides_is_restored_like_its_copy(bundles):
    bundle, image = bundles.spair(), photo(40, 60)
    view = image[::2, ::-1]
    np.testing.assert_array_equal(restore(bundle, view).image, restore(bundle, view.copy()).image)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([[0, 0, 0]], "is a list, expected a numpy array"),
        (np.zeros((4, 4, 2), np.uint8), "has 2 channels, expected 1 .* 3 .* or 4"),
        (np.zeros((4, 4, 5), np.uint8), "has 5 channels"),
        (np.zeros((1, 4, 4, 3), np.uint8), "one image at a time"),
        (np.zeros(7, np.uint8), r"shape \(7,\)"),
        (np.zeros((0, 4, 3), np.uint8), "at least one pixel"),
        (np.zeros((4, 0), np.uint8), "at least one pixel"),
        (np.zeros((4, 4, 3), np.float64), "dtype float64, expected uint8, uint16 or float32"),
        (np.zeros((4, 4, 3), np.int16), "dtype int16"),
        (np.full((4, 4, 3), np.nan, np.float32), "finite floats in 0..1"),
        (np.full((4, 4, 3), 255, np.float32), "from 255 to 255"),
        (np.full((4, 4, 3), -0.01, np.float32), "from -0.01"),
        (np.full((4, 4, 3), np.inf, np.float32), "to inf"),
    ],
)
def test_bad_images_are_refused_in_one_sentence(bundles, image, message):
    with Restorer.open(bundles.spair().path) as restorer, pytest.raises(UserError, match=message) as caught:
        restorer(image)
    assert "\n" not in str(caught.value)


def test_bad_options_are_refused(bundles):
    path = bundles.spair().path
    with pytest.raises(UserError, match=r"tile is 4 .* at least 8"):
        Restorer.open(path, tile=4)
    with pytest.raises(UserError, match="tile is 0"):
        Restorer.open(path, tile=0)
    with pytest.raises(UserError, match=r"threads is 0, expected 1 or more"):
        Restorer.open(path, threads=0)
    with pytest.raises(UserError, match=r"unknown backend 'tpu', expected one of auto, onnxruntime"):
        Restorer.open(path, backend="tpu")
    with pytest.raises(UserError, match=r"has no int8 graphs .it has: fp32.; .*spair calibrate"):
        Restorer.open(path, precision="int8")


def test_threads_may_share_a_restorer(bundles):
    photos = [photo(40 + 8 * i, 72, seed=i) for i in range(6)]
    with Restorer.open(bundles.spair().path, threads=1, tile=32) as restorer, ThreadPoolExecutor(4) as pool:
        alone = [restorer(image).image for image in photos]
        together = [result.image for result in pool.map(restorer, photos)]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_timings_name_the_stages(bundles):
    result = restore(bundles.spair(), photo(16, 16))
    assert list(result.timings) == ["pre", "net_l", "context", "net_r", "post"]
    assert all(seconds >= 0 for seconds in result.timings.values())


def test_restoring_after_close_is_refused(bundles):
    restorer = Restorer.open(bundles.spair().path)
    restorer.close()
    restorer.close()
    with pytest.raises(ValueError, match=r"was closed"):
        restorer(photo(8, 8))
