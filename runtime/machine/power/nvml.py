"""Energy counter and state of an NVIDIA card.

Both come from NVIDIA's management library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .meter import Meter

_PACKAGE = "pip install 'spair-rt[power]' (nvidia-ml-py)"
RAIL = "GPU"
"""Name of the only rail."""


def find_nvml(place: str | None = None) -> Meter | str:
    """Find the energy counter of a card.

    Args:
        place: the card's place on the PCI bus, see `read_place`; None: the first card.

    Returns:
        The meter, or a sentence why there is none.
    """
    opened = _open(place)
    if isinstance(opened, str):
        return opened
    pynvml, card = opened
    try:
        pynvml.nvmlDeviceGetTotalEnergyConsumption(card)
    except pynvml.NVMLError as error:
        pynvml.nvmlShutdown()
        return f"the NVIDIA card counts no energy: {error}"

    def read() -> dict[str, float]:
        return {RAIL: pynvml.nvmlDeviceGetTotalEnergyConsumption(card) / 1000}

    return Meter("NVML", "the NVIDIA card alone", read, True, (RAIL,), pynvml.nvmlShutdown)


def read_card(place: str | None = None) -> dict[str, Any] | None:
    """Read what the speed of a card depends on.

    Args:
        place: see `find_nvml`.

    Returns:
        {"temperature_c", "graphics_mhz", "memory_mhz", "throttled"}, None where the card does not tell; None without a
        card. "throttled" names what holds the clocks back.
    """
    opened = _open(place)
    if isinstance(opened, str):
        return None
    pynvml, card = opened
    questions: dict[str, Callable[[], Any]] = {
        "temperature_c": lambda: pynvml.nvmlDeviceGetTemperature(card, pynvml.NVML_TEMPERATURE_GPU),
        "graphics_mhz": lambda: pynvml.nvmlDeviceGetClockInfo(card, pynvml.NVML_CLOCK_GRAPHICS),
        "memory_mhz": lambda: pynvml.nvmlDeviceGetClockInfo(card, pynvml.NVML_CLOCK_MEM),
        "throttled": lambda: _name_reasons(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(card)),
    }
    found: dict[str, Any] = {}
    for name, ask in questions.items():
        try:
            found[name] = ask()
        except pynvml.NVMLError:
            found[name] = None
    pynvml.nvmlShutdown()
    return found


def _open(place: str | None) -> tuple[Any, Any] | str:
    """Open the library and the card."""
    try:
        import pynvml
    except ImportError:
        return f"the energy of NVIDIA cards is read by a package that is not installed: {_PACKAGE}"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return f"there is no NVIDIA card whose energy could be read: {error}"
    try:
        card = pynvml.nvmlDeviceGetHandleByIndex(0) if place is None else pynvml.nvmlDeviceGetHandleByPciBusId(place)
    except pynvml.NVMLError as error:
        pynvml.nvmlShutdown()
        return f"the management library does not find the NVIDIA card: {error}"
    return pynvml, card


_REASONS = {
    0x04: "power limit",
    0x08: "hardware",
    0x10: "other cards",
    0x20: "heat",
    0x40: "heat of the hardware",
    0x80: "power brake",
}
"""Bits `nvmlClocksEventReason…` of nvml.h for what holds clocks back; idleness and chosen clocks are none."""


def _name_reasons(bits: int) -> list[str]:
    return [words for bit, words in _REASONS.items() if bits & bit]
