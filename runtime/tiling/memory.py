"""Memory that a picture needs, planned before it is taken.

The figures are lower bounds, so that no picture is refused that would have been restored: what the arrays of a picture
take, and what the layers of a network took at least when it was measured.
"""

from __future__ import annotations

import math

from ..bounds.memory import MemoryShortError, find_free_memory, require_memory, say_gigabytes
from .geometry import round_down, round_up
from .pieces import FEATHER
from .planning import SMALLEST_PIECE, Limits
from .spec import BytesNetwork, ForeignNetwork, NetworkSpec, SpairNetwork

FLOAT_BYTES = 24
"""Bytes of a pixel in float32 RGB, before and after."""
MASKED_BYTES = 38
"""Bytes of a pixel of a network with a mask: both pictures in float32, masks, and sums over them; measured: 39."""
LOCALIZED = 2
"""Memory of Net_L on a block, in units of its features; measured with the preset tiny: 2.2."""
DENSE = 12
"""Memory of Net_R on a dense window, in units of Net_L's features; measured with the preset tiny: 13."""
TINY_CHANNELS = (8, 24, 32)
"""Channels of the features of the smallest preset, for bundles that do not say theirs."""


def count_picture_bytes(spec: NetworkSpec | BytesNetwork, pixels: int, bytes_per_pixel: int) -> int:
    """Count the bytes of a picture's arrays, at least.

    Args:
        spec: the network.
        pixels: height times width.
        bytes_per_pixel: those of the picture that is given; the restored one takes as many.
    """
    if isinstance(spec, BytesNetwork):
        return pixels * bytes_per_pixel
    return pixels * (bytes_per_pixel + (MASKED_BYTES if spec.has_mask else FLOAT_BYTES))


def count_feature_bytes(spec: SpairNetwork) -> int:
    """Count the bytes of Net_L's features per pixel."""
    channels = spec.channels or TINY_CHANNELS
    scales = spec.scales if len(spec.scales) == len(channels) else range(len(channels))
    return int(sum(4 * count / 4**scale for scale, count in zip(scales, channels, strict=True)))


def check_picture(
    spec: NetworkSpec | BytesNetwork, limits: Limits, size: tuple[int, int], bytes_per_pixel: int, *, layers: bool
) -> None:
    """Refuse a picture that needs more memory than is free.

    Args:
        spec: the network.
        limits: bounds on blocks.
        size: height and width in pixels.
        bytes_per_pixel: those of the picture that is given.
        layers: whether the layers of the network run in main memory.

    Raises:
        MemoryShortError: it does not fit; the message has both figures.
    """
    height, width = size
    if not isinstance(spec, BytesNetwork):
        height, width = round_up(height, spec.multiple), round_up(width, spec.multiple)
    need = count_picture_bytes(spec, height * width, bytes_per_pixel)
    if layers and isinstance(spec, SpairNetwork):
        need += LOCALIZED * count_feature_bytes(spec) * _count_block_pixels(spec, limits, height, width)
    advice = "cut it into parts, or free memory"
    if isinstance(spec, ForeignNetwork):
        advice += "; smaller pieces (--tile) lower what the network itself takes on top"
    require_memory(need, f"restoring a picture of {size[1]}x{size[0]} pixels", advice)


def _count_block_pixels(spec: SpairNetwork, limits: Limits, height: int, width: int) -> int:
    """Count the pixels of the largest window of Net_L."""
    if height * width <= limits.block_pixels:
        return height * width
    side = int(limits.block_pixels**0.5) + 2 * spec.halo_l
    return min(side, height) * min(side, width)


def check_window(spec: SpairNetwork, height: int, width: int) -> None:
    """Refuse a dense window that does not fit into memory.

    Args:
        spec: the network, whose layers run in main memory.
        height: that of the window in pixels.
        width: that of the window.

    Raises:
        MemoryShortError: it does not fit; the message has both figures, and the largest tile that does.
    """
    each = DENSE * count_feature_bytes(spec)
    tile = find_fitting_tile(spec, each)
    advice = f"give --tile {tile}" if tile else "free memory"
    require_memory(each * height * width, f"a piece of {width}x{height} pixels", advice)


def find_fitting_tile(spec: SpairNetwork, bytes_per_pixel: int) -> int | None:
    """Find the largest tile whose window fits into memory.

    Args:
        spec: the network.
        bytes_per_pixel: those that a pixel of a window takes.

    Returns:
        A power of two in pixels; None where not even the smallest piece fits.
    """
    free, tile = find_free_memory(), SpairNetwork.default_tile
    while free is not None and bytes_per_pixel * (tile + 2 * spec.halo_r) ** 2 > free:
        tile //= 2
        if tile < max(SMALLEST_PIECE // 2, spec.multiple):
            return None
    return tile


def check_whole(spec: ForeignNetwork, size: tuple[int, int], free: int | None, granted: float) -> float:
    """Refuse a picture that cannot be seen whole.

    Unlike that of other networks, the memory of the layers follows the picture here, and not the tile.

    Args:
        spec: network that must see a picture whole.
        size: height and width of the picture in pixels.
        free: bytes of memory that are free; None where that is not known.
        granted: bytes that earlier pictures took and that are used again.

    Returns:
        Bytes that the picture takes, as estimated; 0 where the bundle does not say.

    Raises:
        MemoryShortError: they are more than there is; the message has the largest tile that fits.
    """
    needed = spec.estimate_bytes(size[0] * size[1])
    if free is None or needed <= free + granted:
        return needed
    pixels = spec.fit_pixels(free + granted)
    side = round_down(math.isqrt(pixels) - 2 * (spec.halo + FEATHER), math.lcm(spec.multiple, spec.align or 1))
    advice = f", or --tile {side}, the largest that fits; its result {spec.say_tile_error()}" if side >= 8 else ""
    raise MemoryShortError(
        f"this network must see a picture whole, and {size[1]}x{size[0]} pixels take about {say_gigabytes(needed)} of "
        f"memory, of which {say_gigabytes(free + granted)} are free; give a smaller picture{advice}"
    )
