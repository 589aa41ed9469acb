"""Which precision each graph of a bundle runs in when the user leaves it open: what held its gate and is faster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..machine.processor import count_cores, read_cpu_name
from .reader import Bundle

AUTO = "auto"
PLAIN = "fp32"
TIMED_BACKEND = "onnxruntime"
"""The backend that calibrations time."""


def choose_precisions(bundle: Bundle, parts: Iterable[str], backend: str, threads: int | None) -> dict[str, str]:
    """Part -> precision.

    A part leaves FP32 only where a calibration whose gate passed found it faster, on this processor, with this number
    of threads and on this backend; of several such precisions the fastest against FP32 is taken.

    Args:
        bundle: what was calibrated.
        parts: "net_l", "net_r", …
        backend: its name.
        threads: as it will run; None: all cores.
    """
    calibrations = bundle.manifest.raw.get("calibration", {}) if backend == TIMED_BACKEND else {}
    here = {"machine": read_cpu_name(), "cores": count_cores(), "threads": threads}
    return {part: _fastest(bundle, part, calibrations, here) for part in parts}


def _fastest(bundle: Bundle, part: str, calibrations: Any, here: Mapping[str, Any]) -> str:
    if not isinstance(calibrations, dict):
        return PLAIN
    shares = {
        precision: share
        for precision, entry in calibrations.items()
        if bundle.has_graph(precision, part) and (share := _share(entry, part, here)) is not None
    }
    return min(shares, key=lambda precision: shares[precision], default=PLAIN)


def _share(entry: Any, part: str, here: Mapping[str, Any]) -> float | None:
    """Time against FP32's; None where the precision is not to be used, or an entry of the manifest is none of ours."""
    try:
        speed = entry["speed"]
        times = speed["parts"][part]
        if entry["passed"] is not True or times["kept"] is not True:
            return None
        if any(speed[key] != value for key, value in here.items()):
            return None
        return float(times["ms"]) / float(times["fp32_ms"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
