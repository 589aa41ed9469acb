"""Model and system of a Jetson board."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .files import ROOT, read_text
from .stacks import Stack, find_stack, name_jetpack

_RELEASE = "etc/nv_tegra_release"
"""File that every Jetson has; containers see it only if it was passed in."""
_MODELS = ("proc/device-tree/model", "sys/firmware/devicetree/base/model", "tmp/nv_jetson_model")
"""Files with the name of the board; the last one is a copy that is given to containers, which do not see the others."""
_PARTS = ("proc/device-tree/compatible", "sys/firmware/devicetree/base/compatible")
_CONTAINER = (".dockerenv", "run/.containerenv")
"""Files that Docker and Podman put into containers."""

_PATTERN = re.compile(r"^# R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", re.MULTILINE)
_PACKAGE = re.compile(r"^Package: nvidia-l4t-core$.*?^Version: (\d+(?:\.\d+)+)", re.MULTILINE | re.DOTALL)
_SYSTEMS = {"tegra234": "Orin", "tegra264": "Thor"}
"""Family of boards by the chip in the device tree."""


@dataclass(frozen=True)
class Jetson:
    """Jetson board with its system."""

    l4t: str | None
    """Version of NVIDIA's Linux for the board, such as "36.4.3"; None where nothing tells it."""
    model: str | None = None
    """Name of the board, such as "NVIDIA Jetson Orin Nano Developer Kit"."""
    part: str | None = None
    """Number of the module, such as "p3767-0005"."""
    chip: str | None = None
    """Name of the chip, such as "tegra234"."""
    container: bool = False
    """Whether this system is a container."""

    @property
    def release(self) -> str | None:
        """Version of JetPack, as exactly as it is known."""
        return None if self.l4t is None else name_jetpack(self.l4t)

    @property
    def jetpack(self) -> int | None:
        """Major version of JetPack; None where it is not known."""
        release = self.release
        return None if release is None else int(release.partition(".")[0])

    @property
    def stack(self) -> Stack | None:
        """Software that JetPack brings to this system."""
        return None if self.l4t is None else find_stack(self.l4t)

    @property
    def family(self) -> str | None:
        """Family of the board, "Orin" or "Thor"."""
        found = _SYSTEMS.get(self.chip or "")
        words = (self.model or "").split()
        return found or next((name for name in _SYSTEMS.values() if name in words), None)

    def __str__(self) -> str:
        system = "an unknown L4T" if self.l4t is None else f"L4T {self.l4t}"
        jetpack = f" of JetPack {self.release}" if self.release else ""
        return (f"{self.model}, " if self.model else "") + system + jetpack + (", in a container" * self.container)


def find_jetson(root: Path = ROOT) -> Jetson | None:
    """Tell whether a system is a Jetson's.

    Args:
        root: root folder of the system.

    Returns:
        The board; None on other machines, and where the file of the release has another form.
    """
    l4t = _read_release(root)
    model = _read_first(root, _MODELS)
    names = (_read_first(root, _PARTS) or "").replace(",", " ").split()
    part = next((found[1] for name in names if (found := re.search(r"(p3\d{3}-\d{4})$", name))), None)
    chip = next((name for name in names if re.fullmatch(r"tegra\d+", name)), None)
    if l4t is None and chip not in _SYSTEMS and "Jetson" not in (model or ""):
        return None
    return Jetson(l4t, model, part, chip, any((root / name).exists() for name in _CONTAINER))


def _read_release(root: Path) -> str | None:
    """Read the version of L4T from release or packages."""
    found = _PATTERN.search(read_text(root / _RELEASE) or "")
    if found:
        return f"{found[1]}.{found[2]}"
    package = _PACKAGE.search(read_text(root / "var/lib/dpkg/status") or "")
    return package[1] if package else None


def _read_first(root: Path, names: tuple[str, ...]) -> str | None:
    return next((text for name in names if (text := read_text(root / name))), None)
