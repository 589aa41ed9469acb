"""Instructions of a kernel's tile, counted in its code.

Nothing is timed. Files in docs/results hold what was counted, so that an estimate needs no compiler.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from spair.plugins.compiler.assembly.listing import Listing, disassemble
from spair.plugins.compiler.kernels.kernel import Kernel
from spair.plugins.compiler.kernels.variants import Variant

KEYS = 256
"""Keys of the attention that is counted: those of a raster of 16 x 16."""


@dataclass(frozen=True)
class Tile:
    """Work of one block of a kernel."""

    instructions: float
    """Instructions of all its warps."""
    pixels: int
    """Pixels of a tile."""
    channels: int
    """Channels of a tile; other blocks take those beyond."""
    turn: float = 0.0
    """Instructions of one turn of a loop whose turns depend on the picture."""

    def blocks(self, pixels: int, channels: int) -> int:
        """Count the tiles of a picture."""
        return -(-pixels // self.pixels) * -(-channels // self.channels)


Tiles = Mapping[str, Tile]
"""Tiles by the names of kernels, those of layers with their sizes."""


def read_tiles(rows: Mapping[str, Sequence[float]]) -> dict[str, Tile]:
    """Read what `write_tiles` wrote."""
    return {name: Tile(row[0], int(row[1]), int(row[2]), *row[3:]) for name, row in rows.items()}


def write_tiles(tiles: Tiles) -> dict[str, list[float]]:
    """Return tiles as JSON values, sorted by name."""
    return {
        name: [round(tile.instructions, 1), tile.pixels, tile.channels, *[round(tile.turn, 1)] * bool(tile.turn)]
        for name, tile in sorted(tiles.items())
    }


def count_kernel(kernel: Kernel, variant: Variant) -> Tile | None:
    """Count a tile of a kernel.

    Returns:
        None where the code is not understood, such as tcgen05's.
    """
    listing = disassemble(kernel.code)
    if variant.function == "sparse_non_local":
        queries, keys, width = kernel.tile
        return Tile(count_attention(listing, KEYS // keys) * kernel.warps, queries, width)
    if variant.layer is not None:
        side_by_side = -(-variant.layer.outputs // kernel.tile[1])
        return kernel.count and Tile(
            kernel.count.per_pixel * kernel.tile[0] / side_by_side, kernel.tile[0], kernel.tile[1]
        )
    return _count_straight(listing, kernel)


def count_attention(listing: Listing, turns: int) -> int:
    """Count a warp's instructions for a tile of attention.

    The longest loop steps through the tiles, and the one in it through blocks of keys.
    """
    first, last = max(listing.loops, key=lambda loop: loop[1] - loop[0])
    inside = sum(end + 1 - start for start, end in listing.loops if first < start and end < last)
    return last + 1 - first + (turns - 1) * inside


def _count_straight(listing: Listing, kernel: Kernel) -> Tile:
    """Count a kernel without a loop over tiles.

    The only loop that it may have turns as often as the picture asks for.
    """
    last = max(place for place, opcode in enumerate(listing.opcodes) if opcode.startswith("EXIT"))
    inside = max((end + 1 - start for start, end in listing.loops), default=0)
    pixels, channels = (*kernel.tile, 1)[:2]
    return Tile((last + 1 - inside) * kernel.warps, pixels, channels, inside * kernel.warps)


def choose_counted(variants: Sequence[Variant]) -> Iterator[Variant]:
    """Choose the kernels that pictures of "pixels" run in."""
    skipped = ("pack_weight", "combine_scales", "sparse_conv2d")
    for variant in variants:
        if variant.function in skipped or "LINEAR" in variant.layouts.values():
            continue
        if variant.function != "sparse_non_local" or variant.name.endswith(".b32"):
            yield variant
