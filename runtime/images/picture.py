"""Picture with its pixels and metadata."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import make_native
from .containers import Extras

PIXEL_TYPES = ("uint8", "uint16", "float32")
"""Names of the supported types of pixels."""


@dataclass(frozen=True)
class Picture:
    """Upright picture with the metadata that a restored file keeps.

    Raises:
        ValueError: the pixels are not [H, W, C] of a supported type with 1 to 4 channels.
    """

    pixels: np.ndarray
    """[H, W, C], uint8, uint16 or float32; C is 1 (gray), 2 (gray and alpha), 3 (RGB) or
    4 (RGB and alpha); values use the full range of
    the type. Kept in native byte order, whatever was given."""
    icc: bytes | None = None
    """Bytes of the ICC profile of the pixels; None if the file had no profile, which means sRGB."""
    exif: bytes | None = None
    """Bytes of the EXIF block as read. The writer resets its orientation, because the pixels are upright."""
    dpi: tuple[float, float] | None = None
    """Horizontal and vertical pixels per inch; None if they are not known."""
    format: str | None = None
    """Name of the file format that the picture was read from, such as "PNG"; None if it was not read."""
    xmp: bytes | None = None
    """Bytes of the XMP packet as read; None if the file had none."""
    extras: Extras = Extras()  # noqa: RUF009 (frozen)
    """Texts, comments, tags and the like, which only a file of the same format keeps."""

    def __post_init__(self) -> None:
        shape, kind = self.pixels.shape, self.pixels.dtype.name
        if self.pixels.ndim != 3 or shape[2] not in (1, 2, 3, 4) or 0 in shape or kind not in PIXEL_TYPES:
            raise ValueError(f"a picture is HxWx1 to x4 of {', '.join(PIXEL_TYPES)}, not {shape} {kind}")
        object.__setattr__(self, "pixels", make_native(self.pixels))

    @property
    def height(self) -> int:
        """Number of rows of the upright picture."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Number of columns of the upright picture."""
        return int(self.pixels.shape[1])

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is alpha."""
        return self.pixels.shape[2] in (2, 4)
