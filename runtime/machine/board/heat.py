"""Temperatures and throttling of a board."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .files import ROOT, list_folders, read_number, read_text

_ALERT = "-alert"
"""End of the names of what slows a board down when it is hot, such as "gpu-throttle-alert"."""


@dataclass(frozen=True)
class Heat:
    """Temperatures of a board, and what slowed it down."""

    temperatures: dict[str, float] = field(default_factory=dict)
    """Degrees Celsius by zone; zones whose part is off are left out."""
    overcurrents: dict[str, int] = field(default_factory=dict)
    """Events since the start by counter: oc1 is low voltage, oc2 and oc3 too much current, on average and at once."""
    throttled: list[str] = field(default_factory=list)
    """Alerts of heat that slow the board down right now."""


def read_heat(root: Path = ROOT) -> Heat:
    """Read temperatures, alerts and counters of throttling.

    Args:
        root: root folder of the system.
    """
    thermal = root / "sys/class/thermal"
    temperatures = {}
    for zone in list_folders(thermal, "thermal_zone*"):
        name, value = read_text(zone / "type"), read_number(zone / "temp")
        if name and value is not None:
            temperatures[name.removesuffix("-thermal")] = value / 1000
    alerts = [
        name
        for device in list_folders(thermal, "cooling_device*")
        if (name := read_text(device / "type") or "").endswith(_ALERT) and read_number(device / "cur_state")
    ]
    return Heat(temperatures, _read_overcurrents(root), alerts)


def _read_overcurrents(root: Path) -> dict[str, int]:
    for folder in list_folders(root / "sys/class/hwmon", "hwmon*"):
        if read_text(folder / "name") == "soctherm_oc":
            counters = {file.name.partition("_")[0]: read_number(file) for file in sorted(folder.glob("oc*_event_cnt"))}
            return {name: count for name, count in counters.items() if count is not None}
    return {}
