"""A restorer that averages mirrored pictures is the mean of a plain one."""

import contextlib

import numpy as np
import pytest

from spair.runtime import Restorer, UserError
from tests.runtime.samples import photo


@pytest.fixture(scope="module")
def restorers(tiny_bundle):
    """Restorers of one network, by the number of pictures that they average."""
    with contextlib.ExitStack() as stack:
        yield {flips: stack.enter_context(Restorer.open(tiny_bundle, threads=1, flips=flips)) for flips in (1, 2, 4)}


def mirror(image, flips):
    return [image[::down, ::right] for down, right in ((1, 1), (1, -1), (-1, 1), (-1, -1))[:flips]]


@pytest.mark.parametrize("flips", [2, 4])
@pytest.mark.parametrize("given", [False, True])
def test_the_result_is_the_mean_of_the_plain_results(restorers, flips, given):
    image = photo(37, 53)
    mask = np.random.default_rng(1).random((37, 53)) < 0.3 if given else None
    masks = [None] * flips if mask is None else mirror(mask, flips)
    plain = [
        restorers[1](one.copy(), mask=None if own is None else own.copy())
        for one, own in zip(mirror(image, flips), masks, strict=True)
    ]
    back = [mirror(result.image, flips)[number] for number, result in enumerate(plain)]
    result = restorers[flips](image, mask=mask)
    np.testing.assert_allclose(result.image, np.mean(back, axis=0, dtype=np.float64), atol=2**-22)
    found = np.any([mirror(one.mask, flips)[number] for number, one in enumerate(plain)], axis=0)
    np.testing.assert_array_equal(result.mask, found)
    np.testing.assert_array_equal(result.image[~found], image[~found])
    assert result.density == found.mean() and result.tiles == sum((one.tiles for one in plain[1:]), plain[0].tiles)
    assert np.abs(result.image - restorers[1](image, mask=mask).image).max() > 1e-3


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_integers_are_the_mean_rounded_once_and_alpha_stays(restorers, kind):
    full = np.iinfo(kind).max
    picture = np.rint(np.dstack([photo(24, 40), photo(24, 40, seed=5)[..., 1]]) * full).astype(kind)
    exact = restorers[4](picture[..., :3].astype(np.float32) / np.float32(full)).image.astype(float) * full
    result = restorers[4](picture)
    assert np.abs(result.image[..., :3] - exact).max() <= 0.5 + full * 2.0**-24
    np.testing.assert_array_equal(result.image[..., 3], picture[..., 3])
    np.testing.assert_array_equal(result.image[~result.mask], picture[~result.mask])


def test_a_network_of_one_stage_is_averaged_too(bundles):
    image, path = photo(24, 40), bundles.other().path
    with Restorer.open(path, threads=1) as plain:
        back = [mirror(plain(one.copy()).image, 4)[number] for number, one in enumerate(mirror(image, 4))]
    with Restorer.open(path, threads=1, flips=4) as restorer:
        result = restorer(image)
    assert result.mask is None and result.density == 1.0
    np.testing.assert_allclose(result.image, np.mean(back, axis=0, dtype=np.float64), atol=2**-22)


def test_the_threshold_holds_for_every_picture(restorers):
    image = photo(24, 40)
    assert restorers[2](image, threshold=1.0).density == 0.0
    assert restorers[2](image, threshold=0.0).density == 1.0


def test_scenes_are_left_alone(restorers):
    assert not restorers[2].keeps_scenes


def test_other_numbers_are_refused(tiny_bundle):
    with pytest.raises(UserError, match="the number of flips is 3, expected 1, 2 or 4"):
        Restorer.open(tiny_bundle, flips=3)
