"""Two-stage network on TensorRT engines."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..backends.base import Graph
from ..clock import StageClock
from ..errors import GateError
from ..opening import GraphTwoStage
from ..tiling.costs import Tuning
from ..tiling.geometry import round_down, round_up
from ..tiling.network import BytesOutput, Known, NetworkOutput, PaddedPicture, TileCounts
from ..tiling.planning import Limits
from ..tiling.spec import SpairNetwork
from .graph import EngineGraph, GraphOnDemand

Size = tuple[int, int]
"""Height and width in pixels."""


class EngineNetwork(GraphTwoStage):
    """Two-stage network on TensorRT engines.

    Pictures go through an engine of the whole network. Others go through engines of its two parts, with the same tiles
    as on the CPU: those above the engine's largest size, those that are not 8-bit RGB, and those that come with a mask
    or a threshold.
    """

    def __init__(
        self,
        spec: SpairNetwork,
        whole: EngineGraph,
        net_l: GraphOnDemand,
        net_r: Graph,
        release: Callable[[], None],
    ) -> None:
        """Take over the engines.

        Args:
            spec: sizes and halos.
            whole: engine that takes `image` [1, H, W, 3] uint8 and gives `restored` of the same kind, `mask`
                [1, H, W] uint8, 1 where distorted, and `total` [1] float32, finite if all restored values are.
            net_l: engine of the first part; opening it fails where the bundle has none.
            net_r: engine of the second part, with the same largest size.
            release: called at the end, after the engines were closed.
        """
        super().__init__(spec, net_l, {"dense": net_r}, Tuning.assumed(spec.crossover))
        self._whole, self._located = whole, net_l
        # TensorRT and the driver must be let go in order and with the context current, so neither may be left to the
        # end of the process or to the collector of garbage.
        self._end = weakref.finalize(self, _close_engines, (whole, net_l, net_r), release)
        self._largest = whole.largest["image"][1:3]

    @property
    def whole(self) -> EngineGraph:
        """Engine of the whole network."""
        return self._whole

    @property
    def largest_window(self) -> Size:
        """Largest height and width that the parts take.

        Raises:
            UserError: the bundle has no engines of the parts.
        """
        height, width = self._located.largest["image"][2:]
        return height, width

    @property
    def keeps_scenes(self) -> bool:
        """Whether it takes anything from a scene.

        The engine of the whole network cannot.
        """
        return False

    def restore_bytes(self, image: np.ndarray, known: Known, limits: Limits, clock: StageClock) -> BytesOutput | None:
        """Restore an 8-bit picture with the whole engine.

        See `Network.restore_bytes`.
        """
        given = known.mask is not None or known.threshold is not None
        if given or any(side > most for side, most in zip(image.shape[:2], self._largest, strict=True)):
            return None
        with clock.stage("model"):
            values = self._whole.run({"image": image[None]})
        if not np.isfinite(values.get("total", 0.0)).all():
            raise GateError("the engine gave values that are not finite; use --precision fp32 or another checkpoint")
        found = values["mask"][0].view(bool)
        density = np.count_nonzero(found) / found.size
        return BytesOutput(
            values["restored"][0], found, density, TileCounts().adding("packed" if density else "skipped")
        )

    def restore(self, picture: PaddedPicture, limits: Limits, clock: StageClock) -> NetworkOutput:
        """Restore a picture with the engines of the parts.

        Raises:
            UserError: the bundle has no engines of the parts.
            GateError: the network gave values that are not finite.
        """
        return super().restore(picture, fit_limits(limits, self.spec, self.largest_window, picture), clock)

    def close(self) -> None:
        """Close the engines; may be called twice."""
        self._end()


def _close_engines(graphs: Sequence[Graph], release: Callable[[], None]) -> None:
    for graph in graphs:
        graph.close()
    release()


def fit_limits(limits: Limits, spec: SpairNetwork, largest: Size, picture: PaddedPicture) -> Limits:
    """Tighten limits so that every window fits into an engine.

    The window of a block is the block with the halos of both parts around it.

    Args:
        limits: limits that the user gave.
        spec: the network's halos.
        largest: largest height and width that the engines take.
        picture: the padded picture.
    """
    halo = round_up(spec.halo_l, spec.multiple) + round_up(spec.halo_r, spec.multiple)
    side = round_down(min(largest) - 2 * halo, spec.multiple)
    height, width = picture.image.shape[2:]
    pixels = limits.block_pixels
    if height > largest[0] or width > largest[1]:  # never one block, also where it is long and thin
        pixels = min(pixels, height * width - 1)
    if pixels < height * width:
        pixels = min(pixels, side * side)
    return replace(limits, side=min(limits.side, side), block_pixels=pixels)
