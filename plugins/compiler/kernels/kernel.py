"""A compiled kernel, what it uses of a GPU, and the rules it has to keep."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .occupancy import MULTIPROCESSORS, occupancy, resident_blocks
from .variants import Variant

MOST_SCRATCH_PARAMETERS = 2
"""Pointers that Triton adds after a kernel's own parameters; the plugins pass null."""

_TENSOR_INSTRUCTION = re.compile(r"\b(?:mma\.sync|wgmma\.mma_async|tcgen05\.mma)\.[\w.:]+")
_INTEGER = re.compile(r"\.[su]8\b|kind::i8")


@dataclass(frozen=True)
class Kernel:
    """Machine code and PTX of one variant for one architecture."""

    name: str
    """Of the variant."""
    architecture: int
    tile: tuple[int, ...]
    code: bytes
    """Cubin."""
    ptx: str
    symbol: str
    """Entry point in both."""
    warps: int
    shared: int
    """Bytes of dynamic shared memory to launch it with."""
    static_shared: int
    """Bytes of shared memory that it has anyway."""
    scratch: int
    """Bytes of global memory that Triton would want for it."""
    registers: int
    """Of a thread."""
    spills: int
    """Bytes of registers stored to and loaded from local memory."""
    stack: int
    """Bytes of local memory of a thread."""
    cuda: str
    """Release of the ptxas."""

    @property
    def ptx_version(self) -> tuple[int, int]:
        """Of the PTX text; drivers that know less refuse it."""
        version = re.search(r"^\.version (\d+)\.(\d+)", self.ptx, re.MULTILINE)
        return (int(version[1]), int(version[2])) if version else (0, 0)

    @property
    def parameters(self) -> int:
        """Of the entry point, those that Triton adds included."""
        entry = re.search(r"\.entry\s+\w+\s*\((.*?)\)", self.ptx, re.DOTALL)
        return entry[1].count(".param") if entry else 0

    def tensor_instructions(self, precision: str | None = None) -> int:
        """Instructions for tensor cores in the PTX text: all, or those on "fp16" or "int8" values."""
        found = _TENSOR_INSTRUCTION.findall(self.ptx)
        if precision is None:
            return len(found)
        return sum(bool(_INTEGER.search(text)) == (precision == "int8") for text in found)

    @property
    def blocks(self) -> int:
        """Blocks that a multiprocessor holds at once."""
        return resident_blocks(self.architecture, **self._demand())

    @property
    def occupancy(self) -> float:
        """Share of a multiprocessor's warps that the kernel can occupy, 0 to 1: counted, not measured."""
        return occupancy(self.architecture, **self._demand())

    def _demand(self) -> dict[str, int]:
        return {"warps": self.warps, "registers": self.registers, "shared": self.shared + self.static_shared}


def read_resources(log: str) -> dict[str, int]:
    """Registers, spills, stack and static_shared from what `ptxas -v` prints about one kernel.

    Raises:
        ValueError: it is not such a report.
    """
    registers = re.search(r"Used (\d+) registers", log)
    memory = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", log)
    if registers is None or memory is None:
        raise ValueError(f"expected the report of ptxas -v on one kernel, got {log!r}")
    shared = re.search(r"(\d+) bytes smem", log)
    return {
        "registers": int(registers[1]),
        "spills": int(memory[2]) + int(memory[3]),
        "stack": int(memory[1]),
        "static_shared": int(shared[1]) if shared else 0,
    }


def find_violations(kernel: Kernel, variant: Variant, ptx: tuple[int, int]) -> list[str]:
    """What a kernel does against the rules, in words; none for one that may be shipped.

    Args:
        kernel: the compiled kernel.
        variant: what it was compiled from.
        ptx: the newest PTX version that the target's drivers read.
    """
    limits = MULTIPROCESSORS[kernel.architecture]
    own, all_parameters = len(variant.parameters), kernel.parameters
    checks = (
        (kernel.spills or kernel.stack, f"spills {kernel.spills} bytes of registers to {kernel.stack} bytes of stack"),
        (kernel.scratch, f"wants {kernel.scratch} bytes of global memory, which the plugins do not give"),
        (
            variant.tensor_cores and not kernel.tensor_instructions(variant.tensor_cores),
            f"has no tensor-core instruction for {variant.tensor_cores}",
        ),
        (
            not kernel.blocks,
            f"does not fit: {kernel.registers} registers × {32 * kernel.warps} threads, "
            f"{kernel.shared + kernel.static_shared} bytes of shared memory of {limits.block_shared}",
        ),
        (
            not own <= all_parameters <= own + MOST_SCRATCH_PARAMETERS,
            f"takes {all_parameters} parameters, the plugins pass {own}",
        ),
        (
            kernel.ptx_version > ptx,
            "has PTX {}.{}, the drivers read up to {}.{}".format(*kernel.ptx_version, *ptx),
        ),
    )
    return [words for broken, words in checks if broken]
