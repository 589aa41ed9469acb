"""Comparison of the whole network on a GPU, without TensorRT.

Plugins and PyTorch's functions run in one CUDA graph.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch

from benchmarks.common.measuring import print_progress
from benchmarks.gpu.harness.executor import Executor, dense_operator
from benchmarks.gpu.harness.graph_timing import capture, time_replays
from benchmarks.gpu.harness.pictures import draw_rain
from benchmarks.gpu.harness.plugin_nodes import PluginNode
from benchmarks.gpu.harness.precisions import SCALE, convert
from benchmarks.gpu.latency import PARTS, TOLERANCE
from spair.export.engines.graph import prepare_engine_graph
from spair.network import SPAIR
from spair.runtime import Bundle
from spair.runtime.errors import GateError
from tests.plugins.emulated.plugin import PluginHost

TYPES = {"fp32": torch.float32, "fp16": torch.float16, "int8": torch.float16}
"""Types of the PyTorch module; dense layers of the INT8 network are compared in FP16, since PyTorch has no INT8
ones."""
GATE_SIZES = ((160, 128), (97, 61))
"""Widths and heights in pixels at which the network is compared with ONNX Runtime on the CPU."""
GATE = 1e-4
"""Largest absolute error in FP32, the gate of the export."""
FLIPPED = {"fp32": 1e-3, "fp16": 1e-2, "int8": 1e-2}
"""Share of pixels whose logit may lie on the other side of the threshold; one pixel always may."""
CHANGED = 0.1
"""Share of the network's mean change that FP16 and INT8 may differ by, as for engines."""
LEAST = {"fp16": 2e-5, "int8": 2e-5 + SCALE / 16}
"""Mean error that they may have where the network changes next to nothing: a pixel of the mask in some thousands. INT8
values up to 4 that come from FP16 may be off by 2^-10, a 32nd of a step, so that up to a 16th of them lie where either
of two steps may be taken."""


def make_picture(width: int, height: int, part: float, device: str) -> torch.Tensor:
    """Make a picture [1,3,H,W] float32, 0 to 1, see `draw_rain`."""
    picture = torch.from_numpy(draw_rain(width, height, part))
    return picture.permute(2, 0, 1)[None].contiguous().to(device).float() / 255


def measure_network(
    host: PluginHost,
    bundle: Bundle,
    model: SPAIR,
    sizes: Sequence[tuple[int, int]],
    kinds: Sequence[str],
    replays: int,
    folder: Path,
) -> Iterator[dict[str, Any]]:
    """Compare and measure the network.

    The first row of each kind is {"gate", ...}; then there is a row for each picture. The INT8 graph has scales that no
    picture was measured for, and what PyTorch runs of it rounds to INT8 and multiplies in FP16: only its plugins are
    what an engine would run. Dense is its definition in FP16, with no rounding to INT8.

    Raises:
        GateError: the network differs from ONNX Runtime's, or sparse from dense.
    """
    for kind in kinds:
        source = bundle.graph("fp32", "model") if kind == "fp32" else convert(bundle, kind, folder / f"{kind}.onnx")
        graph = onnx.load_from_string(prepare_engine_graph(source))
        sparse = Executor(graph, "cuda", lambda name, attributes: PluginNode(host, name, attributes))
        exact = dense = Executor(graph, "cuda", dense_operator)
        if kind == "int8":
            half = convert(bundle, "fp16", folder / "baseline.onnx")
            dense = Executor(onnx.load_from_string(prepare_engine_graph(half)), "cuda", dense_operator)
        yield {"gate": kind, **compare(sparse, source, kind)}
        network = copy.deepcopy(model).eval().to("cuda", dtype=TYPES[kind], memory_format=torch.channels_last)
        for size in sizes:
            print_progress(f"network {kind} {size[0]}x{size[1]}")
            yield from measure_size(Contenders(sparse, exact, dense, network), kind, size, replays)


