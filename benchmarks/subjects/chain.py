"""Chain of sparse convolutions that `benchmarks.sparse_chain` measures.

It has the module, the graphs, the inputs, the reference and the floor.
"""

from __future__ import annotations

import copy
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from spair.export.graphs import GraphSpec, export_graph
from spair.export.packed.packing import PackSparse
from spair.network.operators import SparseConv2d
from spair.runtime.backends.onnxruntime import OnnxGraph


class Chain(nn.Module):
    """Sparse 3x3 convolutions with ReLU, one after the other."""

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        layers = [SparseConv2d(channels, channels, 3, relu=True, masked_input=False) for _ in range(count)]
        for layer in layers:
            nn.init.normal_(layer.bias, std=0.1)
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Run the chain on x [N,C,H,W] under a mask [N,1,H,W].

        The mask is 0 or 1.
        """
        for layer in self.layers:
            x = layer(x, mask)
        return x


def count_pairs(mask: np.ndarray) -> int:
    """Count pairs of distorted pixels that a 3x3 kernel connects.

    The mask is [H,W] bool. Each pixel is a pair with itself as well.
    """
    height, width = mask.shape
    padded = np.pad(mask, 1)
    return sum(
        int((mask & padded[row : row + height, column : column + width]).sum())
        for row in range(3)
        for column in range(3)
    )


def floor_ms(pairs: int, channels: int, layers: int, gigaflops: float) -> float:
    """Compute the milliseconds that no submanifold chain can fall below.

    They are the time of the multiply-adds of existing pairs at a given speed.
    """
    return 2.0 * channels * channels * pairs * layers / (gigaflops * 1e9) * 1e3


def measure_peak(threads: int, folder: Path, side: int = 1024, seconds: float = 1.0) -> float:
    """Measure the GFLOP/s of the fastest matrix product.

    Two square matrices are multiplied many times on ONNX Runtime; the second one is a constant.
    """
    weight = np.random.default_rng(0).standard_normal((side, side), np.float32)
    shape = [side, side]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weight, "w")],
    )
    file = folder / "product.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), file)
    best = float("inf")
    with OnnxGraph(file, threads=threads) as product:
        end = time.perf_counter() + seconds
        while best == float("inf") or time.perf_counter() < end:
            began = time.perf_counter()
            product.run({"x": weight})
            best = min(best, time.perf_counter() - began)
    return 2.0 * side**3 / best / 1e9


def make_input(channels: int, side: int, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make a random input and its mask.

    x [1,C,S,S] is normal, and zero at clean pixels; the mask is [1,1,S,S]. Both are float32.
    """
    x = np.random.default_rng(1).standard_normal((1, channels, side, side), np.float32)
    return x * mask, mask[None, None].astype(np.float32)


def export_chain(chain: Chain, channels: int, folder: Path) -> tuple[Path, Path]:
    """Export the chain as a dense and a packed graph.

    The dense graph has the function bodies of its operators.
    """
    example = torch.rand(2, channels, 16, 24)
    inputs = {"x": (example, 1), "mask": ((torch.rand(2, 1, 16, 24) < 0.5).float(), 1)}
    dense = export_graph(GraphSpec(chain, inputs, ("y",), multiple=1, any_size=False))
    packed = copy.deepcopy(dense)
    PackSparse()(packed)
    files = folder / "dense.onnx", folder / "packed.onnx"
    for model, file in zip((dense, packed), files, strict=True):
        onnx.save(model, file)
    return files


def compute_reference(chain: Chain, x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Compute the chain with PyTorch in float64, [1,C,H,W]."""
    with torch.inference_mode():
        exact = copy.deepcopy(chain).double()
        return exact(torch.from_numpy(x).double(), torch.from_numpy(mask).double()).numpy()
