"""Listings of machine code, with their loops.

NVIDIA's nvdisasm writes them; no GPU is needed.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from ....temporary.places import scratch_folder
from ...errors import PluginError
from ..tools import find_disassembler

_LABEL = re.compile(r"\s*(\.L\w+):")
_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:\{\s*)?(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*[\w.]*)\s*(.*?);")
_TARGET = re.compile(r"`\((\.L\w+)\)")


@dataclass(frozen=True)
class Listing:
    """Instructions of one kernel, in the order of its code."""

    opcodes: tuple[str, ...]
    """Opcodes with their suffixes, "HGMMA.64x64x16.F32"."""
    loops: tuple[tuple[int, int], ...]
    """Place of the first and the last instruction of each loop, in the order of their first ones."""


def read_listing(text: str) -> Listing:
    """Read what nvdisasm writes about one kernel.

    A loop is what lies between a label and a later branch to it. The endless branch behind a kernel's end is no loop.
    """
    opcodes: list[str] = []
    labels: dict[str, int] = {}
    loops: list[tuple[int, int]] = []
    for line in text.splitlines():
        label = _LABEL.match(line)
        if label:
            labels[label[1]] = len(opcodes)
            continue
        found = _INSTRUCTION.search(line)
        if not found:
            continue
        target = _TARGET.search(found[2]) if found[1].startswith("BRA") else None
        start = labels.get(target[1], len(opcodes)) if target else len(opcodes)
        opcodes.append(found[1])
        if start < len(opcodes) - 1:
            loops.append((start, len(opcodes) - 1))
    return Listing(tuple(opcodes), tuple(sorted(loops)))


def disassemble(code: bytes) -> Listing:
    """List the instructions of a cubin with one kernel.

    Raises:
        PluginError: nvdisasm is missing, or does not read the code.
    """
    with scratch_folder("nvdisasm") as folder:
        path = folder / "kernel.cubin"
        path.write_bytes(code)
        done = subprocess.run([find_disassembler(), str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PluginError(f"nvdisasm does not read the machine code of a kernel: {done.stderr.strip()[:200]}")
    return read_listing(done.stdout)