@dataclass(frozen=True)
class Contenders:
    """Programs of the same network."""

    sparse: Executor
    """Graph with plugins."""
    exact: Executor
    """Definition of that graph on all pixels, which the plugins must agree with."""
    dense: Executor
    """Graph on all pixels that is timed."""
    module: SPAIR


def compare(sparse: Executor, source: Path, kind: str) -> dict[str, float]:
    """Compare the network with ONNX Runtime on the same graph.

    Returns {"most", "mean", "flipped"}, the worst of all sizes and pictures.
    """
    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    found = {"most": 0.0, "mean": 0.0, "flipped": 0.0}
    for width, height in GATE_SIZES:
        for part in (0.0, 0.3, 1.0):
            image = make_picture(width, height, part, sparse.device)
            outputs = sparse.run(image)
            restored, mask = session.run(["restored", "mask"], {"image": image.cpu().numpy()})
            error = (outputs["restored"].float().cpu() - torch.from_numpy(restored).float()).abs()
            flipped = int((outputs["mask"].float().cpu() != torch.from_numpy(mask).float()).sum())
            where = f"{kind}, {width}x{height}, rain on {part:.0%}"
            if flipped > max(1, FLIPPED[kind] * mask.size):
                raise GateError(f"{where}: {flipped} of {mask.size} pixels of the mask differ from ONNX Runtime's")
            changed = float(abs(restored - image.cpu().numpy()).mean())
            allowed = GATE if kind == "fp32" else CHANGED * changed + LEAST[kind]
            off = float(error.max()) if kind == "fp32" and not flipped else float(error.mean())
            if not off <= allowed:
                raise GateError(f"{where}: off by {off:.2e} from ONNX Runtime, allowed {allowed:.2e}")
            numbers = {"most": float(error.max()), "mean": float(error.mean()), "flipped": flipped / mask.size}
            found = {name: max(found[name], number) for name, number in numbers.items()}
    return found


def measure_size(contenders: Contenders, kind: str, size: tuple[int, int], replays: int) -> Iterator[dict[str, Any]]:
    """Measure pictures of one size, a row each.

    Each contender is captured once; other pictures are copied into the memory that it reads.
    """
    sparse, dense = contenders.sparse, contenders.dense
    image = make_picture(*size, 0.5, sparse.device)
    typed = image.to(TYPES[kind])

    def forward() -> Any:
        return contenders.module(typed.contiguous(memory_format=torch.channels_last))

    with torch.inference_mode():
        graphs, outputs = {}, {}
        for name, run in (
            ("sparse", lambda: sparse.run(image)), ("dense", lambda: dense.run(image)), ("module", forward),
        ):  # fmt: skip
            graphs[name], (outputs[name],) = capture([run])
        for part in PARTS:
            image.copy_(make_picture(*size, part, sparse.device))
            typed.copy_(image)
            for graph in graphs.values():
                graph.replay()
            restored, mask = (outputs["sparse"][name].float() for name in ("restored", "mask"))
            same = outputs["dense"] if contenders.exact is dense else contenders.exact.run(image)
            other, other_mask = (same[name].float() for name in ("restored", "mask"))
            error = (restored - other).abs()
            eager = float((sparse.run(image)["restored"].float() - restored).abs().mean())
            mean, flipped = float(error.mean()), float((mask != other_mask).float().mean())
            if not mean <= TOLERANCE[kind] or not eager <= TOLERANCE[kind] or flipped > FLIPPED[kind]:
                raise GateError(
                    f"{kind}, {size[0]}x{size[1]}, rain on {part:.0%}: sparse and dense differ by {mean:.2e} in the "
                    f"mean and in {flipped:.2%} of the mask, a replay and a run by {eager:.2e}"
                )
            most = float(error.max())
            times = {f"{name}_ms": time_replays(graph, replays) for name, graph in graphs.items()}
            yield {
                "kind": kind, "size": list(size), "rain": part, "density": float(mask.mean()), **times,
                "speedup": times["dense_ms"] / times["sparse_ms"],
                "speedup_module": times["module_ms"] / times["sparse_ms"],
                "mean_error": mean, "most": most, "flipped": flipped,
            }  # fmt: skip
