"""Power mode of a board, which nvpmodel sets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from .files import ROOT, read_text

_MODE = re.compile(r"^\s*<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", re.MULTILINE)
_STATUS = re.compile(r"pmode:\s*(\d+)")


@dataclass(frozen=True)
class PowerMode:
    """Power mode that is set, and those that could be."""

    number: int | None
    """Number of the mode; None where nothing tells it. The same number is another mode on other boards."""
    modes: dict[int, str] = field(default_factory=dict)
    """Names of the board's modes by number."""

    @property
    def name(self) -> str | None:
        """Name of the mode."""
        return None if self.number is None else self.modes.get(self.number)

    @property
    def fastest(self) -> int | None:
        """Number of the mode without limits, MAXN or MAXN_SUPER."""
        found = {name: number for number, name in self.modes.items() if name.startswith("MAXN")}
        return found.get("MAXN_SUPER", found.get("MAXN"))

    def __str__(self) -> str:
        return "unknown" if self.number is None else f"{self.name or 'a mode without a name'} (mode {self.number})"


def read_power_mode(root: Path = ROOT) -> PowerMode:
    """Read the power mode from the files of nvpmodel.

    They need no rights, and the program itself is not run.

    Args:
        root: root folder of the system.
    """
    modes = {int(number): name for number, name in _MODE.findall(read_text(root / "etc/nvpmodel.conf") or "")}
    found = _STATUS.search(read_text(root / "var/lib/nvpmodel/status") or "")
    return PowerMode(int(found[1]) if found else None, modes)
