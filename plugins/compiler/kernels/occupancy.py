"""Count of a kernel's blocks that fit on a multiprocessor.

The count follows from NVIDIA's tables; nothing is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

REGISTERS = 65536
"""Registers of 32 bits of a multiprocessor."""
REGISTER_UNIT = 256
"""Registers that a warp gets are a multiple of this."""
WARP_UNIT = 4
"""Schedulers of a multiprocessor; its registers are split among them."""
RESERVED_SHARED = 1024
"""Bytes of shared memory that the system takes from every block."""


@dataclass(frozen=True)
class Multiprocessor:
    """Limits of one architecture's multiprocessor."""

    warps: int
    """Resident warps."""
    blocks: int
    """Resident blocks."""
    shared: int
    """Bytes of shared memory."""
    block_shared: int
    """Bytes of shared memory that one block may have."""


KIB = 1024
MULTIPROCESSORS = {
    80: Multiprocessor(64, 32, 164 * KIB, 163 * KIB),
    86: Multiprocessor(48, 16, 100 * KIB, 99 * KIB),
    87: Multiprocessor(48, 16, 164 * KIB, 163 * KIB),
    89: Multiprocessor(48, 24, 100 * KIB, 99 * KIB),
    90: Multiprocessor(64, 32, 228 * KIB, 227 * KIB),
    100: Multiprocessor(64, 32, 228 * KIB, 227 * KIB),
    110: Multiprocessor(48, 24, 228 * KIB, 227 * KIB),
    120: Multiprocessor(48, 24, 100 * KIB, 99 * KIB),
}
"""Limits by architecture. Source: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"."""


def resident_blocks(architecture: int, *, warps: int, registers: int, shared: int) -> int:
    """Count the blocks that a multiprocessor holds at once.

    The count is 0 where not even one fits.

    Args:
        architecture: one of `MULTIPROCESSORS`.
        warps: warps of a block.
        registers: registers of a thread.
        shared: bytes of shared memory of a block.
    """
    limits = MULTIPROCESSORS[architecture]
    if shared > limits.block_shared:
        return 0
    per_warp = -(-registers * 32 // REGISTER_UNIT) * REGISTER_UNIT
    by_registers = REGISTERS // per_warp // WARP_UNIT * WARP_UNIT // warps if per_warp else limits.blocks
    by_shared = limits.shared // (shared + RESERVED_SHARED)
    return min(limits.warps // warps, limits.blocks, by_registers, by_shared)


def occupancy(architecture: int, *, warps: int, registers: int, shared: int) -> float:
    """Compute the share of resident warps, 0 to 1.

    The arguments are those of `resident_blocks`.
    """
    blocks = resident_blocks(architecture, warps=warps, registers=registers, shared=shared)
    return blocks * warps / MULTIPROCESSORS[architecture].warps
