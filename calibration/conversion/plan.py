"""The decision: which precision every layer has, and what its values are scaled by."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..options import Precision, Quantize
from .layers import Key


@dataclasses.dataclass(frozen=True)
class PrecisionPlan:
    """A precision for every layer; what has no weights goes with its neighbours."""

    layers: Mapping[str, Precision]
    """Layer -> precision; a layer that is not named has that of `rest`."""
    rest: Precision = "fp32"
    """"fp16" or "fp32"."""
    scales: Mapping[Key, float] = dataclasses.field(default_factory=dict)
    """Use of an int8 layer -> what one step of its input stands for; halves, so that any type holds them."""
    quantize: Quantize = "both"
    full: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    """Part -> tensors that no half can hold: whatever makes or reads one computes in FP32."""

    @property
    def forced(self) -> tuple[str, ...]:
        """What `full` says, as text."""
        return tuple(f"{part}/{name}" for part, names in sorted(self.full.items()) for name in sorted(names))

    def of(self, layer: str) -> Precision:
        """The precision of a layer."""
        return self.layers.get(layer, self.rest)

    def touches(self, layers: Mapping[str, object] | set[str] | list[str]) -> bool:
        """Whether any of these layers is not FP32, or could be reached by halves of the rest."""
        return self.rest != "fp32" or any(self.of(layer) != "fp32" for layer in layers)
