"""Power sensors of Jetson boards, in sysfs."""

from __future__ import annotations

import re
from pathlib import Path

from ..board.files import ROOT, list_folders, read_number, read_text
from .meter import Meter

_SENSORS = "sys/class/hwmon"
_CHIPS = ("ina3221", "ina238", "ina226", "ina219")
_WHOLE = ("VDD_IN", "VIN")
"""Names of the rail that feeds the whole board or module: of Orin Nano and NX, and of Thor."""
_SHUNTS = "sum of shunt"
_NOT_CONNECTED = "NC"


def find_rails(root: Path = ROOT) -> Meter | str:
    """Find the power sensors of a board.

    Args:
        root: root folder of the system.

    Returns:
        The meter, or a sentence why there is none.
    """
    rails = _list_rails(root)
    if not rails:
        return f"no power sensor of a board (INA3221, INA238) is in /{_SENSORS}"

    def read() -> dict[str, float]:
        values = {name: _read_watts(*files) for name, files in rails.items()}
        return {name: watts for name, watts in values.items() if watts is not None}

    if not read():
        return f"the power sensors in /{_SENSORS} give no values"
    whole = next((name for name in _WHOLE if name in rails), None)
    scope = "the rails of the board" if whole is None else f"the board, by its rail {whole}"
    return Meter("INA", scope, read, False, () if whole is None else (whole,))


def _list_rails(root: Path) -> dict[str, tuple[Path, int]]:
    """List folder and channel of each rail by name."""
    rails: dict[str, tuple[Path, int]] = {}
    for folder in list_folders(root / _SENSORS, "hwmon*"):
        chip = read_text(folder / "name")
        if chip not in _CHIPS:
            continue
        channels = (int(found[1]) for file in folder.iterdir() if (found := re.fullmatch(r"in(\d+)_input", file.name)))
        for channel in sorted(channels):
            name = read_text(folder / f"in{channel}_label") or ("VIN" if chip == "ina238" and channel == 1 else None)
            if name and name != _NOT_CONNECTED and not name.startswith(_SHUNTS):
                rails.setdefault(name, (folder, channel))
    return rails


def _read_watts(folder: Path, channel: int) -> float | None:
    """Read the power of a channel.

    Without a file of its own it is voltage times current. Files are in microwatts, millivolts and milliamperes.
    """
    power = read_number(folder / f"power{channel}_input")
    if power is not None:
        return power / 1e6
    volts, amperes = read_number(folder / f"in{channel}_input"), read_number(folder / f"curr{channel}_input")
    return None if volts is None or amperes is None else volts * amperes / 1e6
