"""The definition of SparseCompose on values that can be written down."""

import numpy as np

from spair.plugins.sparse_compose.reference import sparse_compose

PICTURE = np.array([0.25, 0.75, 0.5, np.nan, 2.0], np.float32).reshape(1, 1, 1, 5)
RESIDUAL = np.array([0.5, 0.5, -1.0, np.inf, np.nan], np.float16).reshape(1, 1, 1, 5)


def test_distorted_pixels_are_sums_within_limits_and_clean_ones_the_picture():
    mask = np.array([1, 1, 1, 0, 0], np.float16).reshape(1, 1, 1, 5)
    got = sparse_compose(PICTURE, RESIDUAL, mask)
    np.testing.assert_array_equal(got.ravel(), np.float32([0.75, 1.0, 0.0, np.nan, 2.0]))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(
        sparse_compose(PICTURE, RESIDUAL, mask, low=-2, high=3).ravel()[:3], np.float32([0.75, 1.25, -0.5])
    )


def test_a_distorted_pixel_that_is_no_number_stays_none():
    got = sparse_compose(PICTURE, RESIDUAL, np.ones((1, 1, 1, 5), np.float16))
    assert np.isnan(got.ravel()[3:]).all()
