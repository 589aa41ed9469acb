"""Probes of the backends that may work on a machine.

Each probe is a plain function, so that tests can replace what it asks. A package is imported only when its probe runs,
and its absence is an answer.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from .gpu import list_gpus


class Probe(NamedTuple):
    """Answer of a backend."""

    ok: bool
    version: str | None
    reason: str | None
    """Cause of a refusal and the remedy; a remark or None for a backend that works."""


def load(package: str) -> tuple[Any, str | None]:
    """Import a package.

    Returns:
        The module and None, or None and the reason, which tells an absent package from one with broken libraries.
    """
    try:
        return importlib.import_module(package), None
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == package:
            return None, f"the Python package {package} is not installed"
        return None, f"the Python package {package} does not import: {error}"
    except (ImportError, OSError) as error:
        return None, f"the Python package {package} does not import: {' '.join(str(error).split())}"


def probe_onnxruntime() -> Probe:
    """Probe ONNX Runtime, the default, which runs on the CPU."""
    module, reason = load("onnxruntime")
    if module is None:
        return Probe(False, None, f"{reason}; pip install onnxruntime")
    providers = module.get_available_providers()
    if "CPUExecutionProvider" not in providers:
        return Probe(
            False, module.__version__, f"it has no CPU provider, only {', '.join(providers)}; pip install onnxruntime"
        )
    if "CUDAExecutionProvider" not in providers:
        return Probe(True, module.__version__, "CPU only; for CUDA: pip install onnxruntime-gpu")
    return Probe(True, module.__version__, None)


def probe_torch() -> Probe:
    """Probe PyTorch, which trains, exports and runs checkpoints."""
    module, reason = load("torch")
    if module is None:
        return Probe(False, None, f"{reason}; pip install 'spair-rt[export]' or 'spair-rt[train]'")
    return Probe(True, str(module.__version__), None if module.cuda.is_available() else "CPU only")


def probe_tensorrt() -> Probe:
    """Probe TensorRT, for servers and Jetson."""
    return _probe_gpu_package("tensorrt", "pip install tensorrt (on a Jetson it is part of JetPack)")


def probe_rtx() -> Probe:
    """Probe TensorRT for RTX, for desktop GPUs."""
    return _probe_gpu_package("tensorrt_rtx", "pip install tensorrt_rtx_cu13")


def _probe_gpu_package(package: str, remedy: str) -> Probe:
    module, reason = load(package)
    if module is None:
        return Probe(False, None, f"{reason}; {remedy}")
    gpus, no_gpu = list_gpus()
    return Probe(bool(gpus), str(module.__version__), None if gpus else no_gpu)


PROBES: dict[str, Callable[[], Probe]] = {
    "onnxruntime": probe_onnxruntime,
    "tensorrt": probe_tensorrt,
    "rtx": probe_rtx,
    "torch": probe_torch,
}
"""Backend -> its probe, in the order of `spair doctor`."""
