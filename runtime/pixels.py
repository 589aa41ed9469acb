"""Conversion between pictures and network tensors.

Pictures are [H, W, C] integers or floats, tensors are [1, 3, H, W] float32 in 0..1.
"""

from __future__ import annotations

import numpy as np

from .arrays import enlarge
from .errors import UserError
from .tiling.geometry import round_up

_FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
_CHANNELS = (1, 2, 3, 4)
_STRIP = 64
"""Rows that are converted at a time, so that intermediate values stay in the processor's cache."""

_PICKED = 0.2
"""Density from which converting all pixels of a strip is cheaper than picking the distorted ones."""


def check_image(image: np.ndarray) -> None:
    """Check that an array is a picture the restorer takes.

    Raises:
        UserError: the value is not an array; it is not HxW or HxWxC; C is not 1 to 4; a side is 0; the dtype is not
            uint8, uint16 or float32; float values are not finite or outside of 0..1.
    """
    if not isinstance(image, np.ndarray):
        raise UserError(f"the image is a {type(image).__name__}, expected a numpy array of HxWx3")
    if image.dtype.name not in _FULL_SCALE:
        raise UserError(f"the image has dtype {image.dtype}, expected uint8, uint16 or float32 in 0..1")
    if image.ndim not in (2, 3):
        raise UserError(f"the image has shape {image.shape}, expected HxW (gray) or HxWxC, one image at a time")
    if image.ndim == 3 and image.shape[2] not in _CHANNELS:
        raise UserError(
            f"the image has {image.shape[2]} channels, expected 1 (gray), 2 (gray and alpha), 3 (RGB) or 4 (RGBA)"
        )
    if 0 in image.shape:
        raise UserError(f"the image has shape {image.shape}, expected at least one pixel")
    if image.dtype == np.float32:
        low, high = float(image.min()), float(image.max())  # both are NaN if any value is NaN
        if not (low >= 0.0 and high <= 1.0):
            raise UserError(f"the image has values from {low:g} to {high:g}, expected finite floats in 0..1")


def check_mask(mask: np.ndarray, image: np.ndarray, taken: bool) -> None:
    """Check a mask that the caller gives with a picture.

    Args:
        mask: the mask.
        image: the picture, checked before.
        taken: whether the network takes masks.

    Raises:
        UserError: the network takes no masks; the mask is not an array of bool, or not of the picture's height and
            width.
    """
    if not taken:
        raise UserError("a mask was given, but this network takes none; leave the mask out")
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != image.shape[:2]:
        got = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise UserError(f"the mask is {got}, expected a numpy array of bool, {image.shape[:2]} as the picture")


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Reduce a picture to 8-bit RGB.

    Gray becomes three equal channels, alpha is left out, and other values are rounded to the nearest of 255 steps.

    Args:
        image: [H, W] or [H, W, C], checked before.

    Returns:
        [H, W, 3] uint8.
    """
    return np.moveaxis(_quantised(to_network(image, 1)[0], np.dtype(np.uint8)), 0, 2)


def from_bytes(image: np.ndarray, restored: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Replace the masked pixels of a picture by restored bytes.

    A byte b becomes b / 255 of the picture's full range; see `from_network` for the rest.

    Args:
        image: the input [H, W] or [H, W, C], whose `to_bytes` was restored.
        restored: [H, W, 3] uint8.
        mask: [H, W] bool; None replaces every pixel, as for a network that does not gate its output.

    Returns:
        A new array of the input's shape and dtype.
    """
    return from_network(image, np.moveaxis(restored, 2, 0) / np.float32(255.0), mask)


def to_network(image: np.ndarray, multiple: int) -> np.ndarray:
    """Convert a picture to the input of a network.

    Gray becomes three equal channels, and alpha is left out. Edge pixels are repeated at the bottom and at the right.

    Args:
        image: [H, W] or [H, W, C], checked before.
        multiple: number of pixels that height and width are rounded up to a multiple of.

    Returns:
        [1, 3, Hp, Wp] float32 in 0..1.
    """
    planes = image[None] if image.ndim == 2 else np.moveaxis(image[..., : _count_colours(image)], 2, 0)
    height, width = planes.shape[1:]
    padding = ((0, 0), (0, round_up(height, multiple) - height), (0, round_up(width, multiple) - width))
    tensor = np.empty((1, 3, height + padding[1][1], width + padding[2][1]), dtype=np.float32)
    tensor[0] = np.pad(planes, padding, mode="edge")  # one plane is broadcast to three
    if image.dtype != np.float32:
        tensor /= np.float32(_FULL_SCALE[image.dtype.name])
    return tensor


def from_network(image: np.ndarray, restored: np.ndarray, mask: np.ndarray | None, *, scale: int = 1) -> np.ndarray:
    """Replace the masked pixels of a picture by restored ones.

    Args:
        image: the input [H, W] or [H, W, C]; alpha and every pixel at mask 0 are copied from it bit for bit.
        restored: [3, >= scale H, >= scale W] float32; pixels beyond are padding.
        mask: [H, W] bool; None replaces every pixel.
        scale: factor from the picture's height and width to those of the result; above 1 there is no mask, and alpha
            is enlarged by linear interpolation.

    Returns:
        A new array of the input's shape, but for the scale, and dtype. Values are clipped to the range, and integers
        are rounded to the nearest. Gray is the mean of the three restored channels.
    """
    height, width = scale * image.shape[0], scale * image.shape[1]
    channels = _count_colours(image)
    output = image.copy() if scale == 1 else _make_larger(image, scale)
    colours = output.reshape(height, width, -1)[..., :channels]  # a view: the copy is contiguous
    for top in range(0, height, _STRIP):
        strip = slice(top, min(top + _STRIP, height))
        values, target = restored[:, strip, :width], colours[strip]
        where = None if mask is None else mask[strip]
        if where is not None and where.mean() < _PICKED:
            target[where] = _quantised(_merged(values[:, where], channels), image.dtype).T
        else:
            converted = np.moveaxis(_quantised(_merged(values, channels), image.dtype), 0, -1)
            np.copyto(target, converted, where=True if where is None else where[..., None])
    return output


def _count_colours(image: np.ndarray) -> int:
    """Count the channels without alpha."""
    return 1 if image.ndim == 2 or image.shape[2] <= 2 else 3


def _make_larger(image: np.ndarray, scale: int) -> np.ndarray:
    """Make an array for an enlarged picture, with its alpha."""
    larger = np.empty((scale * image.shape[0], scale * image.shape[1], *image.shape[2:]), image.dtype)
    if image.ndim == 3 and image.shape[2] in (2, 4):
        full = np.float32(_FULL_SCALE[image.dtype.name])
        larger[..., -1] = _quantised(enlarge(image[..., -1].astype(np.float32) / full, scale), image.dtype)
    return larger


def _merged(planes: np.ndarray, channels: int) -> np.ndarray:
    """Average the planes [3, ...] if one channel is wanted."""
    return planes.mean(axis=0, keepdims=True) if channels == 1 else planes


def _quantised(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    clipped = np.clip(values, 0.0, 1.0)  # a new array, so what follows may change it
    if dtype == np.float32:
        return clipped.astype(np.float32, copy=False)
    clipped *= _FULL_SCALE[dtype.name]
    clipped += 0.5
    return clipped.astype(dtype)  # truncates, and nothing is negative
