"""Probes of the backends that may work on a machine.

Each probe is a plain function, so that tests can replace what it asks. A package is imported in a process of its own
when its probe runs; its absence is an answer, and so is a crash.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .board.identity import find_jetson
from .gpu import list_gpus
from .packages import ask_package
from .remedies import explain_failure


class Probe(NamedTuple):
    """Answer of a backend."""

    ok: bool
    version: str | None
    reason: str | None
    """Cause of a refusal and the remedy; a remark or None for a backend that works."""


def probe_onnxruntime() -> Probe:
    """Probe ONNX Runtime, the default, which runs on the CPU."""
    answer = ask_package("onnxruntime", "[module.__version__, module.get_available_providers()]")
    if answer.error is not None:
        return Probe(False, None, explain_failure("onnxruntime", answer, None))
    version, providers = answer.value
    if "CPUExecutionProvider" not in providers:
        return Probe(False, version, f"it has no CPU provider, only {', '.join(providers)}; pip install onnxruntime")
    if "CUDAExecutionProvider" not in providers:
        return Probe(True, version, "CPU only; for CUDA: pip install onnxruntime-gpu in place of onnxruntime")
    return Probe(True, version, None)


def probe_torch() -> Probe:
    """Probe PyTorch, which trains, exports and runs checkpoints."""
    answer = ask_package("torch", "[str(module.__version__), module.cuda.is_available()]")
    if answer.error is not None:
        return Probe(False, None, explain_failure("torch", answer, None))
    version, cuda = answer.value
    return Probe(True, version, None if cuda else "CPU only")


def probe_tensorrt() -> Probe:
    """Probe TensorRT, for servers and Jetson."""
    return _probe_gpu_package("tensorrt")


def probe_rtx() -> Probe:
    """Probe TensorRT for RTX, for desktop GPUs."""
    return _probe_gpu_package("tensorrt_rtx")


def _probe_gpu_package(package: str) -> Probe:
    answer = ask_package(package)
    if answer.error is not None:
        return Probe(False, None, explain_failure(package, answer, find_jetson()))
    gpus, no_gpu = list_gpus()
    return Probe(bool(gpus), answer.value, None if gpus else no_gpu)


PROBES: dict[str, Callable[[], Probe]] = {
    "onnxruntime": probe_onnxruntime,
    "tensorrt": probe_tensorrt,
    "rtx": probe_rtx,
    "torch": probe_torch,
}
"""Backend -> its probe, in the order of `spair doctor`."""
