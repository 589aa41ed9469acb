"""Packages of a board's system and of the Python environment."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .files import ROOT, read_text

_PREFIXES = ("nvidia-l4t-", "nvidia-jetpack", "libnvinfer", "python3-libnvinfer", "tensorrt", "cuda-toolkit")
"""Beginnings of the names of the packages that are listed."""
_DLA = ("usr/lib/aarch64-linux-gnu/nvidia", "usr/lib/aarch64-linux-gnu/tegra", "usr/lib/aarch64-linux-gnu")
"""Folders of the library of the deep learning accelerator."""
_DISTRIBUTIONS = ("numpy", "tensorrt", "pycuda", "cuda-bindings")


@dataclass(frozen=True)
class Environment:
    """Python environment of the toolkit."""

    python: tuple[int, int]
    isolated: bool = False
    """Whether it hides the packages of the system."""
    distributions: dict[str, str] = field(default_factory=dict)
    """Versions of the packages that matter, by name."""
    own_tensorrt: bool = False
    """Whether it has a TensorRT library of its own, by a package or by LD_LIBRARY_PATH."""


@dataclass(frozen=True)
class Software:
    """Packages of a board."""

    packages: dict[str, str] = field(default_factory=dict)
    """Versions of NVIDIA's Debian packages that are installed, by name."""
    dla: bool = False
    """Whether libnvdla_compiler.so is there."""
    bindings: bool = False
    """Whether the system has TensorRT for Python."""

    @property
    def tensorrt(self) -> tuple[int, int] | None:
        """Version of TensorRT's library, the first two numbers."""
        for name, version in self.packages.items():
            if re.fullmatch(r"libnvinfer\d+", name):
                return parse_version(version)
        return None


def read_software(root: Path = ROOT) -> Software:
    """Read the list of Debian packages, and look for libraries.

    Args:
        root: root folder of the system.
    """
    packages = {}
    for entry in (read_text(root / "var/lib/dpkg/status") or "").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): (.+)$", entry, re.MULTILINE))
        name = fields.get("Package", "")
        if name.startswith(_PREFIXES) and fields.get("Status", "").endswith(" installed"):
            packages[name] = fields.get("Version", "")
    return Software(
        packages,
        any((root / folder / "libnvdla_compiler.so").exists() for folder in _DLA),
        any(root.glob("usr/lib/python3*/dist-packages/tensorrt")),
    )


def read_environment(prefix: Path = Path(sys.prefix), variables: Mapping[str, str] = os.environ) -> Environment:
    """Describe the Python environment of this process.

    Args:
        prefix: folder of the environment.
        variables: environment variables, of which LD_LIBRARY_PATH is read.
    """
    distributions = {}
    for name in _DISTRIBUTIONS:
        try:
            distributions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    folders = filter(None, variables.get("LD_LIBRARY_PATH", "").split(os.pathsep))
    own = importlib.util.find_spec("tensorrt_libs") is not None
    own = own or any(any(Path(folder).glob("libnvinfer.so*")) for folder in folders)
    return Environment(sys.version_info[:2], _is_isolated(prefix), distributions, own)


def parse_version(version: str) -> tuple[int, int]:
    """Return the first two numbers of a version."""
    numbers = [int(number) for number in re.findall(r"\d+", version)]
    return (*numbers, 0, 0)[0], (*numbers, 0, 0)[1]


def _is_isolated(prefix: Path) -> bool:
    text = read_text(prefix / "pyvenv.cfg")
    if text is None:
        return False  # the system's own Python
    entries = dict(line.replace(" ", "").lower().split("=", 1) for line in text.splitlines() if "=" in line)
    return entries.get("include-system-site-packages") != "true"
