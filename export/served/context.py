"""Nodes that describe a whole picture to Net_R.

They compute what `spair.runtime.tiling.context` computes, in float32.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto

from ...runtime.tiling.spec import SpairNetwork
from ..packed.emit import Emitter


class ContextNodes:
    """Emitter of the statistics of one picture."""

    def __init__(self, emit: Emitter, network: SpairNetwork) -> None:
        self._emit, self._network = emit, network

    def emit_context(self, masks: Mapping[int, str], features: Mapping[int, str]) -> dict[str, str]:
        """Emit the inputs of Net_R that describe a picture.

        Args:
            masks: [1, 1, h, w] float32 by scale, 1 where distorted, else 0.
            features: [1, C, h, w] float32 by scale.

        Returns:
            Names by input: scale1, shift1, ..., keys and key_mask; see `spair.runtime.tiling.context.Context`.
        """
        found = {}
        for scale in self._network.modulated:
            found[f"scale{scale}"], found[f"shift{scale}"] = self._modulation(masks[scale], features[scale])
        found["keys"], found["key_mask"] = self._keys(masks[self._network.key_scale], features[self._network.key_scale])
        return found

    def _modulation(self, mask: str, features: str) -> tuple[str, str]:
        """Emit scale and shift, [1, C, 1, 1] each."""
        emit = self._emit
        rows = emit.op("Squeeze", self._flat(features), emit.const([0]))  # [C, P]
        distorted = emit.op("Squeeze", self._flat(mask), emit.const([0]))  # [1, P]
        one = emit.const(1.0, np.float32)
        both = emit.op("Concat", emit.op("Sub", one, distorted), distorted, axis=0)  # [2, P]: clean, distorted
        weights = emit.op("Transpose", both, perm=[1, 0])
        counts = emit.op("ReduceSum", both, emit.const([1]), keepdims=0)  # [2]
        totals = emit.op("Max", counts, one)
        means = emit.op("Div", emit.op("MatMul", rows, weights), totals)  # [C, 2]
        clean_mean, distorted_mean = emit.ops("Split", means, outputs=2, axis=1, num_outputs=2)  # [C, 1]
        # A value's distance to the mean of its own kind: the mean of a single value leaves exactly 0.
        is_distorted = emit.op("Greater", distorted, emit.const(0.5, np.float32))
        centred = emit.op("Sub", rows, emit.op("Where", is_distorted, distorted_mean, clean_mean))
        squares = emit.op("MatMul", emit.op("Mul", centred, centred), weights)
        variances = emit.op("Add", emit.op("Div", squares, totals), emit.const(self._network.eps, np.float32))
        clean_variance, distorted_variance = emit.ops("Split", variances, outputs=2, axis=1, num_outputs=2)
        ratio = emit.op("Sqrt", emit.op("Div", clean_variance, distorted_variance))
        least = emit.op("ReduceMin", counts, emit.const([0]), keepdims=0)
        has_both = emit.op("Greater", least, emit.const(0.5, np.float32))
        scale = emit.op("Where", has_both, ratio, one)
        moved = emit.op("Sub", clean_mean, emit.op("Mul", distorted_mean, scale))
        shift = emit.op("Where", has_both, moved, emit.const(0.0, np.float32))
        shape = emit.const([1, -1, 1, 1])
        return emit.op("Reshape", scale, shape), emit.op("Reshape", shift, shape)

    def _keys(self, mask: str, features: str) -> tuple[str, str]:
        """Emit keys and key mask.

        They are [1, C, G, G] and [1, 1, G, G].
        """
        emit = self._emit
        one, zero = emit.const(1.0, np.float32), emit.const(0.0, np.float32)
        down = emit.op("Transpose", self._membership(features, 2), perm=[1, 0])  # [G, h]
        across = self._membership(features, 3)  # [w, G]

        def sum_cells(values: str) -> str:
            return emit.op("MatMul", emit.op("MatMul", down, values), across)

        is_distorted = emit.op("Greater", mask, emit.const(0.5, np.float32))
        # Distorted pixels are replaced, not multiplied by 0, because 0 times NaN is NaN.
        sums = sum_cells(emit.op("Where", is_distorted, zero, features))
        counts = sum_cells(emit.op("Sub", one, mask))
        present = emit.op("Cast", emit.op("Greater", counts, emit.const(0.5, np.float32)), to=TensorProto.FLOAT)
        return emit.op("Div", sums, emit.op("Max", counts, one)), present

    def _membership(self, features: str, axis: int) -> str:
        """Emit the cell of each row or column.

        It is [length, G] float32, 1 where row (or column) r lies in cell floor(r * G / length), else 0.
        """
        emit, grid = self._emit, self._network.grid
        length = emit.op("Shape", features, start=axis, end=axis + 1)
        places = emit.op("Range", emit.const(0), emit.op("Squeeze", length, emit.const([0])), emit.const(1))
        cells = emit.op("Div", emit.op("Mul", places, emit.const(grid)), length)
        same = emit.op("Equal", emit.op("Unsqueeze", cells, emit.const([1])), emit.const(np.arange(grid)))
        return emit.op("Cast", same, to=TensorProto.FLOAT)

    def _flat(self, name: str) -> str:
        """Emit a map's pixels in rows, [1, C, P]."""
        return self._emit.op("Reshape", name, self._emit.const([0, 0, -1]))
