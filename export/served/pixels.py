"""Nodes between bytes and the values of a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from ..packed.emit import Emitter
from ..passes.graph import make_cast, make_node


@dataclass(frozen=True)
class Batch:
    """Pictures as values."""

    image: str
    """[N, 3, H, W] float32 in 0..1."""
    size: str
    """H and W, INT64 [2]."""

    def emit_padded(self, emit: Emitter, multiple: int) -> str:
        """Repeat the last row and column up to a multiple."""
        return self._repeat(emit, self.image, multiple)

    def emit_cropped(self, emit: Emitter, name: str) -> str:
        """Cut off what `emit_padded` added."""
        return emit.op("Slice", name, emit.const([0, 0]), self.size, emit.const([2, 3]))

    def emit_repeated(self, emit: Emitter, name: str, multiple: int) -> str:
        """Replace a tensor's padding by its last row and column.

        A mask is treated so before Net_R, as in `spair.runtime`: what Net_L finds in the padding does not count.
        """
        return self._repeat(emit, self.emit_cropped(emit, name), multiple)

    def _repeat(self, emit: Emitter, name: str, multiple: int) -> str:
        # The division rounds up, as in `PadToMultiple`.
        raised = emit.op("Add", self.size, emit.const([multiple - 1] * 2))
        rounded = emit.op("Mul", emit.op("Div", raised, emit.const([multiple] * 2)), emit.const([multiple] * 2))
        missing = emit.op("Sub", rounded, self.size)
        return emit.op("Pad", name, emit.op("Concat", emit.const([0] * 6), missing, axis=0), mode="edge")


def emit_input(emit: Emitter) -> Batch:
    """Emit the values of the input "image"."""
    size = emit.op("Shape", "image", start=2, end=4)
    values = emit.op("Cast", "image", to=TensorProto.FLOAT)
    return Batch(emit.op("Div", values, emit.const(255.0, np.float32)), size)


def emit_outputs(emit: Emitter, batch: Batch, restored: str, mask: str, totals: str) -> None:
    """Emit the outputs "restored", "mask" and "density".

    A value v becomes the byte nearest to 255 v, after v is limited to 0..1, as in `spair.runtime.pixels`.

    Args:
        emit: emitter of the graph.
        batch: the pictures.
        restored: [N, 3, Hp, Wp] float32; pixels beyond H x W are padding.
        mask: [N, 1, Hp, Wp] float32, 1 where distorted, else 0.
        totals: [N] float32, finite where all values of the network are.
    """
    limits = [emit.const(value, np.float32) for value in (0.0, 1.0)]
    limited = emit.op("Clip", batch.emit_cropped(emit, restored), *limits)
    scaled = emit.op("Mul", limited, emit.const(255.0, np.float32))
    rounded = emit.op("Floor", emit.op("Add", scaled, emit.const(0.5, np.float32)))
    seen = batch.emit_cropped(emit, mask)
    # Sums of rows are exact in float32, and their sum and its quotient in float64 are those of the runtime.
    rows = emit.op("ReduceSum", seen, emit.const([1, 3]), keepdims=0)
    exact = emit.op("ReduceSum", emit.op("Cast", rows, to=TensorProto.DOUBLE), emit.const([1]), keepdims=0)
    pixels = emit.op("Cast", emit.op("ReduceProd", batch.size, keepdims=0), to=TensorProto.DOUBLE)
    density = emit.op("Cast", emit.op("Div", exact, pixels), to=TensorProto.FLOAT)
    is_finite = emit.op("Less", totals, emit.const(np.finfo(np.float32).max, np.float32))  # false for NaN
    emit.nodes += [
        make_cast(rounded, "restored", TensorProto.UINT8),
        make_cast(seen, "mask", TensorProto.UINT8),
        make_node("Where", [is_finite, density, emit.const(np.nan, np.float32)], "density"),
    ]
