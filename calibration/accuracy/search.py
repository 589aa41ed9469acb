"""Greedy search of a mixture of precisions.

Layers move back to a higher precision until the loss is allowed. The layers that cost most dB for the work that they
save move first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from ..conversion.layers import Layer
from ..conversion.plan import PrecisionPlan
from ..options import Precision

Moves = Sequence[tuple[str, Precision]]
"""Layers in the order in which they move back, each with its new precision."""


@dataclasses.dataclass(frozen=True)
class Ladder:
    """Sequence of plans from the lowest to higher precisions.

    Each step moves one more layer back.
    """

    start: PrecisionPlan
    """Plan before the first move, with all layers in the lower precision."""
    find_moves: Callable[[], Moves]
    """Function that returns the moves; it is called once and only if a step is taken, because it measures layers."""

    @cached_property
    def moves(self) -> Moves:
        """All moves, in their order."""
        return self.find_moves()

    @property
    def steps(self) -> int:
        """Number of all moves."""
        return len(self.moves)

    def plan(self, step: int) -> PrecisionPlan:
        """Return the plan after a number of steps."""
        if step == 0:
            return self.start
        return dataclasses.replace(self.start, layers={**self.start.layers, **dict(self.moves[:step])})


def rank(layers: Sequence[Layer], sensitivities: Mapping[str, float]) -> tuple[str, ...]:
    """Order layers by dB lost per multiply-add.

    Work is counted and time is not measured, so the order is the same in every run. Layers that lose nothing on the
    tiles come last and are not left out, because the pictures of the gate may show a loss.

    Args:
        layers: layers to order.
        sensitivities: loss in dB of each layer alone in the lower precision.

    Returns:
        Names of the layers.
    """
    return tuple(
        layer.name for layer in sorted(layers, key=lambda layer: (-sensitivities[layer.name] / layer.work, layer.name))
    )


def descend(ladder: Ladder, loss: Callable[[PrecisionPlan], float], allowed: float, first: int = 0) -> int:
    """Find the fewest steps after which the loss is allowed.

    Bisection finds them, because one more step hardly ever costs more. The loss of the found step was measured, unless
    it is the last step.

    Args:
        ladder: plans to choose from.
        loss: measures the loss in dB of a plan.
        allowed: largest loss in dB.
        first: smallest number of steps.

    Returns:
        Number of steps, at least `first`; all steps if no plan is allowed.
    """
    if loss(ladder.plan(first)) <= allowed:
        return first
    low, high = first, ladder.steps  # low loses too much; high is assumed not to
    while high - low > 1:
        middle = (low + high) // 2
        if loss(ladder.plan(middle)) <= allowed:
            high = middle
        else:
            low = middle
    return max(low, high)
