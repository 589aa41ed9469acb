"""True masks of pairs that have no mask files."""

import numpy as np

from ..simulators.base import VISIBLE, find_visible

SHADOW_BLUR = 2.0
"""Standard deviation in pixels of the Gaussian that evens out noise and texture before luminances are compared."""

SHADOW_GRAIN = 3
"""Radius in pixels of the opening.

Shadow thinner than twice this is dropped: it comes from the edges of a pair that is not registered exactly.
"""

SHADOW_RULE = (
    f"luminance of the input, smoothed by {SHADOW_BLUR:g} px, more than 8 of 255 below the target's, "
    f"opened by a disk of radius {SHADOW_GRAIN} px"
)
"""Rule for pairs of shadow photographs, as reports quote it."""
DIFFERENCE_RULE = "some channel of input and target differs by more than 8 of 255"
"""Rule for all other pairs, as reports quote it."""

_LUMINANCE = np.array([0.299, 0.587, 0.114])


def derive_mask(image: np.ndarray, target: np.ndarray, *, shadow: bool = False) -> np.ndarray:
    """Derive the true mask of a pair.

    The mask follows `DIFFERENCE_RULE`, or with `shadow` `SHADOW_RULE`. The photographs of a shadow pair are taken one
    after the other and differ a little everywhere, also where there is no shadow.

    Args:
        image: degraded picture [H, W, 3], 0..1.
        target: clean picture [H, W, 3], 0..1.
        shadow: whether the pair shows a shadow.

    Returns:
        bool [H, W], true where distorted.
    """
    if not shadow:
        return find_visible(image, target)
    from scipy.ndimage import gaussian_filter
    from skimage.morphology import disk, opening

    darker = gaussian_filter((target.astype(np.float64) - image) @ _LUMINANCE, SHADOW_BLUR)
    # A shadow that the frame cuts is not thin, so the border is repeated outwards before the opening.
    fallen = np.pad(darker > VISIBLE, SHADOW_GRAIN, mode="edge")
    opened = opening(fallen, disk(SHADOW_GRAIN))
    return opened[SHADOW_GRAIN:-SHADOW_GRAIN, SHADOW_GRAIN:-SHADOW_GRAIN].astype(bool)
