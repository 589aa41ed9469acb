"""Facts about the processor that measured costs depend on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


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
