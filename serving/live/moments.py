"""Restored frames as pictures for viewers."""

from __future__ import annotations

import asyncio

import numpy as np

from ...runtime.images import Picture
from ...runtime.images.writer import encode_image
from ...runtime.live.sinks import LiveFrame

SHOWN = ("restored", "mask", "before")
"""Pictures of a frame: restored, the same with its distorted pixels coloured, and as it came."""
QUALITY = 85
"""Quality of JPEG, of 100; a frame is seen for a moment."""
TINT = np.array([255, 45, 120], np.uint16)
"""Colour of distorted pixels, that of the page."""


class Moment:
    """Newest frame, as a picture for whoever asks.

    Its methods belong to one event loop. Each kind of picture is made once, and only where somebody sees it.
    """

    def __init__(self, one: LiveFrame) -> None:
        """Keep a frame."""
        self._one = one
        self._made: dict[str, asyncio.Future[bytes]] = {}
        self.captured = one.captured
        """Seconds on the clock when it was captured."""
        self.density = 1.0 if one.mask is None else float(one.mask.mean())
        """Share of restored pixels."""

    async def encode(self, show: str) -> bytes:
        """Return a JPEG file.

        Args:
            show: one of `SHOWN`.
        """
        if show not in self._made:
            self._made[show] = asyncio.ensure_future(asyncio.to_thread(draw_jpeg, self._one, show))
        return await asyncio.shield(self._made[show])  # others may wait for it, whoever leaves


def draw_jpeg(one: LiveFrame, show: str) -> bytes:
    """Draw a frame as a JPEG file.

    Args:
        one: the frame.
        show: one of `SHOWN`.
    """
    pixels = to_bytes(one.pixels if show == "before" else one.restored)
    if show == "mask" and one.mask is not None:
        times = [side // own for side, own in zip(pixels.shape, one.mask.shape, strict=False)]
        mask = one.mask.repeat(times[0], axis=0).repeat(times[1], axis=1)  # of a network that enlarges
        pixels = np.where(mask[..., None], (pixels + TINT) // 2, pixels).astype(np.uint8)
    return encode_image(Picture(pixels), "JPEG", name="the frame", quality=QUALITY)


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Return pixels as uint8; of more bits the upper eight."""
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
