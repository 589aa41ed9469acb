"""Facts about Jetson boards."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

RELEASE = Path("/etc/nv_tegra_release")
"""File that every Jetson has; containers see it only if it was passed in."""

_PATTERN = re.compile(r"^# R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", re.MULTILINE)

_JETPACKS = {35: 5, 36: 6, 38: 7, 39: 7}
"""Major version of L4T: major version of JetPack."""

ALLOCATION_BUG = "36.4.7"
"""Version of L4T whose driver fails large allocations; 36.5 mends it."""


@dataclass(frozen=True)
class Jetson:
    """Software of a Jetson board."""

    l4t: str
    """Version of NVIDIA's Linux for the board, such as "36.4.3"."""

    @property
    def jetpack(self) -> int | None:
        """Major version of JetPack; None where it is not known."""
        return _JETPACKS.get(int(self.l4t.partition(".")[0]))

    def __str__(self) -> str:
        return f"L4T {self.l4t}" + (f" of JetPack {self.jetpack}" if self.jetpack else "")


def find_jetson(release: Path | None = None) -> Jetson | None:
    """Tell whether this machine is a Jetson.

    Args:
        release: file to read; None: `RELEASE`.

    Returns:
        The board's software; None on other machines, and where the file has another form.
    """
    try:
        text = (release or RELEASE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = _PATTERN.search(text)
    return Jetson(f"{found[1]}.{found[2]}") if found else None
