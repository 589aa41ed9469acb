"""Library that lies beside the code.

Nothing has to be compiled then. Wheels for a processor bring it along, and `make setup` makes one in a checkout. Its
name has the hash of the sources, so that one of other sources is never loaded.
"""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

from ...bundle.lock import lock_bundle
from ...errors import UserError
from ...files import replace_atomically
from .compiling import DIGITS, FLAGS, LINK_FLAGS, build_library, find_compiler, hash_facts, hash_sources
from .sets import list_sets

INSTALLED = Path(__file__).resolve().with_name("ready")
"""Folder of the library in an installation."""
BUILT = Path(__file__).resolve().parents[3] / "build" / "kernels"
"""Folder of the library in a checkout."""
MACHINES = ("x86_64", "aarch64")
"""Architectures of Linux that wheels are made for."""
_ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}


def find_ready() -> Path | None:
    """Return the library for this machine.

    Returns:
        Its file; None where no library of these sources lies beside the code.
    """
    name = name_ready(platform.machine())
    return next((folder / name for folder in (INSTALLED, BUILT) if (folder / name).is_file()), None)


def name_ready(machine: str) -> str:
    """Return the name of the library's file.

    Args:
        machine: name of the architecture as `platform.machine()` gives it.
    """
    machine = _normalize(machine)
    facts = {
        "sources": hash_sources(),
        "flags": [FLAGS, LINK_FLAGS, [[one.name, one.flags] for one in list_sets(machine)]],
    }
    return f"cpu-{hash_facts(facts)[:DIGITS]}-{sys.platform}-{machine}.so"


def find_cross_compiler(machine: str) -> str | None:
    """Find a compiler for an architecture, or None.

    It is the usual one on a machine of this architecture, else GCC's cross compiler for Linux.
    """
    machine = _normalize(machine)
    if machine == _normalize(platform.machine()):
        return find_compiler()
    return shutil.which(f"{machine}-linux-gnu-g++")


def make_ready(machine: str, folder: Path = BUILT) -> Path:
    """Compile the library for an architecture, unless it is there.

    Libraries of other sources for the same architecture are removed.

    Args:
        machine: name of the architecture.
        folder: folder of the library.

    Returns:
        The library's file.

    Raises:
        UserError: there is no compiler, it fails, or the folder cannot be written.
    """
    target = folder / name_ready(machine)
    compiler = find_cross_compiler(machine)
    if compiler is None:
        raise UserError(
            f"there is no C++ compiler for {machine}; install one, on Debian: apt-get install "
            f"g++-{_normalize(machine).replace('_', '-')}-linux-gnu"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with lock_bundle(target):
            if not target.is_file():
                with replace_atomically(target) as temporary:
                    build_library(compiler, list_sets(machine), temporary)
    except OSError as error:
        raise UserError(f"cannot write the kernels of the backend cpu to {folder}: {error}") from error
    for other in folder.glob(f"cpu-*-{sys.platform}-{_normalize(machine)}.so"):
        if other != target:
            other.unlink(missing_ok=True)
    return target


def _normalize(machine: str) -> str:
    return _ALIASES.get(machine.lower(), machine.lower())
