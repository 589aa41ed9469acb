"""Dense contenders: the same network run by somebody else, each as a function from named arrays to named arrays."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
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

Arrays = Mapping[str, np.ndarray]
Compute = Callable[[Arrays], Arrays]
"""float32 arrays by input name to arrays by output name; what comes back is valid until the next call."""


@dataclass(frozen=True)
class Subject:
    """What is run: a graph file, the module that it was exported from, and one set of inputs for their shapes."""

    graph: Path
    module: nn.Module
    """Takes the inputs in their order, gives one tensor or a tuple of them."""
    outputs: tuple[str, ...]
    example: Arrays
    threads: int


OpenPeer = Callable[[Subject], contextlib.AbstractContextManager[Compute]]


@contextlib.contextmanager
def open_onnxruntime(subject: Subject, *, masks: bool = True) -> Iterator[Compute]:
    """ONNX Runtime: the graph as it was exported, or with all masks removed."""
    with _graph_file(subject, masks) as file, OnnxGraph(file, threads=subject.threads) as graph:
        yield graph.run


@contextlib.contextmanager
def open_openvino(subject: Subject, *, masks: bool = True) -> Iterator[Compute]:
    """OpenVINO on the CPU in float32, compiled for the very shapes of the example.

    Raises:
        PeerAbsentError: it cannot be installed or imported, or does not take the graph.
    """
    openvino = load_package("openvino")
    with _graph_file(subject, masks) as file:
        # Its ONNX reader loses the ranks inside local functions; written out, it reads the same graph.
        written = onnx.inliner.inline_local_functions(onnx.load(file))
    options = {
        "INFERENCE_NUM_THREADS": subject.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    try:
        core = openvino.Core()
        model = core.read_model(written.SerializeToString())
        known = {name for port in model.inputs for name in port.names}  # it drops an input that nothing reads
        model.reshape({name: list(value.shape) for name, value in subject.example.items() if name in known})
        request = core.compile_model(model, "CPU", options).create_infer_request()
    except RuntimeError as error:
        raise PeerAbsentError(f"OpenVINO cannot compile the graph: {first_line(error)}") from error

    def compute(feeds: Arrays) -> Arrays:
        given = {name: feeds[name] for name in known}
        results = request.infer(given, share_inputs=True, share_outputs=True)
        return {name: results[name] for name in subject.outputs}

    yield compute


@contextlib.contextmanager
def open_eager(subject: Subject) -> Iterator[Compute]:
    """PyTorch, as the module stands."""
    yield _in_torch(subject, subject.module)


@contextlib.contextmanager
def open_compiled(subject: Subject) -> Iterator[Compute]:
    """torch.compile for the very shapes of the example; compiling takes minutes.

    Raises:
        PeerAbsentError: it does not compile here, for want of a C++ compiler for example.
    """
    compute = _in_torch(subject, torch.compile(subject.module, dynamic=False))
    try:
        compute(subject.example)
    except Exception as error:  # of whatever the compiler's stages raise
        raise PeerAbsentError(f"torch.compile fails: {first_line(error)}") from error
    try:
        yield compute
    finally:
        torch.compiler.reset()


def _in_torch(subject: Subject, module: Callable) -> Compute:
    torch.set_num_threads(subject.threads)

    def compute(feeds: Arrays) -> Arrays:
        with torch.inference_mode():
            values = module(*(torch.from_numpy(feeds[name]) for name in subject.example))
        tensors: Sequence[torch.Tensor] = values if isinstance(values, tuple) else (values,)
        return {name: value.numpy() for name, value in zip(subject.outputs, tensors, strict=True)}

    return compute


@contextlib.contextmanager
def _graph_file(subject: Subject, masks: bool) -> Iterator[Path]:
    if masks:
        yield subject.graph
        return
    model = onnx.load(subject.graph)
    remove_masks(model)
    with tempfile.TemporaryDirectory(prefix="spair-maskless-") as folder:
        file = Path(folder) / subject.graph.name
        onnx.save(model, file)
        yield file


@contextlib.contextmanager
def _bare_onnxruntime(subject: Subject) -> Iterator[Compute]:
    with open_onnxruntime(subject, masks=False) as compute:
        yield compute


@contextlib.contextmanager
def _bare_openvino(subject: Subject) -> Iterator[Compute]:
    with open_openvino(subject, masks=False) as compute:
        yield compute


DENSE_PEERS: dict[str, OpenPeer] = {
    "eager": open_eager,
    "compiled": open_compiled,
    "openvino": open_openvino,
    "maskless": _bare_onnxruntime,
    "maskless-openvino": _bare_openvino,
}
"""Who is compared with the dense export on ONNX Runtime. The last two compute something else (no masks at all) and
bound what any dense implementation can reach."""
MASKLESS = ("maskless", "maskless-openvino")
