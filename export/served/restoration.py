"""Nodes that repair a picture as its mask demands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from ...runtime.tiling.costs import Tuning
from ...runtime.tiling.spec import SpairNetwork
from ..packed.emit import Emitter
from .context import ContextNodes
from .parts import Part

_RANKS = (4, 0)
"""Axes of what a branch gives: the restored picture, and the sum that is finite if all its values are."""


@dataclass(frozen=True)
class Picture:
    """Names of the tensors of one picture."""

    image: str
    """[1, 3, H, W] float32 in 0..1; H and W are multiples of the network's multiple."""
    mask: str
    """[1, 1, H, W] float32, 1 where distorted, else 0."""
    features: Mapping[int, str]
    """[1, C, H / 2**scale, W / 2**scale] float32 by scale."""


class Restoration:
    """Emitter of Net_R with the choice of its path.

    As in `spair.runtime`, a clean picture is left alone, and any other is computed on its distorted pixels or on all,
    whichever costs less. The whole picture takes one path, because it is not cut into pieces.
    """

    def __init__(self, emit: Emitter, network: SpairNetwork, dense: Part, packed: Part | None) -> None:
        self._emit, self._network = emit, network
        self._dense, self._packed = dense, packed

    def emit_restored(self, picture: Picture) -> list[str]:
        """Emit the restoration of one picture.

        Returns:
            Names of the restored picture [1, 3, H, W] float32, and of a sum [] float32, which is finite only if all
            values of the network are.
        """
        if not self._network.gate_output:
            return self._emit_repaired(picture)
        emit = self._emit
        most = emit.op("ReduceMax", picture.mask, keepdims=0)
        is_distorted = emit.op("Greater", most, emit.const(0.5, np.float32))
        return emit.choose_all(
            is_distorted, lambda: self._emit_repaired(picture), lambda: self._emit_clean(picture), _RANKS
        )

    def _emit_clean(self, picture: Picture) -> list[str]:
        return [self._emit.op("Identity", picture.image), self._sum(*picture.features.values())]

    def _emit_repaired(self, picture: Picture) -> list[str]:
        emit = self._emit
        masks = self._pyramid(picture.mask)
        context = ContextNodes(emit, self._network).emit_context(masks, picture.features)
        given = {"image": picture.image, "mask": picture.mask, **context}
        given |= {f"f{scale}": name for scale, name in picture.features.items()}

        def run(part: Part) -> str:
            return part.emit(emit, {name: given[name] for name in part.inputs})["restored"]

        packed = self._packed
        if packed is None:
            restored = run(self._dense)
        else:
            restored = emit.choose(self._is_sparse(masks), lambda: run(packed), lambda: run(self._dense), rank=4)
        return [restored, self._sum(*context.values(), restored)]

    def _pyramid(self, mask: str) -> dict[int, str]:
        """Emit the masks of the coarser scales; see `mask_pyramid`."""
        masks = {0: mask}
        for scale in range(1, max(self._network.scales) + 1):
            masks[scale] = self._emit.op("MaxPool", masks[scale - 1], kernel_shape=[2, 2], strides=[2, 2])
        return masks

    def _is_sparse(self, masks: Mapping[int, str]) -> str:
        """Emit whether the packed path costs less, a bool []."""
        emit = self._emit
        work = ""
        for scale, share in enumerate(self._network.work):
            density = emit.op("ReduceMean", masks[scale], keepdims=0)
            part = emit.op("Mul", density, emit.const(share, np.float32))
            work = emit.op("Add", work, part) if work else part
        crossover = Tuning.assumed(self._network.crossover).crossover
        return emit.op("Less", work, emit.const(crossover, np.float32))

    def _sum(self, *names: str) -> str:
        """Emit the sum of magnitudes of tensors, a float32 []."""
        emit = self._emit
        sums = [emit.op("ReduceSum", emit.op("Abs", name), keepdims=0) for name in names]
        return emit.op("Sum", *sums)


def scan_pictures(emit: Emitter, batch: Picture, restoration: Restoration) -> list[str]:
    """Emit the restoration of each picture of a batch.

    Each picture is computed by itself, so its result does not depend on its neighbours, and its cost follows its own
    mask.

    Args:
        emit: emitter of the graph.
        batch: tensors with N pictures in place of one.
        restoration: emitter of what is done to each.

    Returns:
        Names of restored pictures [N, 3, H, W] and sums [N].
    """
    scales = list(batch.features)

    def body(*slices: str) -> list[str]:
        image, mask, *features = (emit.op("Unsqueeze", name, emit.const([0])) for name in slices)
        restored, total = restoration.emit_restored(Picture(image, mask, dict(zip(scales, features, strict=True))))
        return [emit.op("Squeeze", restored, emit.const([0])), total]

    tensors = (batch.image, batch.mask, *batch.features.values())
    return emit.scan_all([(name, TensorProto.FLOAT, 3) for name in tensors], body, ranks=(3, 0))
