"""Facts about a machine for reports.

They are read from the system and the GPU driver, never guessed.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .board.facts import describe_state, read_facts
from .board.files import ROOT
from .board.findings import list_findings
from .board.identity import find_jetson
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


def describe_board(root: Path = ROOT) -> dict[str, Any] | None:
    """Describe a Jetson board with what is found about it.

    Args:
        root: root folder of the system.

    Returns:
        {"model", "part", "l4t", "jetpack", "stack", "container", "memory", "state", "packages", "camera", "findings"};
        None on other machines.
    """
    board = find_jetson(root)
    if board is None:
        return None
    facts, stack = read_facts(board, root), board.stack
    return {
        "model": board.model,
        "part": board.part,
        "l4t": board.l4t,
        "jetpack": board.release,
        "stack": stack
        and {"cuda": _join(stack.cuda), "tensorrt": _join(stack.tensorrt), "python": _join(stack.python)},
        "container": board.container,
        "memory": asdict(facts.memory),
        "state": describe_state(root),
        "packages": facts.software.packages,
        "camera": {**asdict(facts.camera), "devices": list(facts.camera.devices)},
        "findings": [finding._asdict() for finding in list_findings(facts)],
    }


def board_lines(board: dict[str, Any]) -> list[str]:
    """Say the board and its state in a few lines.

    Args:
        board: description by `describe_board`.
    """
    state, memory = board["state"], board["memory"]
    mode, gpu = state["power_mode"], state["clocks"]["gpu"]
    jetpack = f"JetPack {board['jetpack']}" if board["jetpack"] else "an unknown JetPack"
    names = [board["model"] or "a Jetson of unknown model", f"L4T {board['l4t'] or 'unknown'}", jetpack]
    power = "unknown" if mode["number"] is None else f"{mode['name'] or 'without a name'} (mode {mode['number']})"
    clock = "unknown"
    if gpu and None not in gpu.values():
        clock = f"{gpu['mhz']:.0f} MHz of {gpu['least_mhz']:.0f} to {gpu['most_mhz']:.0f} MHz"
    sizes = ", ".join(
        f"{name} {'unknown' if memory[key] is None else f'{memory[key] / 2**30:.1f} GiB'}"
        for name, key in (("memory", "total"), ("available", "available"), ("zram", "zram"), ("swap", "swap"))
    )
    return [
        ", ".join([*names, *(["in a container"] if board["container"] else [])]),
        f"power mode {power}, GPU {clock}",
        sizes,
    ]


def _join(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


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
