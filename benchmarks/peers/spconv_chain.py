"""Chain of submanifold 3x3 convolutions on spconv's CPU path.

It is used in the way that suits spconv best. The mask changes with every picture, so its rule book is built in every
run: once for the chain (`shared`, through one indice_key) or once a layer. In and out of rows goes through index_select
and index_copy, several times faster here than spconv's own `dense()`.

It runs on one thread. With two, version 2.3.8 adds up products of several threads without a lock, and its results are
wrong by as much as they are large.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.peers.install import PeerAbsentError, first_line, load_package


class SpconvChain:
    """Convolution, bias and ReLU, layer after layer."""

    def __init__(self, layers: Sequence[nn.Module], *, shared: bool = True) -> None:
        """Convert the layers to spconv and try them.

        Args:
            layers: modules with `weight` [D,C,3,3] and `bias` [D], as `SparseConv2d`.
            shared: whether all layers share one rule book.

        Raises:
            PeerAbsentError: spconv cannot be installed, imported or run.
        """
        self._spconv = load_package("spconv")
        self._layers = [self._convert(layer, "chain" if shared else None) for layer in layers]
        channels = layers[0].get_parameter("weight").shape[1]
        try:
            self.on_picture(np.ones((1, channels, 4, 4), np.float32), np.ones((1, 1, 4, 4), np.float32))()
        except Exception as error:  # a foreign package; any error means that it does not run here
            raise PeerAbsentError(f"spconv does not run here: {first_line(error)}") from error

    def on_picture(self, x: np.ndarray, mask: np.ndarray) -> Callable[[], np.ndarray]:
        """Make a run from picture to picture.

        The graphs run in the same way. x [1,C,H,W] and mask [1,1,H,W] are float32; the run gives [1,D,H,W].
        """
        features, chosen = torch.from_numpy(x), torch.from_numpy(mask)

        def run() -> np.ndarray:
            with torch.inference_mode(), one_thread():
                where = chosen.flatten().nonzero()[:, 0]
                rows = self._convolve(_rows(features, where), _sites(where, x.shape[3]), x.shape[2:])
                full = torch.zeros(rows.shape[1], x.shape[2] * x.shape[3])
                full.index_copy_(1, where, rows.t())
                return full.view(1, -1, *x.shape[2:]).numpy()

        return run

    def on_rows(self, x: np.ndarray, mask: np.ndarray) -> Callable[[], np.ndarray]:
        """Make a run on rows, which stay rows.

        The rows exist before the run. They are [n,C], and the run gives [n,D]. No other contender is spared the
        conversion.
        """
        where = torch.from_numpy(mask).flatten().nonzero()[:, 0]
        rows, sites = _rows(torch.from_numpy(x), where), _sites(where, x.shape[3])

        def run() -> np.ndarray:
            with torch.inference_mode(), one_thread():
                return self._convolve(rows, sites, x.shape[2:]).numpy()

        return run

    def _convert(self, layer: nn.Module, key: str | None) -> tuple[nn.Module, Tensor]:
        weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
        converted = self._spconv.SubMConv2d(weight.shape[1], weight.shape[0], 3, bias=False, indice_key=key)
        with torch.no_grad():
            converted.weight.copy_(weight.permute(0, 2, 3, 1))  # spconv keeps [D,3,3,C]
        return converted.eval(), bias.detach()

    def _convolve(self, rows: Tensor, sites: Tensor, size: Sequence[int]) -> Tensor:
        if not len(rows):
            return rows  # spconv refuses an empty list of sites
        tensor = self._spconv.SparseConvTensor(rows, sites, list(size), 1)
        for layer, bias in self._layers:
            tensor = layer(tensor)
            # Its CPU path refuses to do bias and activation itself.
            tensor = tensor.replace_feature(tensor.features.add_(bias).relu_())
        return tensor.features


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Hold the OpenMP threads of torch and spconv to one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _rows(features: Tensor, where: Tensor) -> Tensor:
    """Gather pixels of [1,C,H,W] as rows [n,C].

    `where` has their flat positions [n].
    """
    return features.reshape(features.shape[1], -1).index_select(1, where).t().contiguous()


def _sites(where: Tensor, width: int) -> Tensor:
    """Convert flat positions [n] to sites [n,3] int32.

    A site is picture 0, row and column.
    """
    return torch.stack((torch.zeros_like(where), where // width, where % width), 1).int()
