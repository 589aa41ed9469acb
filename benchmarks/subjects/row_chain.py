"""Chain of sparse convolutions on our own kernels.

Each run lists the pixels of its mask, gathers them, convolves rows and puts the results back, as spconv's chain does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from spair.runtime.cpu.library import load_library
from spair.runtime.cpu.memory.buffers import Buffers
from spair.runtime.cpu.memory.forms import describe_results
from spair.runtime.cpu.memory.layers import Layer, Weights, pack_rows
from spair.runtime.cpu.sites import Rows, SiteMaker


class RowChain:
    """3x3 convolution, bias and ReLU, layer after layer."""

    def __init__(self, layers: Sequence[nn.Module], threads: int) -> None:
        """Pack the weights and start the threads.

        Args:
            layers: modules with `weight` [C,C,3,3] and `bias` [C], as `SparseConv2d`; 8 divides C.
            threads: number of threads that compute.

        Raises:
            UserError: the kernels are not available here.
            ValueError: 8 does not divide C.
        """
        self._library = load_library()
        self._pool, self._buffers = self._library.open_pool(threads), Buffers()
        self._maker = SiteMaker(self._library, self._pool, self._buffers)
        self._layers = [
            pack_rows(self._library, Weights(_numpy(layer, "weight"), _numpy(layer, "bias"))) for layer in layers
        ]
        if any(layer.inputs != layer.outputs for layer in self._layers):
            raise ValueError("8 does not divide the channels, so that rows would need zeros between them")

    def close(self) -> None:
        """End the threads."""
        self._pool.close()

    def on_picture(self, x: np.ndarray, mask: np.ndarray) -> Callable[[], np.ndarray]:
        """Make a run from picture to picture.

        x [1,C,H,W] and mask [1,1,H,W] are float32; the run gives [1,C,H,W], and zero at clean pixels.
        """
        features = torch.from_numpy(x)
        channels, height, width = x.shape[1:]

        def run() -> np.ndarray:
            rows = self._maker.list_rows("rows", mask[0, 0].astype(np.uint8), ordered=True)
            down, right = np.divmod(rows.place, width + 2)  # the map of numbers has a frame of one pixel
            where = torch.from_numpy(((down - 1) * width + (right - 1)).astype(np.int64))
            full = torch.zeros(channels, height * width)
            with torch.inference_mode():
                gathered = features.reshape(channels, -1).index_select(1, where).t()
                full.index_copy_(1, where, self._convolve(rows, gathered, width).t())
            return full.view(1, channels, height, width).numpy()

        return run

    def _convolve(self, rows: Rows, gathered: Tensor, width: int) -> Tensor:
        count, channels = gathered.shape
        values = [self._buffers.take(("values", k), (count + 1) * channels).reshape(count + 1, -1) for k in range(2)]
        for one in values:
            one[0] = 0.0  # row 0 stands for all pixels without a row
        torch.from_numpy(values[0])[1:] = gathered
        for number, layer in enumerate(self._layers):
            self._run_layer(layer, rows, values[number % 2], values[1 - number % 2], width)
        return torch.from_numpy(values[len(self._layers) % 2])[1:]

    def _run_layer(self, layer: Layer, rows: Rows, x: np.ndarray, out: np.ndarray, width: int) -> None:
        call = layer.describe_rows(1.0)
        call.x, call.rows, call.x_stride, call.wide, call.relu = x.ctypes.data, rows.count, x.shape[1], width + 2, 1
        call.numbers, call.place, call.near = rows.addresses
        call.to = describe_results(out.ctypes.data, None, None)
        self._library.call("convolve_rows_f32", self._pool, call)


def _numpy(layer: nn.Module, name: str) -> np.ndarray:
    return layer.get_parameter(name).detach().numpy()
