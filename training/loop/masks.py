"""Masks under which the steps of a stage restore."""

from __future__ import annotations

import math

GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
"""Golden ratio, whose multiples fill 0..1 evenly."""


def takes_true_masks(step: int, share: float) -> bool:
    """Tell whether a step uses the true masks.

    Such steps have the given share of all steps and are evenly spread: with 0.5 they are every other step.
    """
    return math.floor((step + 1) * share) > math.floor(step * share)


def takes_stray_masks(step: int, share: float) -> bool:
    """Tell whether a step uses stray masks.

    Such steps are spread by the golden ratio and so independently of `takes_true_masks`: with shares of 0.5 and 0.5, a
    quarter of the steps use both.
    """
    return (step + 1) * GOLDEN % 1.0 < share


def draw_threshold(number: int, ends: tuple[float, float]) -> float:
    """Draw the logit of the threshold of a sample.

    The golden ratio spreads the samples of any batch evenly over the logits between the two probabilities.
    """
    low, high = (math.log(end / (1.0 - end)) for end in ends)
    return low + (high - low) * ((number + 1) * GOLDEN % 1.0)
