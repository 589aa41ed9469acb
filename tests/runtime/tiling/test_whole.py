"""Other people's networks: tiled with a known receptive field equals untiled; everything counts as restored."""

import numpy as np
import onnxruntime as ort
import pytest

from spair.runtime import GateError, Restorer, UserError
from spair.runtime.tiling.spec import ForeignNetwork
from spair.runtime.tiling.whole import WholeNetwork


def photo(height, width):
    return np.random.default_rng(4).uniform(0.2, 0.8, (height, width, 3)).astype(np.float32)


def untiled(bundle, image):
    height, width = image.shape[:2]
    x = np.pad(image, ((0, -height % 4), (0, -width % 4), (0, 0)), mode="edge").transpose(2, 0, 1)[None]
    session = ort.InferenceSession(bundle.graph("fp32", "model"), providers=["CPUExecutionProvider"])
    (restored,) = session.run(["restored"], {"image": np.ascontiguousarray(x)})
    return np.clip(restored[0].transpose(1, 2, 0)[:height, :width], 0, 1)


@pytest.mark.parametrize("size", [(1, 1), (5, 70), (64, 64), (67, 101)], ids=str)
@pytest.mark.parametrize("tile", [4, 16, 512])
def test_tiled_equals_untiled(bundles, size, tile):
    bundle, image = bundles.other(), photo(*size)
    with Restorer.open(bundle.path, tile=tile, threads=1) as restorer:
        result = restorer(image)
    assert np.abs(result.image - untiled(bundle, image)).max() <= 1e-5
    assert result.mask is None and result.density == 1.0 and not restorer.has_mask
    assert result.tiles.dense == -(-size[0] // tile) * -(-size[1] // tile)


class Constant(WholeNetwork):
    """Gives every window its own constant: the worst seam a network can make."""

    spec = ForeignNetwork()
    restored_name = "restored"

    def __init__(self, make):
        self.make, self.calls = make, 0

    def run(self, image):
        self.calls += 1
        return {"restored": self.make(image, self.calls)}

    def close(self):
        pass


def test_seams_are_feathered():
    network = Constant(lambda image, call: np.full_like(image, 0.0 if call == 1 else 1.0))
    row = Restorer(network, tile=64)(np.full((8, 128, 3), 0.5, np.float32)).image[0, :, 0]
    assert row[0] == 0.0 and row[-1] == 1.0
    assert np.abs(np.diff(row)).max() < 0.06  # a hard seam would be 1.0


def test_an_output_of_another_size_is_refused():
    network = Constant(lambda image, call: np.zeros((1, 3, 2, 2), np.float32))
    with pytest.raises(UserError, match=r"'restored' has shape \(1, 3, 2, 2\), expected .*, the shape of the image"):
        Restorer(network)(photo(8, 8))


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.bool_])
def test_an_output_of_another_type_is_refused(kind):
    network = Constant(lambda image, call: image.astype(kind))
    with pytest.raises(UserError, match=rf"'restored' is of type {np.dtype(kind)}, expected floats in 0\.\.1"):
        Restorer(network)(photo(8, 8))


def test_values_that_are_not_finite_fail_the_gate():
    network = Constant(lambda image, call: np.full_like(image, np.nan))
    with pytest.raises(GateError, match=r"not finite"):
        Restorer(network)(photo(8, 8))


class Known(WholeNetwork):
    """Computes a known function of its window."""

    restored_name = "restored"

    def __init__(self, function, **fields):
        self.function, self.spec, self.sizes = function, ForeignNetwork(**fields), []

    def run(self, image):
        self.sizes.append(image.shape)
        return {"restored": self.function(image)}

    def close(self):
        pass


def blur(image):
    """Mean of the 3 x 3 pixels around each, with zeros outside."""
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    rows, columns = image.shape[2:]
    return sum(padded[:, :, y : y + rows, x : x + columns] for y in range(3) for x in range(3)) / np.float32(9)


def doubled(image):
    return np.repeat(np.repeat(blur(image), 2, 2), 2, 3)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_an_enlarged_picture_has_no_seams_and_keeps_its_type_and_alpha(kind):
    image = photo(41, 67)
    if kind is not np.float32:
        image = (image * np.iinfo(kind).max).astype(kind)
    image = np.dstack([image, image[..., :1]])
    whole = Restorer(Known(doubled, scale=2, halo=1), tile=512)(image).image
    tiled = Restorer(Known(doubled, scale=2, halo=1), tile=16)(image).image
    assert whole.shape == (82, 134, 4) and whole.dtype == kind
    near = 1e-6 if kind is np.float32 else 1
    np.testing.assert_allclose(tiled.astype(float), whole.astype(float), atol=near)
    inside = whole[1:-1:2, 1:-1:2, 3].astype(float)  # a quarter of a pixel on from a pixel of the input
    alpha = image[..., 3].astype(float)
    mixed = (0.75 * alpha[:-1] + 0.25 * alpha[1:])[:, :-1] * 0.75 + (0.75 * alpha[:-1] + 0.25 * alpha[1:])[:, 1:] * 0.25
    np.testing.assert_allclose(inside, mixed, atol=near)


def test_a_network_of_one_channel_restores_gray_once_and_colours_as_chosen():
    image = photo(20, 30)
    gray = Known(lambda plane: 1 - plane, picture_channels=1)
    np.testing.assert_allclose(Restorer(gray)(image[..., 0]).image, 1 - image[..., 0], atol=1e-6)
    assert gray.sizes == [(1, 1, 20, 30)]
    np.testing.assert_allclose(Restorer(gray)(image).image, 1 - image, atol=1e-6)
    assert gray.sizes == [(1, 1, 20, 30)] * 4
    luma = Known(lambda plane: plane + np.float32(0.1), picture_channels=1, colour="luma")
    np.testing.assert_allclose(Restorer(luma)(image).image, image + np.float32(0.1), atol=1e-6)
    assert len(luma.sizes) == 1
    larger = Known(lambda plane: np.repeat(np.repeat(plane, 3, 2), 3, 3), picture_channels=1, colour="luma", scale=3)
    assert Restorer(larger)(image).image.shape == (60, 90, 3)


def test_a_network_that_sees_everything_is_run_whole_or_refuses_and_warns_of_tiles():
    network = Known(blur, reach="whole", tile_error=3.25, bytes_per_pixel=100.0)
    network.find_free_memory = lambda: 10**6
    with Restorer(network) as restorer:
        assert restorer(photo(100, 90)).tiles.dense == 1 and restorer.warnings == ()
        network.find_free_memory = lambda: 10**5  # the first picture's memory is used again
        assert restorer(photo(100, 90)).tiles.dense == 1
        with pytest.raises(UserError, match="150x100 pixels take about 2 MB of memory"):
            restorer(photo(100, 150))
    tiled = Restorer(network, tile=32)
    assert tiled(photo(100, 150)).tiles.dense == 20
    assert "pieces of 32 pixels differed by up to 3.25 of 255 steps" in tiled.warnings[0]
