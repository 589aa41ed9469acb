"""Dense contenders that run the same network.

Each is a function from named arrays to named arrays.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.inliner
import torch
from torch import nn

from benchmarks.peers.install import PeerAbsentError, first_line, load_package
from benchmarks.peers.maskless import remove_masks
from spair.runtime.backends.onnxruntime import OnnxGraph
from spair.runtime.machine.processor import read_features

Arrays = Mapping[str, np.ndarray]
Compute = Callable[[Arrays], Arrays]
"""Function from float32 arrays by input name to arrays by output name, which are valid until the next call."""


@dataclass(frozen=True)
class Workload:
    """Graph, module and one set of inputs to run."""

    graph: Path
    """Path of the graph's file."""
    module: nn.Module
    """Module that the graph was exported from; it takes the inputs in their order and gives one tensor or a tuple."""
    outputs: tuple[str, ...]
    """Names of the outputs."""
    example: Arrays
    """One set of inputs, which gives their shapes."""
    threads: int


LIMIT = "ONEDNN_MAX_CPU_ISA"
"""Variable of oneDNN, which OpenVINO computes with, for the newest instructions that it may use."""
OpenPeer = Callable[[Workload], contextlib.AbstractContextManager[Compute]]


@contextlib.contextmanager
def open_onnxruntime(workload: Workload, *, masks: bool = True) -> Iterator[Compute]:
    """Open the graph on ONNX Runtime.

    It is computed as it is written, like in other programs. Without `masks` all masks are removed from it.
    """
    with _graph_file(workload, masks) as file, OnnxGraph(file, threads=workload.threads, as_written=True) as graph:
        yield graph.run


@contextlib.contextmanager
def open_openvino(workload: Workload, *, masks: bool = True, precision: str = "f32") -> Iterator[Compute]:
    """Open the graph on OpenVINO on the CPU.

    It is compiled for the very shapes of the example. Without `masks` all masks are removed from the graph. OpenVINO
    computes in the precision "f32" or "bf16"; where the processor has no bfloat16 it would silently take float32.

    Raises:
        PeerAbsentError: OpenVINO cannot be installed or imported, or does not take the graph; the processor has no
            bfloat16.
    """
    if precision == "bf16" and not {"avx512_bf16", "amx_bf16", "bf16"} & set(read_features()):
        raise PeerAbsentError("this processor has no bfloat16")
    openvino = load_package("openvino")
    with _graph_file(workload, masks) as file:
        # Its ONNX reader loses the ranks inside local functions; written out, it reads the same graph.
        written = onnx.inliner.inline_local_functions(onnx.load(file))
    options = {
        "INFERENCE_NUM_THREADS": workload.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
    }
    try:
        core = openvino.Core()
        model = core.read_model(written.SerializeToString())
        known = {name for port in model.inputs for name in port.names}  # it drops an input that nothing reads
        model.reshape({name: list(value.shape) for name, value in workload.example.items() if name in known})
        compiled = core.compile_model(model, "CPU", options)
        require_limit(str(one.get_rt_info()["primitiveType"]) for one in compiled.get_runtime_model().get_ops())
        request = compiled.create_infer_request()
    except RuntimeError as error:
        raise PeerAbsentError(f"OpenVINO cannot compile the graph: {first_line(error)}") from error

    def compute(feeds: Arrays) -> Arrays:
        given = {name: feeds[name] for name in known}
        results = request.infer(given, share_inputs=True, share_outputs=True)
        return {name: results[name] for name in workload.outputs}

    yield compute


def require_limit(primitives: Iterable[str]) -> None:
    """Check that OpenVINO heeds a limit of instructions.

    Args:
        primitives: names of what it computes with: "brgconv_avx512_amx_bf16".

    Raises:
        PeerAbsentError: one is of instructions above `ONEDNN_MAX_CPU_ISA`.
    """
    limit = os.environ.get(LIMIT, "")
    above = {"AVX512": ("amx",), "AVX2": ("amx", "avx512")}.get(limit.partition("_")[0], ())
    for primitive in primitives:
        if any(word in primitive for word in above):
            raise PeerAbsentError(f"OpenVINO computes with {primitive}, above {LIMIT}={limit}")


@contextlib.contextmanager
def open_eager(workload: Workload) -> Iterator[Compute]:
    """Open the module on PyTorch as it stands."""
    yield _in_torch(workload, workload.module)


@contextlib.contextmanager
def open_compiled(workload: Workload) -> Iterator[Compute]:
    """Compile the module with torch.compile for the example's shapes.

    Compiling takes minutes.

    Raises:
        PeerAbsentError: it does not compile here, for example because a C++ compiler is missing.
    """
    compute = _in_torch(workload, torch.compile(workload.module, dynamic=False))
    try:
        compute(workload.example)
    except Exception as error:  # the compiler's stages raise errors of many types
        raise PeerAbsentError(f"torch.compile fails: {first_line(error)}") from error
    try:
        yield compute
    finally:
        torch.compiler.reset()


def _in_torch(workload: Workload, module: Callable) -> Compute:
    torch.set_num_threads(workload.threads)

    def compute(feeds: Arrays) -> Arrays:
        with torch.inference_mode():
            values = module(*(torch.from_numpy(feeds[name]) for name in workload.example))
        tensors: Sequence[torch.Tensor] = values if isinstance(values, tuple) else (values,)
        return {name: value.numpy() for name, value in zip(workload.outputs, tensors, strict=True)}

    return compute


@contextlib.contextmanager
def _graph_file(workload: Workload, masks: bool) -> Iterator[Path]:
    if masks:
        yield workload.graph
        return
    model = onnx.load(workload.graph)
    remove_masks(model)
    with tempfile.TemporaryDirectory(prefix="spair-maskless-") as folder:
        file = Path(folder) / workload.graph.name
        onnx.save(model, file)
        yield file


@contextlib.contextmanager
def _bare_onnxruntime(workload: Workload) -> Iterator[Compute]:
    with open_onnxruntime(workload, masks=False) as compute:
        yield compute


@contextlib.contextmanager
def _bare_openvino(workload: Workload) -> Iterator[Compute]:
    with open_openvino(workload, masks=False) as compute:
        yield compute


@contextlib.contextmanager
def _openvino_bfloat16(workload: Workload) -> Iterator[Compute]:
    with open_openvino(workload, precision="bf16") as compute:
        yield compute


DENSE_PEERS: dict[str, OpenPeer] = {
    "eager": open_eager,
    "compiled": open_compiled,
    "openvino": open_openvino,
    "openvino-bf16": _openvino_bfloat16,
    "maskless": _bare_onnxruntime,
    "maskless-openvino": _bare_openvino,
}
"""Peers that are compared with the dense export on ONNX Runtime. The last two compute something else, without any
masks, and bound the speed of every dense implementation."""
MASKLESS = ("maskless", "maskless-openvino")
ROUNDED = ("openvino-bf16",)
"""Peers that round every value, so that they are held to a mean error."""
