"""Masks for timings have the shares that the page of results names."""

import numpy as np

from spair.export.engines.tuning.scenes import DENSITIES, make_masks


def test_masks_have_the_size_and_the_shares():
    masks = make_masks(72, 130)
    assert [mask.shape for mask in masks] == [(72, 130)] * len(DENSITIES)
    assert [mask.sum() for mask in masks] == [round(share * 72 * 130) for share in DENSITIES]
    for mask, again in zip(masks, make_masks(72, 130), strict=True):
        np.testing.assert_array_equal(mask, again)
