"""Facts about one board, read together."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .clocks import BoardClocks, read_board_clocks
from .files import ROOT, read_text
from .heat import Heat, read_heat
from .identity import Jetson
from .memory import BoardMemory, read_board_memory
from .power_mode import PowerMode, read_power_mode
from .software import Environment, Software, read_environment, read_software

_TARGET = "etc/systemd/system/default.target"
_VENDOR_TARGET = "lib/systemd/system/default.target"
_TOOLKIT = "usr/local/cuda/include/cuda.h"


@dataclass(frozen=True)
class Camera:
    """State of the daemon that serves CSI cameras."""

    installed: bool = False
    running: bool = False
    socket: bool = False
    """Whether its socket is there, which is how programs in containers reach it."""
    devices: tuple[str, ...] = ()
    """Video devices, such as "video0"."""


@dataclass(frozen=True)
class BoardFacts:
    """Board, its state, and its software."""

    board: Jetson
    memory: BoardMemory
    power_mode: PowerMode
    clocks: BoardClocks
    heat: Heat
    software: Software
    environment: Environment
    camera: Camera = field(default_factory=Camera)
    desktop: bool | None = None
    """Whether the system starts a desktop; None where nothing tells it."""
    toolkit: bool = False
    """Whether the headers of the CUDA toolkit are there."""


def read_facts(board: Jetson, root: Path = ROOT, environment: Environment | None = None) -> BoardFacts:
    """Read everything about a board.

    Args:
        board: the board, see `find_jetson`.
        root: root folder of the system.
        environment: Python environment; None: that of this process.
    """
    return BoardFacts(
        board,
        read_board_memory(root),
        read_power_mode(root),
        read_board_clocks(root),
        read_heat(root),
        read_software(root),
        environment or read_environment(),
        _read_camera(root),
        _read_desktop(root),
        (root / _TOOLKIT).is_file(),
    )


def describe_state(root: Path = ROOT) -> dict[str, Any]:
    """Describe what measurements depend on, as JSON values.

    Args:
        root: root folder of the system.
    """
    mode, heat = read_power_mode(root), read_heat(root)
    return {
        "power_mode": {"number": mode.number, "name": mode.name},
        "clocks": asdict(read_board_clocks(root)),
        "temperatures": heat.temperatures,
        "overcurrents": heat.overcurrents,
        "throttled": heat.throttled,
    }


def _read_camera(root: Path) -> Camera:
    return Camera(
        (root / "usr/sbin/nvargus-daemon").exists(),
        any(read_text(file) == "nvargus-daemon" for file in root.glob("proc/[0-9]*/comm")),
        (root / "tmp/argus_socket").exists(),
        tuple(sorted(path.name for path in root.glob("dev/video*"))),
    )


def _read_desktop(root: Path) -> bool | None:
    for name in (_TARGET, _VENDOR_TARGET):
        link = root / name
        if link.is_symlink():
            return link.readlink().name == "graphical.target"
    return None
