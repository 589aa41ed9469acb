"""Energy counters of x86 processors, in sysfs."""

from __future__ import annotations

from pathlib import Path

from ..board.files import ROOT, list_folders, read_number, read_text
from .meter import Meter

_ZONES = "sys/class/powercap"


def find_rapl(root: Path = ROOT) -> Meter | str:
    """Find the energy counters of the processor (RAPL).

    Only top zones are read; what lies in a zone is a part of it. Packages do not contain the memory.

    Args:
        root: root folder of the system.

    Returns:
        The meter, or a sentence why there is none.
    """
    zones: dict[str, Path] = {}
    for folder in list_folders(root / _ZONES, "intel-rapl:*"):
        name = read_text(folder / "name")
        if folder.name.count(":") == 1 and name:
            zones.setdefault(name, folder)
    if not zones:
        return f"this system has no energy counters of a processor (RAPL) in /{_ZONES}"
    readable = {name: folder for name, folder in zones.items() if read_number(folder / "energy_uj") is not None}
    packages = tuple(name for name in readable if name.startswith("package"))
    if not packages:
        return f"the processor's energy counters (RAPL) are for root alone: sudo chmod a+r /{_ZONES}/*/energy_uj"
    scope = "the processor, without memory" if len(packages) == 1 else f"{len(packages)} processors, without memory"
    return Meter("RAPL", scope, _Counters(readable).read, True, packages)


class _Counters:
    """Counters that begin again at zero."""

    def __init__(self, zones: dict[str, Path]) -> None:
        self._zones = zones
        self._last: dict[str, int] = {}
        self._turns = dict.fromkeys(zones, 0)

    def read(self) -> dict[str, float]:
        """Read the joules of each zone, from endless counters."""
        joules = {}
        for name, folder in self._zones.items():
            value, most = read_number(folder / "energy_uj"), read_number(folder / "max_energy_range_uj")
            if value is None:
                continue
            if value < self._last.get(name, 0):
                self._turns[name] += (most or 0) + 1
            self._last[name] = value
            joules[name] = (self._turns[name] + value) / 1e6
        return joules
