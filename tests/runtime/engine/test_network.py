"""Pictures on engines equal those on the CPU, whatever their size, kind and mask."""

import threading

import numpy as np
import pytest

from spair.runtime import Restorer, UserError
from spair.runtime.engine.network import fit_limits
from spair.runtime.tiling.network import PaddedPicture
from spair.runtime.tiling.planning import Limits
from spair.runtime.tiling.spec import SpairNetwork
from tests.emulated.driver.gpu import EAGER, LAZY, RANDOM
from tests.runtime.engine.conftest import MOST, draw


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


@pytest.mark.parametrize("size", [(49, 64), (48, 65), (200, 150), (20, 700), (700, 20)])
def test_a_picture_above_the_engine_goes_through_the_parts(restorer, reference, size):
    result = restorer(draw(*size))
    assert_equal(result, reference(draw(*size)))
    assert set(result.timings) >= {"net_l", "net_r"}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_every_kind_of_picture(restorer, reference, dtype, channels):
    picture = draw(26, 35, dtype=dtype)
    picture = picture[..., 0] if channels is None else np.dstack([picture, picture])[..., :channels]
    result = restorer(picture)
    assert_equal(result, reference(picture))
    if channels == 4:
        np.testing.assert_array_equal(result.image[..., 3], picture[..., 3])


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 1.0])
def test_a_given_mask_goes_through_the_parts(restorer, reference, share):
    picture, mask = draw(30, 41), np.random.default_rng(5).random((30, 41)) < share
    assert_equal(restorer(picture, mask=mask), reference(picture, mask=mask))


def test_views_of_pictures(restorer, reference):
    picture = draw(40, 60)
    for view in (picture[::2, 5:40], picture[:, ::-1], picture[..., ::-1], np.asfortranarray(picture[:30])):
        assert_equal(restorer(view), reference(view))


def test_threads_share_a_restorer(restorer, reference):
    pictures = [draw(20 + 3 * seed, 32, seed) for seed in range(8)]
    expected, wrong = [reference(picture) for picture in pictures], []

    def work(index: int) -> None:
        for turn in range(4):
            try:
                assert_equal(restorer(pictures[(index + turn) % 8]), expected[(index + turn) % 8])
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_results_are_the_callers_own(restorer):
    first = restorer(draw(24, 32, 1))
    kept = first.image.copy(), first.mask.copy()
    for seed in range(4):
        restorer(draw(24, 32, seed))
    np.testing.assert_array_equal(first.image, kept[0])
    np.testing.assert_array_equal(first.mask, kept[1])


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


def test_closing_twice(engine_bundle):
    restorer = Restorer.open(engine_bundle.path, backend="tensorrt")
    restorer(draw(24, 32))
    restorer(draw(24, 32), mask=np.ones((24, 32), bool))
    restorer.close()
    restorer.close()
