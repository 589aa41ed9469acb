"""Packages that only benchmarks use, installed into the user's cache.

Each set has exact versions and a folder of its own, apart from the toolkit's packages. Every package of a set is
pinned, so pip resolves nothing. Packages that the toolkit depends on anyway (numpy, torch, …) are left out and taken
from there. A package that cannot be installed or imported is absent, with a reason that the report repeats.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

SECONDS = 600
"""Seconds without an answer after which a package index counts as out of reach."""


class PeerAbsentError(Exception):
    """A peer cannot be had here.

    The message is one line and says why.
    """


@dataclass(frozen=True)
class PeerPackage:
    """Package to compare with, or to draw with."""

    name: str
    version: str
    module: str
    """Name of the module to import."""
    requirements: tuple[str, ...] = ()
    """Pins of everything else that it needs and the toolkit does not."""

    @property
    def pins(self) -> tuple[str, ...]:
        """Pins of everything that gets installed."""
        return (f"{self.name}=={self.version}", *self.requirements)

    @property
    def folder(self) -> str:
        """Name of its folder.

        Other pins give another folder, and so does another Python, whose compiled modules would not load.
        """
        digest = hashlib.sha256("\n".join(self.pins).encode()).hexdigest()[:8]
        return f"{self.name}-{self.version}-{sys.implementation.cache_tag}-{digest}"


PACKAGES = (
    PeerPackage("openvino", "2026.4.1", "openvino"),
    PeerPackage(
        "nncf",
        "3.4.0",
        "nncf",
        (
            "joblib==1.6.0",
            "narwhals==2.29.0",
            "networkx==3.6.1",
            "ninja==1.13.2",
            "openvino-telemetry==2025.2.0",
            "psutil==7.2.2",
            "pydot==4.0.1",
            "pyparsing==3.3.3",
            "scikit-learn==1.9.1",
            "tabulate==0.10.0",
            "threadpoolctl==3.8.0",
        ),
    ),
    PeerPackage(
        "spconv",  # without a suffix it is the build for the CPU
        "2.3.8",
        "spconv.pytorch",
        (
            "cumm==0.7.11",
            "pccm==0.4.16",
            "ccimport==0.4.4",
            "pybind11==3.1.0",
            "fire==0.7.1",
            "termcolor==3.3.0",
            "lark==1.3.1",
            "ninja==1.13.2",
            "portalocker==4.4.2",
            "requests==2.34.2",
            "certifi==2026.10.18",
            "charset-normalizer==3.5.2",
            "urllib3==2.8.0",
        ),
    ),
    PeerPackage(
        "matplotlib",
        "3.10.9",
        "matplotlib",
        (
            'contourpy==1.3.3; python_version >= "3.11"',
            'contourpy==1.3.2; python_version < "3.11"',
            "cycler==0.12.1",
            "fonttools==4.68.0",
            "kiwisolver==1.5.1",
            "pyparsing==3.3.3",
            "python-dateutil==4.0.0",
            "tzdata==2026.6",
        ),
    ),
)


def find_package(name: str) -> PeerPackage:
    """Find the package of that name.

    Raises:
        KeyError: the name is not known.
    """
    return {package.name: package for package in PACKAGES}[name]


def cache_folder() -> Path:
    """Return the folder where the packages are installed.

    It is $XDG_CACHE_HOME/spair-rt/peers, by default below ~/.cache.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "spair-rt" / "peers"


def load_package(name: str) -> ModuleType:
    """Import a package, after installing it where it is missing.

    Raises:
        PeerAbsentError: it cannot be installed or imported here; the message says why.
    """
    package = find_package(name)
    folder = cache_folder() / package.folder
    if not folder.is_dir():
        _install(package, folder)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # last: the toolkit's own packages win
    importlib.invalidate_caches()
    try:
        return importlib.import_module(package.module)
    except Exception as error:  # foreign modules fail with errors of many types; every one means absent
        raise PeerAbsentError(f"{name} {package.version} cannot be imported: {first_line(error)}") from error


def _install(package: PeerPackage, folder: Path) -> None:
    """Install a package into a new folder.

    The folder gets its name when it is complete.
    """
    print(f"installing {package.name} {package.version} into {folder}", file=sys.stderr, flush=True)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{package.name}.") as temporary:
            target = Path(temporary) / package.folder
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            command += ["--no-deps", "--only-binary", ":all:", "--target", str(target), *package.pins]
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
            if done.returncode:
                raise PeerAbsentError(f"pip cannot install {package.name} {package.version}: {_complaint(done.stderr)}")
            if not folder.is_dir():  # another run may have been faster
                target.replace(folder)
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerAbsentError(f"{package.name} cannot be installed: {first_line(error)}") from error


def _complaint(output: str) -> str:
    errors = [line for line in output.splitlines() if line.startswith("ERROR")] or output.splitlines()
    return errors[-1].strip() if errors else "it printed nothing"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message.

    The error's type stands before it, or alone where the message is empty.
    """
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
