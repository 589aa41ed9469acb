"""Remedies for missing and broken packages."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from .board.findings import SYSTEM_PACKAGES
from .board.identity import Jetson
from .packages import Answer

NO_DRIVER = (
    "there is no NVIDIA driver: install it with sudo ubuntu-drivers install, or start the container with --gpus all "
    "(on a Jetson --runtime nvidia)"
)
"""Remedy for a machine without libcuda.so.1."""

_CAUSES = (
    (
        r"libnvdla_compiler",
        "TensorRT needs libnvdla_compiler.so of JetPack, which is missing here: sudo apt-get install "
        "nvidia-l4t-dla-compiler on the board itself; in a container, take an image of the same JetPack as the board's",
    ),
    (r"libcuda\.so", NO_DRIVER),
    (
        r"libnv(infer|onnxparser)|libtensorrt_rtx",
        "TensorRT's libraries are missing beside its Python package: install the package again, or name their folder "
        "in LD_LIBRARY_PATH",
    ),
    (
        r"compiled using NumPy 1|numpy\.core\.multiarray|_ARRAY_API|numpy\.dtype size changed",
        "it was compiled for NumPy 1: pip install 'numpy<2'",
    ),
    (
        r"libcudart|libcublas|libcudnn|libnvrtc|libcufft|libcurand",
        "CUDA's libraries are missing: pip install 'onnxruntime-gpu[cuda,cudnn]' brings those of ONNX Runtime; others "
        "come with the CUDA toolkit, whose folder lib64 belongs in LD_LIBRARY_PATH",
    ),
)
"""Patterns of what an import says, and the sentence for each."""


def explain_failure(package: str, answer: Answer, jetson: Jetson | None, *, action: str = "import") -> str:
    """Say why a package fails, and the remedy.

    Args:
        package: name that was imported.
        answer: its failure, with an error.
        jetson: the board, on which some packages come from JetPack.
        action: word for what failed.
    """
    name = package.removesuffix(".driver")
    if answer.absent:
        return f"the Python package {name} is not installed; {advise_installation(package, jetson)}"
    error = answer.error or ""
    remedy = next((sentence for pattern, sentence in _CAUSES if re.search(pattern, error)), None)
    return f"the Python package {name} does not {action}: {error}" + (f"; {remedy}" if remedy else "")


def advise_installation(package: str, jetson: Jetson | None, environment: Mapping[str, str] = os.environ) -> str:
    """Give the command that installs a package.

    Args:
        package: name that is imported.
        jetson: see `explain_failure`.
        environment: environment variables, of which CUDA_HOME is read.
    """
    if package == "tensorrt" and jetson:
        return (
            f"JetPack brings it: sudo apt-get install nvidia-jetpack, and make the environment with {SYSTEM_PACKAGES}"
        )
    if package.startswith("pycuda"):
        return advise_pycuda(find_toolkit(environment))
    return _COMMANDS[package]


_COMMANDS = {
    "onnxruntime": "pip install onnxruntime",
    "torch": "pip install 'spair-rt[export]' or 'spair-rt[train]'",
    "tensorrt": "pip install 'spair-rt[tensorrt]' (on a Jetson it is part of JetPack)",
    "tensorrt_rtx": "pip install 'spair-rt[rtx]' (tensorrt_rtx_cu13)",
    "cuda.bindings.driver": "pip install cuda-bindings (for a driver of CUDA 12: 'cuda-bindings==12.9.*')",
    "polygraphy": "pip install polygraphy; only comparing engines with other runtimes needs it",
}
"""Package: command that installs it."""


def find_toolkit(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Find the CUDA toolkit, by its header cuda.h.

    Returns:
        Its folder, $CUDA_HOME before /usr/local/cuda; None where neither has the header.
    """
    places = (environment.get("CUDA_HOME"), "/usr/local/cuda")
    return next((Path(place) for place in places if place and (Path(place) / "include" / "cuda.h").is_file()), None)


def advise_pycuda(toolkit: Path | None) -> str:
    """Give the command that compiles and installs pycuda."""
    if toolkit is None:
        return (
            "it is compiled against the CUDA toolkit, which is missing here (no cuda.h in $CUDA_HOME/include or "
            "/usr/local/cuda/include): install the toolkit, or use cuda-bindings instead, which needs none"
        )
    command = f"PATH={toolkit}/bin:$PATH CPATH={toolkit}/include pip install 'pycuda>=2025.1.2'"
    traps = 'without these two paths it stops at "cuda.h: No such file"'
    if not (toolkit / "include" / "curand.h").is_file():
        command = f"echo 'CUDA_ENABLE_CURAND = False' >> ~/.aksetup-defaults.py; {command}"
        traps += ', and without the first command at "curand.h: No such file", which this toolkit lacks'
    return f"{command} ({traps})"
