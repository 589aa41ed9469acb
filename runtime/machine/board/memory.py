"""Memory and swap of a board."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .files import ROOT, read_text

SMALL = 8 << 30
"""Bytes of memory up to which a board counts as small; one of 8 GB has a little less than this."""


@dataclass(frozen=True)
class BoardMemory:
    """Memory in bytes, None where nothing tells."""

    total: int | None
    available: int | None
    zram: int = 0
    """Size of the swap that is compressed memory, which helps no GPU and takes what a build needs."""
    swap: int = 0
    """Size of the swap on a disk."""

    @property
    def small(self) -> bool:
        """Whether builds need care, as on boards of 8 GB."""
        return self.total is not None and self.total <= SMALL


def read_board_memory(root: Path = ROOT) -> BoardMemory:
    """Read memory and swap.

    Args:
        root: root folder of the system.
    """
    text = read_text(root / "proc/meminfo") or ""
    values = {name: int(kilobytes) << 10 for name, kilobytes in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    sizes = {"zram": 0, "disk": 0}
    for line in (read_text(root / "proc/swaps") or "").splitlines()[1:]:
        words = line.split()
        if len(words) > 2 and words[2].isdigit():
            sizes["zram" if "zram" in words[0] else "disk"] += int(words[2]) << 10
    return BoardMemory(values.get("MemTotal"), values.get("MemAvailable"), sizes["zram"], sizes["disk"])
