"""Comparison of a row program with its graphs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...temporary.places import scratch_folder
from ..backends.onnxruntime import OnnxGraph
from ..backends.package import is_installed
from ..backends.values import expose_values
from ..bundle.reader import DERIVED_FROM
from ..cache import cache_file
from ..errors import UserError
from ..files import write_atomically
from ..tiling.context import Context, ContextStatistics
from ..tiling.geometry import Box
from ..tiling.spec import SpairNetwork
from .library import ThreadPool
from .localization import Localizer
from .memory.buffers import Buffers
from .memory.layers import round_channels
from .memory.maps import interleave
from .restoration import RowRestorer
from .sites import Inputs, Site

TOLERANCES = {"fp32": 1e-5, "int8": 4e-3, "bf16": 3e-2, "int8-bf16": 3e-2}
"""Largest difference of a value by precision, as a share of 1 + the largest value beside it.

Graphs of int8 round the values between layers to halves, which the kernels do not. A layer in bfloat16 rounds each of
its values to 8 bits.
"""
FLIPPED = (1e-3, 5e-2)
"""Share of the mask that may differ, in float32 and in precisions that round: logits near the threshold fall to either
side."""
_EXACT = 1e-5
_COLOURS = 64
"""Steps of a colour, so few that halves hold the means of 16 pixels exactly."""
_SIZE = (40, 56)
"""Height and width of the tile, odd numbers of the network's multiple."""
_DENSITY = 0.4


class RowProgramError(UserError):
    """Row program that does not compute what its graphs do."""


