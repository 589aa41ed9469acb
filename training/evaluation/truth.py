"""Where a pair differs: the true mask of pictures that have no mask files."""

import numpy as np

from ..simulators.base import VISIBLE, find_visible

SHADOW_BLUR = 2.0
"""Sigma in pixels of the Gaussian that evens out noise and texture before luminances are compared."""

SHADOW_GRAIN = 3
"""Pixels: shadow thinner than twice this is dropped as edges of a pair that is not registered exactly."""

SHADOW_RULE = (
    f"luminance of the input, smoothed by {SHADOW_BLUR:g} px, more than 8 of 255 below the target's, "
    f"opened by a disk of radius {SHADOW_GRAIN} px"
)
DIFFERENCE_RULE = "some channel of input and target differs by more than 8 of 255"

_LUMINANCE = np.array([0.299, 0.587, 0.114])


def derive_mask(image: np.ndarray, target: np.ndarray, *, shadow: bool = False) -> np.ndarray:
    """The distorted pixels of a pair [H, W, 3] 0..1, as bool [H, W].

    By `DIFFERENCE_RULE`; with `shadow` by `SHADOW_RULE`, since pairs of shadow photographs are taken one after the
    other and differ a little everywhere, which is no shadow.
    """
    if not shadow:
        return find_visible(image, target)
    from scipy.ndimage import gaussian_filter
    from skimage.morphology import disk, opening

    darker = gaussian_filter((target.astype(np.float64) - image) @ _LUMINANCE, SHADOW_BLUR)
    # Beyond the border nothing is known: a shadow that the frame cuts is not thin.
    fallen = np.pad(darker > VISIBLE, SHADOW_GRAIN, mode="edge")
    opened = opening(fallen, disk(SHADOW_GRAIN))
    return opened[SHADOW_GRAIN:-SHADOW_GRAIN, SHADOW_GRAIN:-SHADOW_GRAIN].astype(bool)
