"""Search for the compilers and headers that build a library.

The message about a missing one names the package that brings it.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import PluginError
from .targets import newest_ptx

FIRST_CUDA = {80: (11, 0), 86: (11, 1), 87: (11, 4), 89: (11, 8), 90: (11, 8), 100: (12, 8), 110: (13, 0), 120: (12, 8)}
"""First CUDA version whose ptxas knows an architecture."""

OLDEST_TENSORRT = (10, 3)
"""Oldest TensorRT version whose headers have all that the plugins use; JetPack 6 has it."""
TENSORRT_HEADER = "NvInferRuntime.h"
CUDA_HEADER = "cuda_runtime_api.h"


@dataclass(frozen=True)
class Assembler:
    """The program ptxas, which turns PTX into machine code."""

    path: str
    cuda: tuple[int, int]
    """CUDA version it belongs to; its machine code loads on drivers of the same major version and on later ones."""
    release: str
    """Full release, "12.6.85"."""


def choose_assembler(architecture: int, cuda: tuple[int, int], found: Iterable[Assembler]) -> Assembler:
    """Choose the ptxas for an architecture and a CUDA version.

    The driver is of this CUDA version. The newest ptxas that is not newer than the driver is best. Else the oldest one
    of the driver's major version is taken, whose machine code the driver still loads (CUDA minor version compatibility;
    PTX is held to the driver's own version anyway).

    Raises:
        PluginError: no ptxas that was found fits.
    """
    usable = [tool for tool in found if tool.cuda >= FIRST_CUDA[architecture] and tool.cuda[0] <= cuda[0]]
    older = [tool for tool in usable if tool.cuda <= cuda]
    if older:
        return max(older, key=lambda tool: tool.cuda)
    if usable:
        return min(usable, key=lambda tool: tool.cuda)
    first = max(FIRST_CUDA[architecture], (cuda[0], 0))
    raise PluginError(
        f"there is no ptxas for sm_{architecture} under CUDA {cuda[0]}.{cuda[1]}: expected one of CUDA "
        f"{first[0]}.{first[1]} to {cuda[0]}.x from Triton or a package nvidia-cuda-nvcc; "
        "install them: pip install 'spair-rt[plugins]'"
    )


def choose_ptx(cuda: tuple[int, int], assembler: Assembler) -> tuple[int, int]:
    """Choose the newest PTX version that driver and ptxas read."""
    return min(newest_ptx(cuda), newest_ptx(assembler.cuda))


@functools.cache
def find_assemblers() -> tuple[Assembler, ...]:
    """Find every ptxas of Triton and of NVIDIA's packages.

    Only this Python environment is searched.

    Raises:
        PluginError: Triton is not installed.
    """
    folders = [Path(folder) for folder in _package_folders("triton")]
    if not folders:
        raise PluginError(
            "the kernels are compiled by Triton, which is not installed; "
            "on Linux x86-64: pip install 'spair-rt[plugins]'"
        )
    candidates = [path for folder in folders for path in (folder / "backends" / "nvidia" / "bin").glob("ptxas*")]
    candidates += [path for folder in _package_folders("nvidia") for path in Path(folder).glob("*/bin/ptxas")]
    read = (_read_assembler(path) for path in sorted(candidates))
    return tuple(tool for tool in read if tool is not None)


def _read_assembler(path: Path) -> Assembler | None:
    try:
        text = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):  # a program for another processor, or a broken one
        return None
    version = re.search(r"release (\d+)\.(\d+), V([\d.]+)", text)
    return Assembler(str(path), (int(version[1]), int(version[2])), version[3]) if version else None


@functools.cache
def find_disassembler() -> str:
    """Find the program nvdisasm, which Triton carries.

    Raises:
        PluginError: Triton is not installed, or has none for this processor.
    """
    for folder in _package_folders("triton"):
        path = Path(folder) / "backends" / "nvidia" / "bin" / "nvdisasm"
        if path.is_file():
            return str(path)
    raise PluginError(
        "the kernels are counted with nvdisasm, which Triton brings and which was not found; "
        "on Linux x86-64: pip install 'spair-rt[plugins]'"
    )


def find_compiler(machine: str) -> str:
    """Find the C++ compiler whose code runs on a processor.

    Args:
        machine: "x86_64" or "aarch64".

    Raises:
        PluginError: the compiler is not installed.
    """
    name = "g++" if machine == platform.machine() else f"{machine}-linux-gnu-g++"
    path = shutil.which(name)
    if path is None:
        package = "g++" if name == "g++" else f"g++-{machine.replace('_', '-')}-linux-gnu"
        raise PluginError(
            f"the plugin library for {machine} needs the compiler {name}, which is not installed; "
            f"on Debian and Ubuntu: apt-get install {package}"
        )
    return path


def find_tensorrt_headers(environment: Mapping[str, str] = os.environ) -> Path:
    """Find the folder with TensorRT's headers.

    $TENSORRT_INCLUDE_DIR names it. Without the variable the folders of JetPack and Debian are searched, then the
    headers that the package kernel-lens carries. Headers before `OLDEST_TENSORRT` are passed over.

    Raises:
        PluginError: the headers are found nowhere, or not where the variable points.
    """
    oldest = "{}.{}".format(*OLDEST_TENSORRT)
    chosen = environment.get("TENSORRT_INCLUDE_DIR")
    if chosen:
        version = read_tensorrt_version(Path(chosen))
        if version is not None and version >= OLDEST_TENSORRT:
            return Path(chosen)
        found = f"no {TENSORRT_HEADER}" if version is None else "the headers of TensorRT {}.{}".format(*version)
        raise PluginError(
            f"TENSORRT_INCLUDE_DIR is {chosen}, which has {found}; "
            f"let it name the include folder of a TensorRT from {oldest} on, or unset it"
        )
    folders = [*Path("/usr/include").glob("*-linux-gnu"), Path("/usr/include")]
    folders += [Path(folder) / "include" / "tensorrt" for folder in _package_folders("kernel_lens")]
    for folder in folders:
        if (read_tensorrt_version(folder) or (0, 0)) >= OLDEST_TENSORRT:
            return folder
    raise PluginError(
        f"TensorRT's headers ({TENSORRT_HEADER}) were not found; set TENSORRT_INCLUDE_DIR to the include folder of a "
        f"TensorRT from {oldest} on, or take those of a package: pip install 'spair-rt[plugins]'"
    )


def read_tensorrt_version(folder: Path) -> tuple[int, int] | None:
    """Read the version of the TensorRT headers in a folder.

    Returns major and minor version, or None where the folder has no such headers.
    """
    version = folder / "NvInferVersion.h"
    if not (folder / TENSORRT_HEADER).is_file() or not version.is_file():
        return None
    defined = dict(re.findall(r"#define\s+(\w+)\s+(\w+)", version.read_text(encoding="utf-8", errors="replace")))
    words = [defined.get(f"NV_TENSORRT_{part}", "") for part in ("MAJOR", "MINOR")]
    numbers = [defined.get(word, word) for word in words]  # later headers name another definition here
    return (int(numbers[0]), int(numbers[1])) if all(number.isdecimal() for number in numbers) else None


def find_cuda_headers(environment: Mapping[str, str] = os.environ) -> Path:
    """Find the folder with CUDA's headers.

    $CUDA_HOME names the toolkit. Without the variable /usr/local/cuda is searched, then the headers that Triton
    carries.

    Raises:
        PluginError: the headers are found nowhere, or not where the variable points.
    """
    chosen = environment.get("CUDA_HOME")
    if chosen:
        if (Path(chosen) / "include" / CUDA_HEADER).is_file():
            return Path(chosen) / "include"
        raise PluginError(
            f"CUDA_HOME is {chosen}, which has no include/{CUDA_HEADER}; let it name a CUDA toolkit, or unset it"
        )
    folders = [Path("/usr/local/cuda/include")]
    folders += [Path(folder) / "backends" / "nvidia" / "include" for folder in _package_folders("triton")]
    for folder in folders:
        if (folder / CUDA_HEADER).is_file():
            return folder
    raise PluginError(
        f"CUDA's headers ({CUDA_HEADER}) were not found; set CUDA_HOME to a CUDA toolkit, or take Triton's: "
        "pip install 'spair-rt[plugins]'"
    )


def _package_folders(name: str) -> list[str]:
    spec = importlib.util.find_spec(name)
    return list(spec.submodule_search_locations or []) if spec else []
