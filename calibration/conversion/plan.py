"""Plan of the precision and the scales of every layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..options import Precision, Quantize
from .layers import Key


@dataclasses.dataclass(frozen=True)
class PrecisionPlan:
    """Precision of every layer.

    Nodes without weights follow their neighbours, see `assignment`.
    """

    layers: Mapping[str, Precision]
    """Precision by layer; a layer without an entry has `rest`."""
    rest: Precision = "fp32"
    """Precision of all other layers, "fp16" or "fp32"."""
    scales: Mapping[Key, float] = dataclasses.field(default_factory=dict)
    """Value of one step of the input for each use of an int8 layer; each is a half, so that every type can hold it."""
    quantize: Quantize = "both"
    """Values that int8 layers quantize."""
    full: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    """Tensors of each part that no half can hold; nodes that make or read one compute in FP32."""

    @property
    def forced(self) -> tuple[str, ...]:
        """Tensors of `full` as text, "part/tensor"."""
        return tuple(f"{part}/{name}" for part, names in sorted(self.full.items()) for name in sorted(names))

    def of(self, layer: str) -> Precision:
        """Return the precision of a layer."""
        return self.layers.get(layer, self.rest)

    def touches(self, layers: Mapping[str, object] | set[str] | list[str]) -> bool:
        """Return whether the plan may change one of these layers.

        It may if a layer is not FP32, or if `rest` is FP16, because halves of other layers may then reach it.
        """
        return self.rest != "fp32" or any(self.of(layer) != "fp32" for layer in layers)
