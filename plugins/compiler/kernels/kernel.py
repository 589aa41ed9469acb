"""Compiled kernels, their use of a GPU, and their rules."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...cost import NumberType
from ..assembly.counts import Count
from .occupancy import MULTIPROCESSORS, occupancy, resident_blocks
from .variants import Variant

MOST_INSTRUCTIONS = {("fp16", True): 75, ("fp16", False): 105, ("int8", True): 60, ("int8", False): 60}
"""Instructions of warps for each active pixel of a 3 x 3 layer of 64 channels and 64 outputs, at most: by the type of x
and of the weights, and by whether the architecture multiplies with four warps together (9.0)."""
MOST_FOR_STEPS = {"float": 0, "int8": 10, "both": 15}
"""Further instructions, at most, where the output is written quantized, or as it is and quantized."""
MOST_SCRATCH_PARAMETERS = 2
"""Number of pointers, at most, that Triton adds after a kernel's own parameters; the plugins pass null."""

_TENSOR_INSTRUCTION = re.compile(r"\b(?:mma\.sync|wgmma\.mma_async|tcgen05\.mma)\.[\w.:]+")
_INTEGER = re.compile(r"\.[su]8\b|kind::i8")


@dataclass(frozen=True)
class Kernel:
    """Machine code and PTX of one variant for one architecture."""

    name: str
    """Name of the variant."""
    architecture: int
    tile: tuple[int, ...]
    code: bytes
    """Machine code, a cubin."""
    ptx: str
    symbol: str
    """Name of the entry point in both."""
    warps: int
    shared: int
    """Bytes of dynamic shared memory to launch it with."""
    static_shared: int
    """Bytes of shared memory that it takes in addition."""
    scratch: int
    """Bytes of global memory that Triton would want for it."""
    registers: int
    """Registers of a thread."""
    spills: int
    """Bytes of registers stored to and loaded from local memory."""
    stack: int
    """Bytes of local memory of a thread."""
    cuda: str
    """Release of the ptxas that made the code."""
    count: Count | None = None
    """Instructions for the variant's layer; None for other kernels, and for code that is not understood."""

    @property
    def ptx_version(self) -> tuple[int, int]:
        """PTX version; drivers that know only older versions refuse it."""
        version = re.search(r"^\.version (\d+)\.(\d+)", self.ptx, re.MULTILINE)
        return (int(version[1]), int(version[2])) if version else (0, 0)

    @property
    def parameters(self) -> int:
        """Number of the entry point's parameters, Triton's additions included."""
        entry = re.search(r"\.entry\s+\w+\s*\((.*?)\)", self.ptx, re.DOTALL)
        return entry[1].count(".param") if entry else 0

    def tensor_instructions(self, kind: NumberType | None = None) -> int:
        """Count the instructions for tensor cores in the PTX text.

        Args:
            kind: "fp16" or "int8" counts instructions on such numbers alone; None counts all.
        """
        found = _TENSOR_INSTRUCTION.findall(self.ptx)
        if kind is None:
            return len(found)
        return sum(bool(_INTEGER.search(text)) == (kind == "int8") for text in found)

    @property
    def blocks(self) -> int:
        """Number of blocks that a multiprocessor holds at once."""
        return resident_blocks(self.architecture, **self._demand())

    @property
    def occupancy(self) -> float:
        """Share of a multiprocessor's warps that the kernel can occupy.

        It is 0 to 1, and counted, not measured.
        """
        return occupancy(self.architecture, **self._demand())

    def _demand(self) -> dict[str, int]:
        return {"warps": self.warps, "registers": self.registers, "shared": self.shared + self.static_shared}


def read_resources(log: str) -> dict[str, int]:
    """Read what `ptxas -v` prints about one kernel.

    Returns registers, spills, stack and static_shared, as fields of `Kernel`.

    Raises:
        ValueError: the text is not such a report.
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
    """List the rules that a kernel breaks, in words.

    The list is empty for a kernel that may be shipped.

    Args:
        kernel: compiled kernel.
        variant: variant that it was compiled from.
        ptx: newest PTX version that the target's drivers read.
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
    return [*(words for broken, words in checks if broken), *_find_excess(kernel, variant)]


def _find_excess(kernel: Kernel, variant: Variant) -> list[str]:
    """List the rules for layers that a kernel breaks."""
    layer, count = variant.layer, kernel.count
    if variant.function != "convolve_layer" or layer is None or count is None or layer.x != layer.weight:
        return []
    found = []
    if count.conversions or count.loads:
        found.append(
            f"has {count.conversions} divisions or conversions and {count.loads} loads that wait in its main loop"
        )
    bound = MOST_INSTRUCTIONS.get((layer.weight, kernel.architecture == 90), 0)
    most = bound + MOST_FOR_STEPS[layer.gives]
    if (layer.kernel, layer.channels, layer.outputs) == (3, 64, 64) and bound and count.per_pixel > most:
        found.append(f"issues {count.per_pixel:.1f} instructions of warps for an active pixel, expected at most {most}")
    return found
