"""Thresholds of the mask that a caller may choose."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..errors import UserError

PLACES: Mapping[str, float] = {"fast": 0.6, "balanced": 0.0, "best": -1.1}
"""Named thresholds, as distances from the network's own in logits; docs/results/quality.md has what each gives."""

Threshold = float | str
"""Probability from 0 to 1, or a name of `PLACES`."""


def check_threshold(wanted: Threshold) -> Threshold:
    """Check that a value is a threshold.

    Returns:
        A number as float, or the name.

    Raises:
        UserError: it is neither a number from 0 to 1 nor a name of `PLACES`.
    """
    if isinstance(wanted, str) and wanted in PLACES:
        return wanted
    is_number = isinstance(wanted, (int, float, np.floating, np.integer)) and not isinstance(wanted, bool)
    if not is_number or not 0.0 <= float(wanted) <= 1.0:  # nor NaN
        raise UserError(f"the threshold is {wanted!r}, expected a number from 0 to 1, or one of {', '.join(PLACES)}")
    return float(wanted)


def parse_thresholds(text: str) -> tuple[float, ...]:
    """Parse the list of an option `--thresholds`.

    Args:
        text: numbers with commas between them.

    Returns:
        The thresholds in ascending order, each once.

    Raises:
        UserError: one is no number from 0 to 1.
    """
    return tuple(sorted({_parse_number(part.strip()) for part in text.split(",")}))


def _parse_number(text: str) -> float:
    try:
        return float(check_threshold(float(text)))
    except ValueError as error:  # UserError is one too
        raise UserError(
            f"--thresholds has {text!r}, expected numbers from 0 to 1 with commas between them, such as 0.1,0.2,0.5"
        ) from error


def choose_threshold(
    wanted: Threshold | None, *, own: float | None, has_mask: bool = True, is_free: bool = True
) -> float | None:
    """Choose the threshold that a network uses.

    Args:
        wanted: probability above which a pixel counts as distorted, 0 (all pixels) to 1 (none), or a name of `PLACES`;
            None for the network's own.
        own: the network's own; None where it does not say.
        has_mask: whether the network finds a mask.
        is_free: whether it takes another threshold than its own.

    Returns:
        The probability; None where it is the network's own.

    Raises:
        UserError: see `check_threshold`; the network has no mask, or takes no other threshold.
    """
    if wanted is None:
        return None
    checked = check_threshold(wanted)
    if not has_mask:
        raise UserError(f"the threshold is {wanted}, and the network finds no mask; leave the threshold out")
    if checked in (own, "balanced"):
        return None
    if own is None or not is_free:
        fixed = "" if own is None else f" at {own:g}"
        raise UserError(
            f"the threshold of this model is fixed{fixed}, got {wanted}; leave it out, or run a bundle with "
            "--backend onnxruntime or cpu"
        )
    return _find_place(checked, own) if isinstance(checked, str) else checked


def _find_place(name: str, own: float) -> float:
    """Return the probability of a name of `PLACES`."""
    return 1.0 / (1.0 + (1.0 - own) / own * math.exp(-PLACES[name]))
