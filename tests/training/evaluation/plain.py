"""Restored picture for networks that return only an image."""

from typing import NamedTuple

import numpy as np


class Plain(NamedTuple):
    """Restored picture with or without a mask, for `evaluate`."""

    image: np.ndarray
    mask: np.ndarray | None = None
