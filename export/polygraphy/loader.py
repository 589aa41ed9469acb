"""Script for Polygraphy's option `--data-loader-script`.

It needs NumPy and the file inputs.npz beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np


def load_data() -> Iterator[dict[str, np.ndarray]]:
    """Yield photographs in rain.

    Each is the input `image` [1, H, W, 3] uint8 RGB of the whole network, which finds the mask in it. So its layers get
    as many distorted pixels as in use; in random noise nearly every pixel counts as distorted.
    """
    with np.load(Path(__file__).with_name("inputs.npz")) as pictures:
        for name in sorted(pictures.files):
            yield {"image": pictures[name]}
