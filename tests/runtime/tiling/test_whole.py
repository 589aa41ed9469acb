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


def test_values_that_are_not_finite_fail_the_gate():
    network = Constant(lambda image, call: np.full_like(image, np.nan))
    with pytest.raises(GateError, match=r"not finite"):
        Restorer(network)(photo(8, 8))
