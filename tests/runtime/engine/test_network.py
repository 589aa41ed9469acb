"""Pictures on engines equal those on the CPU, whatever their size, kind and mask."""

import numpy as np
import onnx
import pytest

from spair.runtime import Restorer, UserError
from spair.runtime.bundle.reader import Bundle
from spair.runtime.engine.network import fit_limits
from spair.runtime.errors import GateError
from spair.runtime.tiling.network import PaddedPicture
from spair.runtime.tiling.planning import Limits
from spair.runtime.tiling.spec import SpairNetwork
from tests.emulated.driver.gpu import EAGER, LAZY, RANDOM
from tests.runtime.engine.conftest import MOST, list_profile
from tests.runtime.engine.pictures import draw


@pytest.fixture
def restorer(engine_bundle):
    with Restorer.open(engine_bundle.path, backend="tensorrt") as restorer:
        yield restorer


def assert_equal(result, expected):
    """The double computes by ONNX Runtime: only rounding to bytes and to float32 may differ, by one step."""
    step = 1e-6 if expected.image.dtype == np.float32 else 1
    difference = np.abs(result.image.astype(np.float64) - expected.image.astype(np.float64))
    assert result.image.shape == expected.image.shape and result.image.dtype == expected.image.dtype
    assert difference.max() <= step and (difference > 0).mean() < 1e-3 + (step < 1)
    np.testing.assert_array_equal(result.mask, expected.mask)
    assert result.mask.dtype == bool and result.density == expected.density


@pytest.mark.parametrize("schedule", [LAZY, EAGER, RANDOM])
@pytest.mark.parametrize("size", [(24, 32), (1, 1), (1, 64), (37, 53), (7, 9), MOST])
def test_a_picture_within_the_engine(gpu, restorer, reference, size, schedule):
    gpu.set(schedule=schedule, seed=3)
    for seed in range(4):  # the last ones replay a graph
        picture = draw(*size, seed=seed)
        result = restorer(picture)
        assert_equal(result, reference(picture))
        assert set(result.timings) == {"pre", "model", "post"}
        np.testing.assert_array_equal(result.image[~result.mask], picture[~result.mask])


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (8, 9), (33, 47), (24, 32)])
def test_a_found_mask_given_back_goes_through_the_parts_and_gives_the_same_picture(restorer, size):
    found = restorer(draw(*size))
    given = restorer(draw(*size), mask=found.mask)
    assert "model" in found.timings and "model" not in given.timings
    assert_equal(given, found)


@pytest.mark.parametrize("size", [(49, 64), (48, 65), (200, 150), (20, 700), (700, 20)])
def test_a_picture_above_the_engine_goes_through_the_parts(restorer, reference, size):
    result = restorer(draw(*size))
    assert_equal(result, reference(draw(*size)))
    assert set(result.timings) >= {"net_l", "net_r"}


@pytest.mark.parametrize("threshold", [0.0, 0.15, 0.6, 1.0, "best"])
@pytest.mark.parametrize("size", [(24, 32), (37, 53), (49, 64)])
def test_another_threshold_goes_through_the_parts(restorer, reference, size, threshold):
    picture = draw(*size)
    result = restorer(picture, threshold=threshold)
    assert_equal(result, reference(picture, threshold=threshold))
    assert "net_l" in result.timings and "model" not in result.timings


def test_the_own_threshold_takes_the_whole_engine_and_changes_no_bit(restorer):
    picture = draw(24, 32)
    plain, asked = restorer(picture), restorer(picture, threshold="balanced")
    assert "model" in asked.timings
    np.testing.assert_array_equal(asked.image, plain.image)


def test_engines_with_the_threshold_inside_refuse_another(engine_bundles, shipped, write_plan):
    """Those that an earlier version built."""
    graph = onnx.load(str(Bundle.open(shipped).graph("fp32", "net_l")))
    engine_bundles._plans = {**engine_bundles._plans, "net_l": write_plan(graph, [list_profile(graph, "net_l")])}
    with Restorer.open(engine_bundles.make().path, backend="tensorrt") as restorer:
        assert restorer(draw(49, 64)).image.shape == (49, 64, 3)
        with pytest.raises(UserError, match="the threshold of this model is fixed"):
            restorer(draw(24, 32), threshold=0.2)


def test_without_engines_of_the_parts_their_pictures_are_refused(engine_bundles):
    with Restorer.open(engine_bundles.make(parts=False).path, backend="tensorrt") as restorer:
        assert restorer(draw(24, 32)).image.shape == (24, 32, 3)
        for picture, options in ((draw(49, 64), {}), (draw(8, 8), {"mask": np.ones((8, 8), bool)})):
            with pytest.raises(UserError, match="others need an engine of net_l, .*: build it again with spair build"):
                restorer(picture, **options)


def test_the_largest_window_is_that_of_the_parts(restorer):
    assert restorer.network.largest_window == (512, 512)


def test_without_engines_of_the_parts_there_is_no_largest_window(engine_bundles):
    with (
        Restorer.open(engine_bundles.make(parts=False).path, backend="tensorrt") as restorer,
        pytest.raises(UserError, match="need an engine of net_l"),
    ):
        _ = restorer.network.largest_window


@pytest.mark.parametrize("size", [(512, 512), (8, 4096), (4096, 8), (520, 512), (3000, 2000), (520, 520)])
@pytest.mark.parametrize("block_pixels", [1 << 22, 300 * 300])
def test_every_window_fits_into_the_engine(size, block_pixels):
    spec, largest = SpairNetwork(halo_l=80, halo_r=48), (512, 768)
    picture = PaddedPicture(np.empty((1, 3, *size), np.float32), size)
    limits = fit_limits(Limits(side=2048, block_pixels=block_pixels), spec, largest, picture)
    assert limits.side == 512 - 2 * 128
    if limits.block_pixels >= size[0] * size[1]:  # one block
        assert size[0] <= largest[0] and size[1] <= largest[1]
    else:  # squares with both halos
        assert int(limits.block_pixels**0.5) + 2 * 128 <= 512


def test_values_that_are_not_finite_are_an_error(engine_bundle, monkeypatch):
    with Restorer.open(engine_bundle.path, backend="tensorrt") as restorer:
        run = restorer.network._whole.run
        for total in (np.nan, np.inf):
            monkeypatch.setattr(
                restorer.network._whole, "run", lambda feeds, total=total: {**run(feeds), "total": np.array([total])}
            )
            with pytest.raises(GateError, match="the engine gave values that are not finite; use --precision fp32"):
                restorer(draw(8, 8))
