"""Instructions that kernels issue for each active pixel.

They are counted in the machine code, loops by how often they run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .listing import Listing

_WARP = 32
_PRODUCTS = {"HMMA.16816": 16 * 8 * 16, "HMMA.1688": 16 * 8 * 8, "IMMA.16832": 16 * 8 * 32, "IMMA.16816": 16 * 8 * 16}
"""Multiply-adds of an instruction of one warp."""
_GROUP = re.compile(r"[HI]GMMA\.(\d+)x(\d+)x(\d+)")
"""Instructions of four warps together, each of which issues them."""
_COPY = "LDGSTS"
"""Asynchronous copies from global to shared memory."""
CONVERSIONS = ("MUFU", "I2F", "F2I")
"""Instructions that a division by a number that is not known in advance needs."""


@dataclass(frozen=True)
class Work:
    """Matrix product that a block does for one tile."""

    pixels: int
    """Rows of the tile, BM."""
    outputs: int
    """Columns of the tile, BN."""
    depth: int
    """Terms of each sum, padding included."""
    steps: tuple[int, ...]
    """Turns of the source's loops over these terms; 0 for a loop that has nothing to do."""
    stored: int
    """Columns that are stored, padding included; ptxas may leave out products of the others."""
    tiles: int = 1
    """Tiles side by side that hold all outputs of a pixel."""


@dataclass(frozen=True)
class Count:
    """Instructions of a kernel for one tile of work."""

    per_pixel: float
    """Instructions that all warps of a block issue for all outputs of a tile's pixels, divided by their number."""
    tensor_share: float
    """Share of them that multiply on tensor cores, 0 to 1."""
    conversions: int
    """Divisions and conversions in the main loop, `CONVERSIONS`, as they stand in the code."""
    loads: int
    """Loads from global memory in the main loop whose value a register gets; asynchronous copies are no such loads."""


def count_tile(listing: Listing, work: Work, warps: int) -> Count | None:
    """Count the instructions of a tile.

    The longest loop steps through the tiles; what comes before it is not counted. Loops in it run as often as the
    products ask for: the instructions that multiply must give exactly the tile's products. The main loop is all loops
    of products, or, where they are unrolled, what lies from the first product to the last asynchronous copy, behind
    which nothing is fetched for products any more; without such copies to the last product. Work of one step has none.

    Returns:
        None where the code has loops or products that are not understood, such as tcgen05's.
    """
    if not listing.loops:
        return None
    outer = max(listing.loops, key=lambda loop: loop[1] - loop[0])
    body = range(outer[0], outer[1] + 1)
    names = Counter(listing.opcodes[place].split(".")[0] for place in body)
    kind = "FFMA" if not any("MMA" in name for name in names) else "MMA"
    values = {place: _products(listing.opcodes[place], kind) for place in body}
    inner = [loop for loop in listing.loops if outer[0] < loop[0] and loop[1] < outer[1]]
    found = (_find_turns(inner, values, work, columns, warps) for columns in (work.outputs, work.stored))
    turns = next((turns for turns in found if turns is not None), None)
    if turns is None:
        return None
    times = dict.fromkeys(body, 1)
    for (first, last), number in zip(inner, turns, strict=True):
        times.update(dict.fromkeys(range(first, last + 1), number))
    issued = sum(times.values())
    tensor = sum(number for place, number in times.items() if values[place] and kind == "MMA")
    main = (
        []
        if sum(work.steps) < 2
        else list(_main_part(inner, values, [place for place in body if listing.opcodes[place].startswith(_COPY)]))
    )
    return Count(
        per_pixel=issued * warps * work.tiles / work.pixels,
        tensor_share=tensor / issued,
        conversions=sum(listing.opcodes[place].split(".")[0] in CONVERSIONS for place in main),
        loads=sum(listing.opcodes[place].split(".")[0] == "LDG" for place in main),
    )


def _find_turns(
    loops: list[tuple[int, int]], values: dict[int, int], work: Work, columns: int, warps: int
) -> tuple[int, ...] | None:
    """Find the turns of each loop.

    The result is None where the products would not add up.
    """
    sums = [sum(values[place] for place in range(first, last + 1)) for first, last in loops]
    straight = sum(values.values()) - sum(sums)
    wanted = work.pixels * columns * work.depth // warps - straight
    if not all(sums):
        return None
    if len(loops) == 1:
        turns: tuple[int, ...] = (wanted // sums[0],)
    elif len(loops) == len(work.steps):
        turns = work.steps
    else:
        turns = (0,) * len(loops)
    return turns if sum(number * each for number, each in zip(turns, sums, strict=True)) == wanted else None


def _main_part(loops: list[tuple[int, int]], values: dict[int, int], copies: list[int]) -> Iterator[int]:
    if loops:
        for first, last in loops:
            yield from range(first, last + 1)
        return
    products = [place for place, number in values.items() if number]
    if products:
        yield from range(products[0], (copies[-1] if copies else products[-1]) + 1)


def _products(opcode: str, kind: str) -> int:
    """Count the multiply-adds of an instruction of one warp."""
    if kind == "FFMA":
        return _WARP if opcode.split(".")[0] == "FFMA" else 0
    group = _GROUP.match(opcode)
    if group:
        return int(group[1]) * int(group[2]) * int(group[3]) // 4
    return _PRODUCTS.get(".".join(opcode.split(".")[:2]), 0)
