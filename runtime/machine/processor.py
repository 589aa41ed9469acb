"""The processor, as far as measured costs depend on it."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def count_cores() -> int:
    """Cores this process may use, which in a container are fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """The processor's name (x86), or the board's (ARM names no processor there)."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or None
    entries = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return entries.get("model name") or entries.get("model") or entries.get("hardware") or platform.machine()