class Comparison:
    """Comparison on one small tile.

    Its colours and its mask are random and fixed. Every layer is compared alone: it reads what the graph has, and not
    what the layers before it made, so that a rounding that falls to the other side changes nothing further on.
    """

    def __init__(
        self, spec: SpairNetwork, localizer: Localizer, restorer: RowRestorer, pool: ThreadPool, precision: str = "fp32"
    ) -> None:
        """Make the tile.

        Args:
            spec: the network's sizes.
            localizer: Net_L.
            restorer: Net_R.
            pool: threads that compute.
            precision: one of `TOLERANCES`.
        """
        self._spec, self._localizer, self._restorer, self._pool = spec, localizer, restorer, pool
        self._tolerance, self._halves = TOLERANCES[precision], DERIVED_FROM.get(precision, precision) == "int8"
        height, width = (side * spec.multiple // 8 for side in _SIZE)
        random = np.random.default_rng(20)
        planes = random.random((3, height, width), dtype=np.float32)
        self._planes = np.rint(planes * _COLOURS) / np.float32(_COLOURS) if self._halves else planes
        self._mask = random.random((height, width)) < _DENSITY
        self._mask[: height // 4, : width // 2] = False  # a part without a distorted pixel at any scale
        self._buffers = Buffers()

    def check_once(self, net_l: Path, net_r: Path, facts: Mapping[str, Any]) -> None:
        """Compare, unless equal facts passed before.

        That is noted in the cache folder; without one, every opening compares.

        Args:
            net_l: graph of Net_L.
            net_r: dense graph of Net_R.
            facts: all that the comparison depends on, as JSON values: hashes of files, kernels, precision.

        Raises:
            UserError: see `check`.
        """
        try:
            noted = cache_file("comparison", facts)
        except UserError:  # there is no home folder
            noted = None
        if noted is not None and noted.exists():
            return
        if self.check(net_l, net_r) and noted is not None:
            with contextlib.suppress(OSError, UserError):  # a cache that cannot be written costs the next opening time
                noted.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(noted, json.dumps(facts).encode())

    def check(self, net_l: Path, net_r: Path) -> bool:
        """Compare the value of every layer of both stages.

        Args:
            net_l: graph of Net_L.
            net_r: dense graph of Net_R.

        Returns:
            Whether they were compared, which needs ONNX Runtime.

        Raises:
            UserError: a value differs; the message names its layer, the first one in the order of the steps.
        """
        if not is_installed():
            return False
        features = self._check_net_l(net_l)
        self._check_net_r(net_r, features)
        return True

    def _check_net_l(self, graph: Path) -> dict[int, np.ndarray]:
        expected = run_exposed(graph, {"image": self._planes[None]}, self._localizer.values)

        def look(layer: str, name: str, value: np.ndarray) -> None:
            self._require_close(graph, layer, value, expected[name][0])
            value[...] = expected[name][0]

        self._localizer.run(self._pool, self._buffers, self._planes, look)
        features = {scale: expected[f"f{scale}"] for scale in self._spec.scales}
        return {scale: _to_halves(value) for scale, value in features.items()} if self._halves else features

    def _check_net_r(self, graph: Path, features: dict[int, np.ndarray]) -> None:
        spec, context = self._spec, self._measure(features)
        feeds = {"image": self._planes[None], "mask": self._mask[None, None].astype(np.float32)}
        feeds |= {"keys": context.keys, "key_mask": context.key_mask}
        feeds |= {f"f{scale}": features[scale] for scale in spec.scales}
        feeds |= {f"scale{scale}": context.scale[scale] for scale in spec.modulated}
        feeds |= {f"shift{scale}": context.shift[scale] for scale in spec.modulated}
        expected = run_exposed(graph, feeds, self._restorer.values)
        maps = {scale: interleave(value[0], round_channels(value.shape[1])) for scale, value in features.items()}

        def look(layer: str, name: str, rows: np.ndarray, site: Site) -> None:
            self._require_close(graph, layer, spread(rows, site), expected[name][0])
            rows[...] = gather(expected[name][0], site, rows.shape[1])

        whole, restored = Box(0, 0, *self._mask.shape), self._planes.copy()
        inputs = Inputs(self._planes, self._mask.view(np.uint8), maps, context, whole, restored)
        self._restorer.run(self._pool, self._buffers, inputs, look)
        wanted = expected[self._restorer.out][0]
        self._require_close(graph, "that adds the residual", restored, wanted)

    def _measure(self, features: Mapping[int, np.ndarray]) -> Context:
        height, width = self._mask.shape
        statistics = ContextStatistics(self._spec, height, width)
        statistics.add(Box(0, 0, height, width), self._mask, {scale: value[0] for scale, value in features.items()})
        context = statistics.finish()
        return _in_halves(context) if self._halves else context

    def _require_close(self, graph: Path, layer: str, value: np.ndarray, wanted: np.ndarray) -> None:
        is_mask = wanted.shape[0] == 1 and set(np.unique(wanted)) <= {0.0, 1.0}
        same = (
            np.mean(value != wanted) <= FLIPPED[self._tolerance > _EXACT]
            if is_mask
            else is_close(value[: len(wanted)], wanted.astype(np.float32), self._tolerance)
        )
        if not same:
            raise _refusal(graph, f"the layer {layer}")


def _to_halves(value: np.ndarray) -> np.ndarray:
    """Round values to halves, which graphs read exactly."""
    return value.astype(np.float16).astype(np.float32)


def _in_halves(context: Context) -> Context:
    """Make statistics that change features exactly, in halves too."""
    scale = {number: np.full_like(value, 2.0) for number, value in context.scale.items()}
    shift = {number: np.zeros_like(value) for number, value in context.shift.items()}
    return Context(scale, shift, _to_halves(context.keys), context.key_mask)


def is_close(value: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    """Tell whether two arrays differ by rounding only.

    Args:
        value: what was computed.
        expected: what it should be.
        tolerance: largest difference as a share of 1 + the largest value.
    """
    allowed = tolerance * (1.0 + float(np.abs(expected).max(initial=0.0)))
    return value.shape == expected.shape and bool((np.abs(value - expected) <= allowed).all())


def gather(dense: np.ndarray, site: Site, channels: int) -> np.ndarray:
    """Read rows from a dense map.

    Args:
        dense: [C, H, W].
        site: their pixels.
        channels: channels of a row, >= C; those behind are zero.

    Returns:
        [n, channels] float32.
    """
    padded = np.zeros((channels, site.height + 2, site.wide), np.float32)
    padded[: len(dense), 1:-1, 1:-1] = dense
    return padded.reshape(channels, -1)[:, site.rows.place].T


def spread(rows: np.ndarray, site: Site) -> np.ndarray:
    """Write rows to a dense map.

    Args:
        rows: [n, C].
        site: their pixels.

    Returns:
        [C, H, W], with zeros at clean pixels.
    """
    dense = np.zeros((rows.shape[1], site.height + 2, site.wide), np.float32)
    dense.reshape(rows.shape[1], -1)[:, site.rows.place] = rows.T
    return dense[:, 1:-1, 1:-1]


def run_exposed(graph: Path, feeds: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Run a graph that also gives inner values.

    Args:
        graph: the .onnx file.
        feeds: its inputs.
        names: values to give, outputs or not.

    Raises:
        UserError: the graph has no such value.
    """
    with OnnxGraph(graph, threads=1) as opened:
        inner = [name for name in names if name not in opened.outputs]
    with scratch_folder("compare") as folder:
        exposed = folder / graph.name
        exposed.write_bytes(expose_values(graph.read_bytes(), inner))
        try:
            with OnnxGraph(exposed, threads=1, as_written=True) as opened:
                return opened.run(feeds)
        except UserError as error:
            raise _refusal(graph, "the names of its values") from error


def _refusal(graph: Path, what: str) -> RowProgramError:
    return RowProgramError(
        f"the row program differs from {graph} in {what}; export the bundle again, or use --backend onnxruntime"
    )
