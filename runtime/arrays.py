"""Byte order and size of arrays."""

from __future__ import annotations

import numpy as np


def make_native(array: np.ndarray) -> np.ndarray:
    """Bring an array to this machine's byte order.

    Arrays read from FITS, NetCDF or .npy files may hold big-endian numbers. Their dtype has the name of the native one
    and yet is unequal to it, so every array that a caller gives passes here once, before a dtype is compared.

    Args:
        array: of any shape, dtype and byte order.

    Returns:
        The same values; the very array where its byte order is the machine's already.
    """
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def enlarge(picture: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge a picture by linear interpolation.

    Pixels are areas, so the centre of the first pixel of the result lies before that of the first pixel given, where
    the edge is repeated.

    Args:
        picture: [..., H, W], float.
        scale: factor of both sides, at least 1; 1 gives the array back.

    Returns:
        [..., scale H, scale W] of the same dtype.
    """
    if scale == 1:
        return picture
    rows = _interpolate(picture, -2, scale)
    return _interpolate(rows, -1, scale).astype(picture.dtype, copy=False)


def _interpolate(values: np.ndarray, axis: int, scale: int) -> np.ndarray:
    length = values.shape[axis]
    places = np.clip((np.arange(length * scale) + 0.5) / scale - 0.5, 0, length - 1)
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, length - 1)
    share = (places - low).astype(values.dtype).reshape([-1 if axis == other else 1 for other in (-2, -1)])
    return np.take(values, low, axis) * (1 - share) + np.take(values, high, axis) * share
