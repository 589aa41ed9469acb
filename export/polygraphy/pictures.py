"""Pictures for Polygraphy, with their formats of files."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engines.gate.pictures import make_samples

COUNT = 2
"""Number of pictures."""
SMALL = (96, 64)
"""Width and height in pixels of the picture for comparisons of every tensor, which fill memory."""
_STEP = 8
"""Distance in pixels of the places that are tried for the small picture."""


def make_pictures(largest: tuple[int, int]) -> list[np.ndarray]:
    """Make photographs in rain.

    Args:
        largest: largest width and height in pixels that all engines take.

    Returns:
        `COUNT` pictures [H, W, 3] uint8 RGB of different sizes, as far as these fit. The same ones on every call.
    """
    found = [sample.picture for sample in make_samples(largest) if sample.mask is None and "rain" in sample.name]
    return found[:COUNT]


def cut_small(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Cut out the most distorted part of a picture.

    Args:
        picture: [H, W, 3] uint8.
        mask: [H, W] bool, True at distorted pixels.

    Returns:
        [H, W, 3] uint8, of the size `SMALL` or that of a smaller picture.
    """
    width, height = (min(side, most) for side, most in zip(SMALL, mask.shape[::-1], strict=True))
    places = [
        (top, left)
        for top in range(0, mask.shape[0] - height + 1, _STEP)
        for left in range(0, mask.shape[1] - width + 1, _STEP)
    ]
    top, left = max(places, key=lambda place: mask[place[0] : place[0] + height, place[1] : place[1] + width].sum())
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


def format_json(pictures: Sequence[np.ndarray]) -> bytes:
    """Write pictures as Polygraphy's `save_json` does, for `--load-inputs`.

    Args:
        pictures: [H, W, 3] uint8 each.

    Returns:
        A list with the input `image` [1, H, W, 3] of each.
    """
    return json.dumps([{"image": _encode(picture[None])} for picture in pictures], indent=1).encode()


def format_npz(pictures: Sequence[np.ndarray]) -> bytes:
    """Write pictures for the script `loader`.

    Args:
        pictures: [H, W, 3] uint8 each.

    Returns:
        The file inputs.npz, with arrays [1, H, W, 3] whose names sort in the given order.
    """
    stream = io.BytesIO()
    arrays: dict[str, Any] = {f"image{number:02}": picture[None] for number, picture in enumerate(pictures)}
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _encode(array: np.ndarray) -> dict[str, str]:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return {"array": base64.b64encode(stream.getvalue()).decode(), "polygraphy_class": "ndarray"}
