"""How many blocks of a kernel fit on a multiprocessor: a count from NVIDIA's tables, not a measurement."""

from __future__ import annotations

from dataclasses import dataclass

REGISTERS = 65536
"""Of a multiprocessor, 32 bits each."""
REGISTER_UNIT = 256
"""Registers are given to a warp in multiples of this."""
WARP_UNIT = 4
"""A multiprocessor has four schedulers, and registers are split among them."""
RESERVED_SHARED = 1024
"""Bytes of shared memory that the system takes from every block."""
TENSOR_COLUMNS = 512
"""Columns of tensor memory of a multiprocessor that has it (10.x, 11.x)."""


@dataclass(frozen=True)
class Multiprocessor:
    """Limits of one architecture's multiprocessor."""

    warps: int
    blocks: int
    shared: int
    """Bytes of shared memory."""
    block_shared: int
    """Bytes that one block may have."""


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
"""By architecture. Source: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"."""


def resident_blocks(architecture: int, *, warps: int, registers: int, shared: int) -> int:
    """Blocks that a multiprocessor holds at once; 0 where not even one fits.

    Args:
        architecture: one of `MULTIPROCESSORS`.
        warps: of a block.
        registers: of a thread.
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
    """Share of the warps that a multiprocessor can hold, 0 to 1; arguments as in `resident_blocks`."""
    blocks = resident_blocks(architecture, warps=warps, registers=registers, shared=shared)
    return blocks * warps / MULTIPROCESSORS[architecture].warps
