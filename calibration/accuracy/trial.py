"""Plans on tiles: what a plan costs in dB, estimated from the distance to the FP32 output."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ...runtime.backends.base import Graph
from ...runtime.errors import GateError
from ..conversion.convert import convert
from ..conversion.plan import PrecisionPlan
from ..journal import Journal
from ..options import Options
from ..statistics.pictures import CalibrationPicture
from ..variants import RecalledGraph, Variant
from .measures import CAP, estimate_loss, mean_square


class Trial:
    """The tiles with their FP32 outputs; a context manager's value, see `open_trial`."""

    def __init__(
        self,
        network: Variant,
        tiles: Sequence[CalibrationPicture],
        options: Options,
        journal: Journal,
        graphs: Mapping[str, Graph],
    ) -> None:
        self.network, self.tiles, self.journal = network, tiles, journal
        self._recalled = {part: RecalledGraph(graph) for part, graph in graphs.items() if part == "net_l"}
        restorer = network.restorer({**graphs, **self._recalled})
        self._outputs = [restorer(tile.pixels).image for tile in tiles]
        assumed = 10.0 ** (-options.assumed_psnr / 10)
        self._errors = [
            assumed if tile.target is None else mean_square(output, tile.target)
            for tile, output in zip(tiles, self._outputs, strict=True)
        ]

    def loss(self, plan: PrecisionPlan) -> float:
        """dB lost on the tiles' mean, of the float32 twin of the plan's graphs; CAP where a value is not finite."""
        return self.journal.get(_digest(plan), lambda: self._measure(plan))

    def _measure(self, plan: PrecisionPlan) -> float:
        network = self.network
        reuse = bool(self._recalled) and not plan.touches(
            [layer.name for layer in network.layers if layer.part == "net_l"]
        )
        parts = [part for part in network.parts if not (reuse and part == "net_l")]
        models = {part: convert(network.models[part], plan, part, twin=True)[0] for part in parts}
        with network.opened(models) as graphs:
            restorer = network.restorer({**(self._recalled if reuse else {}), **graphs})
            try:
                outputs = [restorer(tile.pixels).image for tile in self.tiles]
            except GateError:  # halves that overflowed
                return CAP
        losses = [
            estimate_loss(mean_square(output, exact), error)
            for output, exact, error in zip(outputs, self._outputs, self._errors, strict=True)
        ]
        return float(np.mean(losses))


@contextlib.contextmanager
def open_trial(
    network: Variant, tiles: Sequence[CalibrationPicture], options: Options, journal: Journal
) -> Iterator[Trial]:
    """Restore the tiles in FP32 and keep Net_L's results for what does not change them."""
    with network.opened({part: network.models[part] for part in network.parts}) as graphs:
        yield Trial(network, tiles, options, journal, graphs)


def _digest(plan: PrecisionPlan) -> str:
    """A name for a plan that a journal can hold; scales follow from the journal's own key."""
    layers = {name: kind for name, kind in sorted(plan.layers.items()) if kind != plan.rest}
    return json.dumps([plan.rest, plan.quantize, layers, sorted(plan.forced)])
