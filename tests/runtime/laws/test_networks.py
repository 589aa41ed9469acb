"""Networks outside of any bundle restore through the same contract, and their faults are errors."""

import numpy as np
import pytest

from spair.runtime import GateError, Restorer
from spair.runtime.tiling.costs import Tuning
from spair.runtime.tiling.network import NetworkOutput, TileCounts
from spair.runtime.tiling.spec import ForeignNetwork, SpairNetwork
from spair.runtime.tiling.two_stage import Localization, TwoStageNetwork


def photo(height, width):
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


class BrokenNetwork(TwoStageNetwork):
    """A network outside of any bundle, as a PyTorch one would be; overflows where it is told to."""

    spec = SpairNetwork(halo_l=0, halo_r=0, grid=4)
    paths = ("dense",)
    tuning = Tuning.assumed(0.5)

    def __init__(self, stage):
        self.stage, self.closed = stage, False

    def localize(self, image):
        _, _, h, w = image.shape
        fill = np.inf if self.stage == "net_l" else 0.5
        mask = np.zeros((1, 1, h, w), np.float32)
        mask[..., 0] = 1
        return Localization(mask, {s: np.full((1, 2, h >> s, w >> s), fill, np.float32) for s in range(3)})

    def restore_window(self, image, located, context, path):
        return np.full_like(image, np.nan if self.stage == "net_r" else 0.25)

    def close(self):
        self.closed = True


@pytest.mark.parametrize(("stage", "which"), [("net_l", "localization"), ("net_r", "restoration")])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_overflow_is_an_error_and_not_a_black_picture(stage, which):
    with pytest.raises(GateError, match=rf"{which} network gave values that are not finite"):
        Restorer(BrokenNetwork(stage))(photo(16, 16))


def test_overflow_is_an_error_where_nothing_seems_distorted():
    """Comparing NaN with the threshold calls every pixel clean."""
    network = BrokenNetwork("net_l")
    with pytest.raises(GateError, match="localization network gave values that are not finite"):
        Restorer(network)(photo(16, 16), mask=np.zeros((16, 16), bool))


def test_a_network_outside_of_a_bundle_restores_and_is_closed():
    network = BrokenNetwork("none")
    with Restorer(network) as restorer:
        result = restorer(np.zeros((9, 9, 3), np.uint8))
    assert network.closed
    assert (result.image[:, 0] == 64).all() and (result.image[:, 1:] == 0).all()  # 0.25 * 255 = 63.75


class Doubling:
    """Any object with the methods of `Network`; its values need clipping and its sizes cropping."""

    spec = ForeignNetwork(multiple=4)
    paths = ("dense",)

    def __init__(self):
        self.seen = None

    def restore(self, picture, limits, clock):
        self.seen = picture
        return NetworkOutput(picture.image * 2, None, TileCounts(dense=1))

    def close(self):
        pass


def test_pictures_are_padded_before_the_network_and_clipped_and_cropped_after_it():
    network, image = Doubling(), photo(5, 7)
    result = Restorer(network)(image)
    padded = np.pad(image, ((0, 3), (0, 1), (0, 0)), mode="edge").transpose(2, 0, 1)[None]
    np.testing.assert_array_equal(network.seen.image, padded)
    assert network.seen.size == (5, 7) and network.seen.known.mask is None
    np.testing.assert_array_equal(result.image, np.minimum(image * 2, 1))
    assert list(result.timings) == ["pre", "post"] and result.tiles == TileCounts(dense=1)
