"""Maps of pixels in memory, as the kernels see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..library import Library, ThreadPool

_FLOAT = 4


@dataclass(frozen=True)
class Map:
    """Map of values inside a border of zeros.

    It is [height, width, channels].
    """

    array: np.ndarray
    """Memory that holds it, kept alive by this reference."""
    first: int
    """Address of the first pixel."""
    line: int
    """Values from a line to the next."""
    stride: int
    """Values from a pixel to the next."""
    height: int
    width: int
    channels: int
    """Channels that carry values, <= stride."""

    @classmethod
    def inside(cls, buffer: np.ndarray, height: int, width: int, channels: int, stride: int, border: int) -> Map:
        """Lay a map out in a buffer.

        Args:
            buffer: flat array of `floats_of` values.
            height: of the map in pixels; `width` likewise.
            channels: channels that carry values.
            stride: values of a pixel.
            border: pixels on each side.
        """
        line = (width + 2 * border) * stride
        first = buffer.ctypes.data + buffer.itemsize * border * (line + stride)
        return cls(buffer, first, line, stride, height, width, channels)

    @classmethod
    def of_planes(cls, view: np.ndarray) -> Map:
        """Read the layout of a view.

        Args:
            view: what `as_planes` gave, or a part of it, [C, H, W].

        Raises:
            ValueError: they do not.
        """
        steps = [step // _FLOAT for step in view.strides]
        if view.dtype != np.float32 or (steps[0] != 1 and view.shape[0] > 1):
            raise ValueError(
                f"expected float32 with channels side by side, got {view.dtype} with strides {view.strides}"
            )
        return cls(view, view.ctypes.data, steps[1], steps[2], view.shape[1], view.shape[2], view.shape[0])

    def as_planes(self) -> np.ndarray:
        """Return the map as a view [C, H, W]."""
        flat = self.array.reshape(-1)
        size = flat.itemsize
        start = (self.first - flat.ctypes.data) // size
        return np.lib.stride_tricks.as_strided(
            flat[start:],
            (self.channels, self.height, self.width),
            (size, size * self.line, size * self.stride),
        )


def floats_of(height: int, width: int, stride: int, border: int) -> int:
    """Return the values of a map with its border."""
    return (height + 2 * border) * (width + 2 * border) * stride


def read_planes(library: Library, pool: ThreadPool, planes: np.ndarray, first: int, border: int = 0) -> None:
    """Copy a picture into a map with its border.

    Args:
        library: the kernels.
        pool: threads that compute.
        planes: [3, H, W] float32, whose lines are contiguous.
        first: address of the map's first pixel, [H, W, 3] float32.
        border: pixels of zeros on each side.
    """
    size, line = (step // _FLOAT for step in planes.strides[:2])
    library.read_planes_f32(pool.handle, planes.ctypes.data, size, line, *planes.shape[1:], first, border)


def interleave(planes: np.ndarray, stride: int) -> np.ndarray:
    """Copy planes into a map without border.

    Args:
        planes: [C, H, W].
        stride: floats of a pixel, >= C.

    Returns:
        A view [C, H, W] as of `Map.as_planes`.
    """
    channels, height, width = planes.shape
    buffer = np.zeros(floats_of(height, width, stride, 0) + stride, np.float32)
    view = Map.inside(buffer, height, width, channels, stride, 0).as_planes()
    view[...] = planes
    return view
