"""Byte order of arrays."""

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
