"""Clocks of the GPU before and after a measurement.

They are never read during one: nvidia-smi disturbs what runs.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from dataclasses import dataclass

from .gpu import DRIVER, ask_place

SECONDS = 10.0
"""Seconds after which nvidia-smi is given up."""
_FIELDS = {
    "graphics_mhz": "clocks.gr",
    "memory_mhz": "clocks.mem",
    "most_graphics_mhz": "clocks.max.gr",
    "most_memory_mhz": "clocks.max.mem",
    "temperature_c": "temperature.gpu",
}
"""Properties that nvidia-smi is asked for, by the fields of `Clocks`."""
_CLOCK_RATE, _MEMORY_CLOCK_RATE = 13, 36
"""Numbers of the attributes in `CUdevice_attribute` of cuda.h; in kHz, and the highest ones."""


@dataclass(frozen=True)
class Clocks:
    """Clocks of the GPU, None where nothing tells."""

    source: str | None = None
    """Program or library that told, "nvidia-smi" or "driver"; None if nothing did."""
    graphics_mhz: float | None = None
    memory_mhz: float | None = None
    most_graphics_mhz: float | None = None
    """Highest clock in MHz that the GPU may take."""
    most_memory_mhz: float | None = None
    """Highest clock of the memory in MHz."""
    temperature_c: float | None = None
    """Temperature in degrees Celsius."""


def read_clocks(library: str = DRIVER) -> Clocks:
    """Read the clocks of the first GPU.

    nvidia-smi tells the present ones; the driver alone tells the highest ones. Where neither does, nothing is known,
    which is no error.

    Args:
        library: library of the NVIDIA driver.
    """
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return Clocks()
    if driver.cuInit(ctypes.c_uint(0)):
        return Clocks()
    return _ask_program(ask_place(driver)) or _ask_driver(driver)


def _ask_program(place: str | None) -> Clocks | None:
    """Ask nvidia-smi.

    Returns:
        None if it is absent, fails, or knows no clock.
    """
    program = shutil.which("nvidia-smi")
    if program is None or place is None:
        return None
    query = [f"--query-gpu={','.join(_FIELDS.values())}", "--format=csv,noheader,nounits", f"--id={place}"]
    try:
        done = subprocess.run([program, *query], capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.strip().split(",")
    if done.returncode or len(words) != len(_FIELDS):
        return None
    values = dict(zip(_FIELDS, map(_read_number, words), strict=True))
    return Clocks("nvidia-smi", **values) if any(value is not None for value in values.values()) else None


def _read_number(word: str) -> float | None:
    """Return a number; nvidia-smi writes "[N/A]" for others."""
    try:
        return float(word)
    except ValueError:
        return None


def _ask_driver(driver: ctypes.CDLL) -> Clocks:
    graphics, memory = (_read_rate(driver, number) for number in (_CLOCK_RATE, _MEMORY_CLOCK_RATE))
    if graphics is None and memory is None:
        return Clocks()
    return Clocks("driver", most_graphics_mhz=graphics, most_memory_mhz=memory)


def _read_rate(driver: ctypes.CDLL, number: int) -> float | None:
    value = ctypes.c_int()
    code = driver.cuDeviceGetAttribute(ctypes.byref(value), ctypes.c_int(number), ctypes.c_int(0))
    return None if code or value.value <= 0 else value.value / 1000
