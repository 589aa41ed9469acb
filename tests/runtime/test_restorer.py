"""Every kind of picture comes back as it went in, with its clean pixels untouched."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from spair.runtime import Restorer, UserError
from tests.runtime.samples import photo, restore


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
    with pytest.raises(
        UserError, match=r"a tile of 4 pixels is too small .* multiples of 8 pixels; give --tile 8 or more"
    ) as caught:
        Restorer.open(path, tile=4)
    assert "block_pixels" not in str(caught.value), "which is no option of the command"
    with pytest.raises(UserError, match="a tile of 0 pixels"):
        Restorer.open(path, tile=0)
    with pytest.raises(UserError, match=r"threads is 0, expected 1 or more"):
        Restorer.open(path, threads=0)
    with pytest.raises(UserError, match=r"unknown backend 'tpu', expected one of auto, tensorrt, cpu, onnxruntime"):
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


def test_an_opened_restorer_knows_its_task_preset_precision_and_digest(bundles):
    bundle = bundles.spair()
    with Restorer.open(bundle.path) as restorer:
        manifest = bundle.manifest
        known = {"task": manifest.task, "preset": manifest.preset, "precision": "fp32", "digest": bundle.digest}
        assert restorer.facts == known
        assert dict(Restorer(restorer.network).facts) == {}
