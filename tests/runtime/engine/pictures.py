"""Pictures of the tests."""

import numpy as np


def draw(height: int, width: int, seed: int = 0, dtype: type = np.uint8) -> np.ndarray:
    """Return a picture with bright streaks, [height, width, 3]."""
    random = np.random.default_rng(seed)
    picture = np.clip(random.normal(0.4, 0.05, (height, width, 3)), 0, 1)
    picture[:, random.random(width) < 0.1] += 0.4
    picture = np.clip(picture, 0, 1)
    return picture.astype(np.float32) if dtype is np.float32 else np.rint(picture * np.iinfo(dtype).max).astype(dtype)
