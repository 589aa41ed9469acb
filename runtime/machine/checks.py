"""Checks of what GPUs need, with remedies."""

from __future__ import annotations

import importlib.util
import platform
import sys
from pathlib import Path

from .driver import probe_driver
from .jetson import ALLOCATION_BUG, Jetson, find_jetson
from .packages import ask_package, list_onnxruntimes
from .probes import Probe
from .remedies import SYSTEM_PACKAGES, explain_failure

_PACKAGES = {
    "tensorrt": ("tensorrt", "str(module.__version__)"),
    "tensorrt_rtx": ("tensorrt_rtx", "str(module.__version__)"),
    "pycuda": ("pycuda.driver", "__import__('pycuda').VERSION_TEXT"),
    "cuda-bindings": ("cuda.bindings.driver", "__import__('cuda.bindings').bindings.__version__"),
    "polygraphy": ("polygraphy", "str(module.__version__)"),
}
"""Name of a check: what is imported, and the expression for its version."""

_LOAD_PROVIDER = """
[module.get_available_providers(), getattr(module, 'preload_dlls', str)(), [
    str(__import__('ctypes').CDLL(module.__path__[0] + '/capi/' + name))
    for name in ('libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so')
    if 'CUDAExecutionProvider' in module.get_available_providers()
]]
"""

_SYSTEM_PYTHONS = {6: (3, 10), 7: (3, 12)}
"""JetPack: version of the Python that its packages are for."""


def check_gpu_software() -> dict[str, Probe]:
    """Check driver, GPUs and packages for engines.

    Returns:
        Answers by name: "driver", "gpu", "jetson", "tensorrt", "tensorrt_rtx", "pycuda", "cuda-bindings", "polygraphy",
        "onnxruntime-gpu". Where one is not ok, its reason names the remedy. Of pycuda and cuda-bindings one is enough.
    """
    jetson = find_jetson()
    driver, gpu = probe_driver()
    found = {"driver": driver, "gpu": gpu, "jetson": check_jetson(jetson)}
    for name in _PACKAGES:
        found[name] = check_package(name, jetson)
    for name, other in (("pycuda", "cuda-bindings"), ("cuda-bindings", "pycuda")):
        if found[other].ok and not found[name].ok:
            found[name] = found[name]._replace(reason=f"not needed, since {other} works; {found[name].reason}")
    found["onnxruntime-gpu"] = check_onnxruntime_gpu()
    return found


def check_package(name: str, jetson: Jetson | None) -> Probe:
    """Check that a package can be imported.

    Args:
        name: a key of the checks, such as "pycuda".
        jetson: the board, see `find_jetson`.
    """
    package, question = _PACKAGES[name]
    answer = ask_package(package, question)
    if answer.error is not None:
        return Probe(False, None, explain_failure(package, answer, jetson))
    return Probe(True, answer.value, None)


def check_jetson(jetson: Jetson | None, environment: Path = Path(sys.prefix)) -> Probe:
    """Check a Jetson's software for known traps.

    Args:
        jetson: the board; None on other machines.
        environment: folder of the Python environment.
    """
    if jetson is None:
        return Probe(True, None, "this machine is no Jetson")
    if jetson.l4t == ALLOCATION_BUG:
        return Probe(
            False,
            jetson.l4t,
            f"L4T {ALLOCATION_BUG} fails large allocations on the GPU (NvMapMemAllocInternalTagged, error 12): upgrade "
            "to L4T 36.5, which is JetPack 6.2.2",
        )
    if importlib.util.find_spec("tensorrt") is None:
        wanted = _SYSTEM_PYTHONS.get(jetson.jetpack or 0, sys.version_info[:2])
        if wanted != sys.version_info[:2]:
            return Probe(
                False,
                jetson.l4t,
                f"JetPack's packages are for Python {wanted[0]}.{wanted[1]}, this is {platform.python_version()}: make "
                f"the environment with /usr/bin/{SYSTEM_PACKAGES}",
            )
        if _is_isolated(environment):
            return Probe(
                False,
                jetson.l4t,
                f"this Python environment does not see the packages of JetPack: make it with {SYSTEM_PACKAGES}",
            )
    return Probe(True, jetson.l4t, str(jetson))


def _is_isolated(environment: Path) -> bool:
    try:
        text = (environment / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False  # the system's own Python
    entries = dict(line.replace(" ", "").lower().split("=", 1) for line in text.splitlines() if "=" in line)
    return entries.get("include-system-site-packages") != "true"


def check_onnxruntime_gpu() -> Probe:
    """Check ONNX Runtime's CUDA provider and its libraries."""
    installed = list_onnxruntimes()
    version = installed.get("onnxruntime-gpu")
    if len(installed) > 1:
        names = " and ".join(f"{name} {number}" for name, number in installed.items())
        return Probe(
            False,
            version,
            f"{names} are installed together, but hold the same files, so that one damages the other: pip uninstall -y "
            f"{' '.join(installed)}, then install one of them again: onnxruntime-gpu for --backend cuda",
        )
    if version is None:
        index = "; the package index has it for x86-64 alone" if platform.machine() != "x86_64" else ""
        return Probe(
            False,
            None,
            "it is not installed; for --backend cuda, in place of onnxruntime: pip uninstall -y onnxruntime, then pip "
            f"install onnxruntime-gpu{index}",
        )
    answer = ask_package("onnxruntime", _LOAD_PROVIDER.strip())
    if answer.error is not None:
        return Probe(False, version, explain_failure("onnxruntime", answer, None, action="load for CUDA"))
    if "CUDAExecutionProvider" not in answer.value[0]:
        return Probe(False, version, "it has no CUDA provider: pip install --force-reinstall --no-deps onnxruntime-gpu")
    return Probe(True, version, None)
