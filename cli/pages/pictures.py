"""Pictures inside a page."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

WIDTH = 640
"""Largest width of a picture in pixels, twice what it takes on a phone; larger ones are scaled down."""


def embed_picture(pixels: np.ndarray, *, lossless: bool = False, width: int = WIDTH) -> str:
    """Encode a picture as a WebP data URI.

    Args:
        pixels: uint8 [H, W, 1 or 3].
        lossless: whether no pixel may change, as for drawings.
        width: largest width; a wider picture is scaled down.
    """
    import numpy as np

    from ...runtime.images.reader import load_pyvips

    vips = load_pyvips()
    image = vips.Image.new_from_array(np.ascontiguousarray(pixels)).copy(
        interpretation="srgb" if pixels.shape[2] == 3 else "b-w"
    )
    if image.width > width:
        image = image.resize(width / image.width)
    options = {"lossless": True} if lossless else {"Q": 85}
    return f"data:image/webp;base64,{base64.b64encode(image.write_to_buffer('.webp', **options)).decode()}"
