"""Greedy mixed precision: layers that cost most dB for the work they save go back first, until the loss is allowed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from .layers import Layer
from .options import Precision
from .plan import Plan


@dataclasses.dataclass(frozen=True)
class Ladder:
    """Plans from all layers in the lower precision to none: each step moves the next layer of a ranking back."""

    start: Plan
    ranking: tuple[str, ...]
    """Layers, the first to be moved back first."""
    fallback: Mapping[str, Precision]
    """What each becomes."""

    @property
    def steps(self) -> int:
        """Steps after which nothing is left to move."""
        return len(self.ranking)

    def plan(self, step: int) -> Plan:
        """The plan after a number of steps."""
        moved = {name: self.fallback[name] for name in self.ranking[:step]}
        return dataclasses.replace(self.start, layers={**self.start.layers, **moved})


def rank(layers: Sequence[Layer], sensitivities: Mapping[str, float]) -> tuple[str, ...]:
    """By dB lost per multiply-add; counted work, not measured time, so that the same choice is made every time."""
    return tuple(
        layer.name
        for layer in sorted(layers, key=lambda layer: (-sensitivities[layer.name] / layer.work, layer.name))
        if sensitivities[layer.name] > 0.0
    )


def descend(ladder: Ladder, loss: Callable[[Plan], float], allowed: float, first: int = 0) -> int:
    """The fewest steps, `first` or more, after which the loss is allowed; all of them if it never is.

    Found by bisection: one step more costs hardly ever more, and whatever is found was measured.
    """
    if first >= ladder.steps or loss(ladder.plan(first)) <= allowed:
        return min(first, ladder.steps)
    low, high = first, ladder.steps  # low fails; high is taken to hold
    while high - low > 1:
        middle = (low + high) // 2
        if loss(ladder.plan(middle)) <= allowed:
            high = middle
        else:
            low = middle
    return high
