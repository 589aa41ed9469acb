"""Checks of what GPUs need, with remedies."""

from __future__ import annotations

import platform

from .board.facts import BoardFacts, read_facts
from .board.findings import list_findings
from .board.identity import Jetson, find_jetson
from .driver import probe_driver
from .packages import ask_package, list_onnxruntimes
from .probes import Probe
from .remedies import explain_failure

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


def check_gpu_software() -> dict[str, Probe]:
    """Check driver, GPUs and packages for engines.

    Returns:
        Answers by name: "driver", "gpu", "jetson", "tensorrt", "tensorrt_rtx", "pycuda", "cuda-bindings", "polygraphy",
        "onnxruntime-gpu". Where one is not ok, its reason names the remedy. Of pycuda and cuda-bindings one is enough.
    """
    jetson = find_jetson()
    driver, gpu = probe_driver()
    found = {"driver": driver, "gpu": gpu, "jetson": check_jetson(None if jetson is None else read_facts(jetson))}
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


def check_jetson(facts: BoardFacts | None) -> Probe:
    """Check a Jetson for known traps.

    Args:
        facts: the board; None on other machines.

    Returns:
        The first fault with its remedy, else the board. `list_findings` has all.
    """
    if facts is None:
        return Probe(True, None, "this machine is no Jetson")
    fault = next((finding for finding in list_findings(facts) if finding.fault), None)
    if fault is None:
        return Probe(True, facts.board.l4t, str(facts.board))
    return Probe(False, facts.board.l4t, fault.sentence + (f": {fault.command}" if fault.command else ""))


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
