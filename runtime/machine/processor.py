"""Facts about the processor and its memory."""

from __future__ import annotations

import os
import platform
from pathlib import Path

FEATURES = (
    *("sse2", "avx2", "fma", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    *("asimd", "asimddp", "i8mm", "bf16"),
)
"""Names, as Linux has them, of what decides how fast a processor multiplies; the second line is ARM's."""


def read_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Read which of `FEATURES` the processor has.

    Where the system does not tell, there is none.

    Args:
        cpuinfo: file of the system.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    entries = (line.partition(":") for line in lines)
    found = next((words for key, _, words in entries if key.strip() in ("flags", "Features")), "").split()
    return [name for name in FEATURES if name in found]


def count_cores() -> int:
    """Count the cores that this process may use.

    In a container they may be fewer than the machine has.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """Read the name of the processor.

    Args:
        cpuinfo: file of the system, which on ARM names the board instead of the processor.

    Returns:
        The name; None if the system does not tell it.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or None
    entries = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return entries.get("model name") or entries.get("model") or entries.get("hardware") or platform.machine()
