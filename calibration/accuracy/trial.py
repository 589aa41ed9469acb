"""Trial of plans on tiles.

The loss of a plan in dB is estimated from the distance between its output and the FP32 output.
"""

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
    """Tiles and their FP32 outputs, see `open_trial`."""

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
        """Measure the mean loss of a plan in dB.

        The float32 twins of the plan's graphs run. The loss is CAP if a value is not finite.
        """
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
            except GateError:  # a half overflowed
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
    """Restore the tiles in FP32 and open a trial.

    The trial keeps the results of Net_L for plans that do not change Net_L.
    """
    with network.opened({part: network.models[part] for part in network.parts}) as graphs:
        yield Trial(network, tiles, options, journal, graphs)


def _digest(plan: PrecisionPlan) -> str:
    """Name a plan for the journal.

    The scales are not part of the name, because they follow from the key of the journal.
    """
    layers = {name: kind for name, kind in sorted(plan.layers.items()) if kind != plan.rest}
    return json.dumps([plan.rest, plan.quantize, layers, sorted(plan.forced)])
