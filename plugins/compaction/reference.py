"""Mask compaction, defined pixel by pixel."""

from __future__ import annotations

import numpy as np

INDEXED = 3
"""Side of the window in taps that an index lists."""


def sparse_index(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List active pixels and their readable taps as arrays.

    Kernels write the first `count[n]` entries of each image alone, in another order.

    Args:
        mask: float [N,1,H,W]; a pixel is active where it is not 0.

    Returns:
        index int32 [N,1,H,W], the pixels of `compact_mask`; taps int32 [N,1,H,W], for each of them the word of
        `list_taps` for a window of 3 x 3; count int32 [N], the number of entries. Other entries are 0.
    """
    index, taps = np.zeros(mask.shape, np.int32), np.zeros(mask.shape, np.int32)
    pixels, words = compact_mask(mask), list_taps(mask, INDEXED)
    for n, listed in enumerate(pixels):
        index[n].flat[: len(listed)], taps[n].flat[: len(listed)] = listed, words[n]
    return index, taps, np.array([len(listed) for listed in pixels], np.int32)


def compact_mask(mask: np.ndarray) -> list[list[int]]:
    """List the active pixels of every image in ascending order.

    Kernels find the same pixels in another order, ascending inside a block of pixels. No operator depends on the order.

    Args:
        mask: float [N,1,H,W]; a pixel is active where it is not 0.

    Returns:
        for each image the indices y * W + x of its active pixels.
    """
    _, _, height, width = mask.shape
    return [[y * width + x for y in range(height) for x in range(width) if image[0, y, x] != 0] for image in mask]


def list_taps(mask: np.ndarray, kernel: int, dilation: int = 1, *, clean_input: bool = False) -> list[list[int]]:
    """List the readable taps of every active pixel.

    The pixels stand in the order of `compact_mask`.

    Args:
        mask: float [N,1,H,W]; a pixel is active where it is not 0.
        kernel: side of the window in taps, odd.
        dilation: distance of taps in pixels.
        clean_input: whether taps are read whatever their mask.

    Returns:
        for each image one word for each active pixel, whose bit `row * kernel + column` says that this tap lies inside
        the picture and may be read. For windows of 3 x 3 the bits from 9 on say that it lies inside, whatever its mask.
    """
    width = mask.shape[3]
    reach = range(-(kernel // 2) * dilation, kernel // 2 * dilation + 1, dilation)
    shifts = [(down, right) for down in reach for right in reach]
    words = []
    for image, active in zip(mask, compact_mask(mask), strict=True):
        places = [divmod(pixel, width) for pixel in active]
        read = [[_is_read(image[0], y + down, x + right, clean_input) for down, right in shifts] for y, x in places]
        if kernel == INDEXED:
            inside = [[_is_read(image[0], y + down, x + right, True) for down, right in shifts] for y, x in places]
            read = [bits + more for bits, more in zip(read, inside, strict=True)]
        words.append([sum(1 << bit for bit, readable in enumerate(bits) if readable) for bits in read])
    return words


def _is_read(mask: np.ndarray, y: int, x: int, clean_input: bool) -> bool:
    height, width = mask.shape
    return 0 <= y < height and 0 <= x < width and (clean_input or bool(mask[y, x] != 0))
