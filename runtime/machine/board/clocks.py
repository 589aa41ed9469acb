"""Clocks of a board's GPU, memory and processor."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .files import ROOT, list_folders, read_number

_GPU = re.compile(r"gpu-gpc-0|[0-9a-f]+\.(gpu|ga10b)|ga10b|gpu")
"""Names of the GPU's folder below /sys/class/devfreq, Thor's first."""


@dataclass(frozen=True)
class Clock:
    """Clock in MHz with its limits, None where nothing tells."""

    mhz: float | None
    least_mhz: float | None
    most_mhz: float | None

    @property
    def locked(self) -> bool | None:
        """Whether the clock cannot change, as after jetson_clocks."""
        if self.least_mhz is None or self.most_mhz is None:
            return None
        return self.least_mhz == self.most_mhz


@dataclass(frozen=True)
class BoardClocks:
    """Clocks of a board, None where nothing tells."""

    gpu: Clock | None = None
    emc: Clock | None = None
    """Clock of the memory; on Orin only root may read it."""
    cpu: Clock | None = None
    """Clock of the first group of cores."""


def read_board_clocks(root: Path = ROOT) -> BoardClocks:
    """Read the clocks of a board.

    Args:
        root: root folder of the system.
    """
    frequencies = root / "sys/class/devfreq"
    gpus = [folder for folder in list_folders(frequencies, "*") if _GPU.fullmatch(folder.name)]
    devfreq = ("cur_freq", "min_freq", "max_freq")
    memory = _read_clock(root / "sys/kernel/debug/bpmp/debug/clk/emc", ("rate", "min_rate", "max_rate"), 1e6)
    policies = list_folders(root / "sys/devices/system/cpu/cpufreq", "policy*")
    first = next(policies, root / "absent")
    return BoardClocks(
        next((clock for folder in gpus if (clock := _read_clock(folder, devfreq, 1e6))), None),
        memory or _read_clock(frequencies / "bwmgr", devfreq, 1e6),
        _read_clock(first, ("scaling_cur_freq", "scaling_min_freq", "scaling_max_freq"), 1e3),
    )


def _read_clock(folder: Path, names: tuple[str, str, str], scale: float) -> Clock | None:
    """Read the present, least and highest frequency.

    Args:
        folder: folder of the clock.
        names: names of the three files.
        scale: units of the files in a MHz.
    """
    values = [read_number(folder / name) for name in names]
    if all(value is None for value in values):
        return None
    return Clock(*(None if value is None else value / scale for value in values))
