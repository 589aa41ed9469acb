"""Pictures whose mask is drawn in red, and a restorer for one of them."""

import numpy as np

from spair.runtime import Restorer


def photo(height, width, mask="blobs", seed=0):
    """Float32 RGB in 0..1 whose red channel draws the mask (above 0.75) for the synthetic network."""
    random = np.random.default_rng(seed)
    image = random.uniform(0.05, 0.7, (height, width, 3)).astype(np.float32)
    image[make_mask(height, width, mask), 0] = 0.9
    return image


def make_mask(height, width, kind):
    mask = np.zeros((height, width), dtype=bool)
    if kind == "full":
        mask[:] = True
    elif kind == "one pixel":
        mask[height // 2, width // 2] = True
    elif kind == "blobs":
        y, x = np.mgrid[:height, :width]
        mask = (np.sin(y / 7.0) * np.sin(x / 9.0)) > 0.5
    elif kind == "corner":
        mask[-1, -1] = True
    return mask


def restore(bundle, image, **settings):
    with Restorer.open(bundle.path, threads=1, **settings) as restorer:
        return restorer(image)
