"""Requirements of a library on the machine that loads it.

They are read from the file by binutils' `readelf`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import PluginError
from ..targets import Target

EXPORTED = ("getCreators", "setLoggerFinder")
"""Functions that TensorRT looks for in a plugin library."""
NEEDED = ("libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libstdc++.so.6")
"""Shared libraries that it may need beside the dynamic loader (`ld-linux…`); every Linux with TensorRT has them."""

_MACHINES = {"Advanced Micro Devices X86-64": "x86_64", "AArch64": "aarch64"}


@dataclass(frozen=True)
class Symbols:
    """Dynamic symbols of a library and what it needs."""

    machine: str
    """Processor, as `platform.machine()` names it."""
    needed: frozenset[str]
    """Names of the shared libraries that it needs."""
    defined: frozenset[str]
    undefined: frozenset[str]
    glibc: tuple[int, int]
    """Version of the C library that its newest symbol needs."""
    glibcxx: tuple[int, int, int]
    """Version of the C++ library's symbols (GLIBCXX) that its newest symbol needs."""


def find_readelf() -> str:
    """Find the program readelf, which reads libraries of any processor.

    Raises:
        PluginError: it is not installed.
    """
    found = shutil.which("readelf")
    if found is None:
        raise PluginError(
            "the plugin library is checked with readelf, which is not installed; apt-get install binutils"
        )
    return found


def read_symbols(path: Path) -> Symbols:
    """Read the dynamic symbols of any processor's ELF library.

    Raises:
        PluginError: readelf is not installed, or cannot read the file.
    """
    command = [find_readelf(), "--wide", "--file-header", "--dynamic", "--dyn-syms", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C"})
    machine = re.search(r"Machine:\s+(.+)", done.stdout)
    if done.returncode or machine is None:
        raise PluginError(f"{path} is not a library that readelf can read: {done.stderr.strip()[:200]}")
    defined: set[str] = set()
    undefined: set[str] = set()
    # "   5: 0000000000001139   11 FUNC GLOBAL DEFAULT  12 name@VERSION"
    for section, name in re.findall(r"^\s*\d+: \w+\s+\w+ \w+\s+(?:GLOBAL|WEAK)\s+\w+\s+(\w+) (\S+)", done.stdout, re.M):
        (undefined if section == "UND" else defined).add(name)
    versions = [(int(major), int(minor)) for major, minor in re.findall(r"@GLIBC_(\d+)\.(\d+)", done.stdout)]
    numbers = re.findall(r"@GLIBCXX_(\d+)\.(\d+)(?:\.(\d+))?", done.stdout)
    return Symbols(
        machine=_MACHINES.get(machine[1].strip(), machine[1].strip()),
        needed=frozenset(re.findall(r"\(NEEDED\)\s+Shared library: \[(.+?)\]", done.stdout)),
        defined=frozenset(name.partition("@")[0] for name in defined),
        undefined=frozenset(undefined),
        glibc=max(versions, default=(2, 0)),
        glibcxx=max(((int(a), int(b), int(c or 0)) for a, b, c in numbers), default=(3, 4, 0)),
    )


def check_symbols(path: Path, target: Target, exported: Sequence[str] = EXPORTED) -> None:
    """Refuse a library that a target cannot load.

    Args:
        path: the library.
        target: the machine that loads it.
        exported: functions that it must have.

    Raises:
        PluginError: the library is for another processor, lacks TensorRT's entry points, or needs a library or a C
            library or C++ library that the target does not have.
    """
    symbols = read_symbols(path)
    missing = [name for name in exported if name not in symbols.defined]
    foreign = sorted(name for name in symbols.needed if name not in NEEDED and not name.startswith("ld-linux"))
    problem = ""
    if symbols.machine != target.machine:
        problem = f"it is for {symbols.machine}, {target.name} has {target.machine}"
    elif missing:
        problem = f"it lacks {' and '.join(missing)}, which TensorRT calls"
    elif foreign:
        problem = f"it needs {', '.join(foreign)}, expected none but {', '.join(NEEDED)}"
    elif symbols.glibc > target.glibc:
        problem = "it needs glibc {}.{}, {} has {}.{}; build on an older system".format(
            *symbols.glibc, target.name, *target.glibc
        )
    elif target.glibcxx and symbols.glibcxx > target.glibcxx:
        problem = "it needs GLIBCXX_{}.{}.{}, {} has {}.{}.{}; build with an older g++".format(
            *symbols.glibcxx, target.name, *target.glibcxx
        )
    if problem:
        raise PluginError(f"the plugin library {path.name} cannot run on {target.name}: {problem}")
