"""Facts about a machine for reports.

They are read from the system and the GPU driver, never guessed.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .gpu import list_gpus
from .packages import list_onnxruntimes
from .processor import count_cores, read_cpu_name, read_features


def describe_machine() -> dict[str, Any]:
    """Describe this machine.

    Returns:
        {"cpu", "features", "cores", "memory_gb", "system", "python", "gpus", "gpu_reason"}; None where nothing is
        known.
    """
    gpus, reason = list_gpus()
    return {
        "cpu": read_cpu_name(),
        "features": read_features(),
        "cores": count_cores(),
        "memory_gb": read_memory_gb(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "gpus": gpus,
        "gpu_reason": reason,
    }


def machine_line(machine: dict[str, Any]) -> str:
    """Say a description of a machine in one line."""
    memory = f", {machine['memory_gb']:.0f} GB" if machine["memory_gb"] else ""
    gpus = f", {', '.join(machine['gpus'])}" if machine["gpus"] else ", no GPU"
    cores = f"{machine['cores']} core{'s' if machine['cores'] != 1 else ''}"
    return f"{machine['cpu'] or 'unknown CPU'}, {cores}{memory}{gpus}, {machine['system']}, Python {machine['python']}"


def read_versions(distributions: Iterable[str]) -> dict[str, str]:
    """Read the versions of installed distributions by their names.

    The name onnxruntime stands for whichever of its distributions is installed, such as onnxruntime-gpu.
    """
    return {name: _read_version(name) for name in distributions}


def _read_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        others = list_onnxruntimes() if name == "onnxruntime" else {}
        if not others:
            raise
        return next(iter(others.values()))


def read_memory_gb(meminfo: Path = Path("/proc/meminfo")) -> float | None:
    """Read the memory of this machine in 1e9 bytes."""
    try:
        first = meminfo.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError):
        return None
    return int(first.split()[1]) * 1024 / 1e9
