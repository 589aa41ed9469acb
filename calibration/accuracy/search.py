"""Greedy mixed precision: layers that cost most dB for the work they save go back first, until the loss is allowed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from ..conversion.layers import Layer
from ..conversion.plan import PrecisionPlan
from ..options import Precision

Moves = Sequence[tuple[str, Precision]]
"""Layers in the order in which they are moved back, and what each becomes."""


@dataclasses.dataclass(frozen=True)
class Ladder:
    """Plans from all layers in the lower precision to none: each step makes the next move."""

    start: PrecisionPlan
    find_moves: Callable[[], Moves]
    """Asked once, and not before a first step is taken: the answer takes measurements."""

    @cached_property
    def moves(self) -> Moves:
        """All that can be done."""
        return self.find_moves()

    @property
    def steps(self) -> int:
        """Steps after which nothing is left to move."""
        return len(self.moves)

    def plan(self, step: int) -> PrecisionPlan:
        """The plan after a number of steps."""
        if step == 0:
            return self.start
        return dataclasses.replace(self.start, layers={**self.start.layers, **dict(self.moves[:step])})


def rank(layers: Sequence[Layer], sensitivities: Mapping[str, float]) -> tuple[str, ...]:
    """By dB lost per multiply-add; counted work, not measured time, so that the same choice is made every time.

    Layers that lost nothing come last: the pictures of the gate may know better than the tiles.
    """
    return tuple(
        layer.name for layer in sorted(layers, key=lambda layer: (-sensitivities[layer.name] / layer.work, layer.name))
    )


def descend(ladder: Ladder, loss: Callable[[PrecisionPlan], float], allowed: float, first: int = 0) -> int:
    """The fewest steps, `first` or more, after which the loss is allowed; all of them if it never is.

    Found by bisection: one step more costs hardly ever more, and whatever is found was measured.
    """
    if loss(ladder.plan(first)) <= allowed:
        return first
    low, high = first, ladder.steps  # low fails; high is taken to hold
    while high - low > 1:
        middle = (low + high) // 2
        if loss(ladder.plan(middle)) <= allowed:
            high = middle
        else:
            low = middle
    return max(low, high)
