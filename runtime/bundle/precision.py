"""Choice of the fastest precision.

A precision is chosen only if its calibration passed the accuracy gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..machine.processor import count_cores, read_cpu_name
from .reader import DERIVED_FROM, PLAIN, Bundle

AUTO = "auto"
"""Precision that stands for the choice of the fastest one."""

TIMED_BACKEND = "onnxruntime"
"""Name of the backend on which calibrations measure the times of graphs."""

ROWS = "rows"
"""Name under which a calibration keeps the times of whole pictures on the backend cpu."""


def choose_precisions(bundle: Bundle, parts: Iterable[str], backend: str, threads: int | None) -> dict[str, str]:
    """Choose a precision for each part of a bundle.

    A part leaves FP32 only if a calibration that passed its gate found the part faster, on this processor, with this
    number of threads and on this backend. Of several such precisions the fastest against FP32 is taken.

    Args:
        bundle: a bundle, calibrated or not.
        parts: names of graphs, such as "net_l" and "net_r".
        backend: name of the backend.
        threads: number of threads inside an operator; None takes all cores.

    Returns:
        Precisions by part.
    """
    calibrations = bundle.manifest.raw.get("calibration", {}) if backend == TIMED_BACKEND else {}
    here = _describe_here(threads)
    return {part: _fastest(bundle, part, calibrations, here) for part in parts}


def choose_rows(bundle: Bundle, threads: int | None) -> str:
    """Choose the precision of the backend cpu.

    The rule is that of `choose_precisions`, for whole pictures.

    Args:
        bundle: a bundle with a row program, calibrated or not.
        threads: number of threads; None takes all cores.

    Returns:
        "fp32", the name of another row program, or one of `DERIVED_FROM`.
    """
    calibrations = bundle.manifest.raw.get("calibration")
    if not isinstance(calibrations, dict):
        return PLAIN
    here = _describe_here(threads)
    found = {one: _share(entry, ROWS, here) for one, entry in calibrations.items() if _is_current(bundle, one, entry)}
    shares = {one: share for one, share in found.items() if share is not None}
    return min(shares, key=lambda one: shares[one], default=PLAIN)


def digest_rows(bundle: Bundle, precision: str) -> str | None:
    """Return the SHA-256 of a row program's weights.

    Args:
        bundle: a bundle.
        precision: a precision, or one that is derived from it.

    Returns:
        That of the manifest; None if the bundle has no such program.
    """
    files = bundle.manifest.rows.get(DERIVED_FROM.get(precision, precision), {})
    return bundle.manifest.files.get(files.get("arrays", ""))


def _is_current(bundle: Bundle, precision: str, entry: Any) -> bool:
    """Tell whether a calibration is about the present row program."""
    if DERIVED_FROM.get(precision, precision) not in bundle.manifest.rows or not isinstance(entry, dict):
        return False
    return entry.get("rows_sha256") in (None, digest_rows(bundle, precision))


def compare_rows(bundle: Bundle, precision: str, threads: int | None) -> float | None:
    """Compare the backend cpu with ONNX Runtime in a precision.

    Args:
        bundle: a bundle, calibrated or not.
        precision: name of a precision with graphs.
        threads: number of threads; None takes all cores.

    Returns:
        Time of whole pictures on the backend cpu as a share of that on ONNX Runtime; None if it was not measured on
        this processor with this number of threads.
    """
    try:
        speed = bundle.manifest.raw["calibration"][precision]["speed"]
        times = speed["parts"][ROWS]
        if any(speed[key] != value for key, value in _describe_here(threads).items()):
            return None
        return float(times["ms"]) / float(times["graphs_ms"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _describe_here(threads: int | None) -> dict[str, Any]:
    return {"machine": read_cpu_name(), "cores": count_cores(), "threads": threads}


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
    """Return a part's time as a share of FP32's.

    Returns:
        The share; None if the precision may not be used, or if the entry of the manifest cannot be read.
    """
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
