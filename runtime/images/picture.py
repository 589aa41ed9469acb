"""The value object between files and the restorer: pixels, and the metadata that must survive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import make_native

PIXEL_TYPES = ("uint8", "uint16", "float32")


@dataclass(frozen=True)
class Picture:
    """An upright picture and its metadata.

    Raises ValueError when the pixels are not HxWxC of a supported type with 1, 3 or 4 channels.
    """

    pixels: np.ndarray
    """[H, W, C], uint8, uint16 or float32; C is 1 (gray), 3 (RGB) or 4 (RGB + alpha), full range per type.

    Kept in native byte order, whatever was given."""
    icc: bytes | None = None
    """ICC profile of the pixels, byte for byte; None when the file had none (then sRGB is understood)."""
    exif: bytes | None = None
    """EXIF block as read. Its orientation is stale (the pixels are upright): the writer resets that tag."""
    dpi: tuple[float, float] | None = None
    """Horizontal and vertical pixels per inch; None when unknown."""

    def __post_init__(self) -> None:
        shape, kind = self.pixels.shape, self.pixels.dtype.name
        if self.pixels.ndim != 3 or shape[2] not in (1, 3, 4) or 0 in shape or kind not in PIXEL_TYPES:
            raise ValueError(f"a picture is HxWx1, x3 or x4 of {', '.join(PIXEL_TYPES)}, not {shape} {kind}")
        object.__setattr__(self, "pixels", make_native(self.pixels))

    @property
    def height(self) -> int:
        """Rows of the upright picture."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of the upright picture."""
        return int(self.pixels.shape[1])

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is alpha."""
        return self.pixels.shape[2] == 4
