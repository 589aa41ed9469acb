"""Masks handed in with a picture take the place of the network's own."""

import numpy as np
import pytest

from spair.runtime import Restorer, UserError


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3), np.float32)


def test_a_given_mask_replaces_the_networks(bundles):
    bundle, image = bundles.spair(), photo(37, 50)
    given = np.zeros((37, 50), bool)
    given[:, 45:] = True  # reaches into the padding
    with Restorer.open(bundle.path, threads=1) as restorer:
        result = restorer(image, mask=given)
    np.testing.assert_array_equal(result.mask, given)
    np.testing.assert_array_equal(result.image[~given], image[~given])
    assert (result.image[given] != image[given]).mean() > 0.9


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((8, 9), bool), r"the mask is bool \(8, 9\), expected a numpy array of bool, \(8, 8\) as the picture"),
        (np.zeros((8, 8), np.uint8), r"the mask is uint8 \(8, 8\), expected"),
        ([[True]], "the mask is list, expected"),
    ],
    ids=["size", "dtype", "list"],
)
def test_a_mask_that_does_not_fit_is_refused(bundles, mask, message):
    with Restorer.open(bundles.spair().path, threads=1) as restorer, pytest.raises(UserError, match=message):
        restorer(photo(8, 8), mask=mask)


def test_a_network_without_a_mask_takes_none(bundles):
    with Restorer.open(bundles.other().path, threads=1) as restorer, pytest.raises(UserError, match="has none"):
        restorer(photo(8, 8), mask=np.zeros((8, 8), bool))


@pytest.mark.parametrize("mask", ["some", "none"])
def test_a_given_mask_works_in_blocks_and_tiles(bundles, mask):
    bundle, image = bundles.spair(), photo(90, 131)
    given = np.random.default_rng(1).random((90, 131)) < (0.1 if mask == "some" else 0.0)
    with Restorer.open(bundle.path, threads=1) as whole:
        expected = whole(image, mask=given).image
    with Restorer.open(bundle.path, threads=1, tile=16, block_pixels=48 * 48) as cut:
        result = cut(image, mask=given)
    np.testing.assert_allclose(result.image, expected, atol=2e-5)
    np.testing.assert_array_equal(result.mask, given)
