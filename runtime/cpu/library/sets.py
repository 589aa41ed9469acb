"""Instruction sets that the kernels are compiled for."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class InstructionSet:
    """Instruction set of processors.

    The library has an object file of its own for each.
    """

    name: str
    """Name in the functions of the library: "avx2"."""
    title: str
    """Name for people: "AVX2"."""
    flags: tuple[str, ...] = ()
    """Flags that GCC and Clang take for it."""
    features: tuple[str, ...] = ()
    """Names of what a processor needs for it, as Linux lists them."""
    recent: bool = False
    """Whether compilers before GCC 11 and Clang 12 do not know it; these leave it out."""


_AVX512 = ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512")
_HAS_AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "fma")
_ARM_DOT = "-march=armv8.2-a+dotprod"

AMX = InstructionSet(
    "amx",
    "AVX-512 with AMX",
    (*_AVX512, "-mavx512vnni", "-mavx512bf16", "-mamx-tile", "-mamx-int8", "-mamx-bf16"),
    (*_HAS_AVX512, "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"),
    recent=True,
)
AVX512_BF16 = InstructionSet(
    "avx512bf16",
    "AVX-512 with VNNI and BF16",
    (*_AVX512, "-mavx512vnni", "-mavx512bf16"),
    (*_HAS_AVX512, "avx512_vnni", "avx512_bf16"),
    recent=True,
)
AVX512_VNNI = InstructionSet(
    "avx512vnni", "AVX-512 with VNNI", (*_AVX512, "-mavx512vnni"), (*_HAS_AVX512, "avx512_vnni")
)
AVX512 = InstructionSet("avx512", "AVX-512", _AVX512, _HAS_AVX512)
AVX_VNNI = InstructionSet(
    "avxvnni", "AVX2 with VNNI", ("-mavx2", "-mfma", "-mavxvnni"), ("avx2", "fma", "avx_vnni"), recent=True
)
AVX2 = InstructionSet("avx2", "AVX2", ("-mavx2", "-mfma"), ("avx2", "fma"))
SSE2 = InstructionSet("sse2", "SSE2")
NEON_BF16 = InstructionSet(
    "neonbf16", "NEON with dot products and BF16", (f"{_ARM_DOT}+bf16",), ("asimddp", "bf16"), recent=True
)
NEON_DOT = InstructionSet("neondot", "NEON with dot products", (_ARM_DOT,), ("asimddp",))
NEON = InstructionSet("neon", "NEON")
PLAIN = InstructionSet("plain", "plain C++")

_BY_MACHINE = {
    **dict.fromkeys(("x86_64", "amd64"), (AMX, AVX512_BF16, AVX512_VNNI, AVX512, AVX_VNNI, AVX2, SSE2)),
    **dict.fromkeys(("aarch64", "arm64"), (NEON_BF16, NEON_DOT, NEON)),
}


def list_sets(machine: str | None = None) -> tuple[InstructionSet, ...]:
    """List the instruction sets of an architecture, best first.

    Args:
        machine: name as `platform.machine()` gives it; None is this machine. Any other than x86-64 and 64-bit ARM has
            the set "plain" alone.
    """
    return _BY_MACHINE.get((machine or platform.machine()).lower(), (PLAIN,))


def list_local_sets(listing: Path = Path("/proc/cpuinfo")) -> tuple[InstructionSet, ...]:
    """List the instruction sets to compile for this machine alone.

    The best comes first. The library itself finds out at last which of them run.

    Args:
        listing: file in which Linux lists what the processor has; without it every set of the architecture counts.
    """
    try:
        lines = listing.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return list_sets()
    found = {word for line in lines if line.startswith(("flags", "Features")) for word in line.split()}
    return tuple(one for one in list_sets() if found.issuperset(one.features)) if found else list_sets()
