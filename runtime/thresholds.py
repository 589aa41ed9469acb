"""Thresholds of the mask that a caller may choose."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from .errors import UserError
from .tiling.network import Network

PLACES: Mapping[str, float] = {"fast": 1.0, "balanced": 0.0, "best": -1.0}
"""Named thresholds, as distances from the network's own in logits; docs/results/thresholds.md has what each gives."""

Threshold = float | str
"""Probability from 0 to 1, or a name of `PLACES`."""


def choose_threshold(wanted: Threshold | None, network: Network) -> float | None:
    """Check a threshold that a network shall use.

    Args:
        wanted: probability above which a pixel counts as distorted, 0 (all pixels) to 1 (none), or a name of `PLACES`;
            None for the network's own.
        network: the network.

    Returns:
        The probability; None where it is the network's own.

    Raises:
        UserError: it is no probability and no such name; the network has no mask, or takes no other threshold.
    """
    if wanted is None:
        return None
    if not network.spec.has_mask:
        raise UserError(f"the threshold is {wanted}, and the network finds no mask; leave the threshold out")
    own: float | None = getattr(network.spec, "mask_threshold", None)
    value = _find_place(wanted, own) if isinstance(wanted, str) else _check_number(wanted)
    if value is None or value == own:
        return None
    if not getattr(network, "takes_threshold", False):
        fixed = "" if own is None else f" at {own:g}"
        raise UserError(
            f"the threshold of this model is fixed{fixed}, got {wanted}; leave it out, or run a bundle with "
            "--backend onnxruntime or cpu"
        )
    return value


def _check_number(wanted: float) -> float:
    is_number = isinstance(wanted, (int, float, np.floating, np.integer)) and not isinstance(wanted, bool)
    if not is_number or not 0.0 <= wanted <= 1.0:  # nor NaN
        raise UserError(f"the threshold is {wanted!r}, expected a number from 0 to 1, or one of {', '.join(PLACES)}")
    return float(wanted)


def _find_place(name: str, own: float | None) -> float | None:
    """Find the threshold of a name.

    It is None where the network's own is meant, or is not known.
    """
    if name not in PLACES:
        raise UserError(f"the threshold is {name!r}, expected a number from 0 to 1, or one of {', '.join(PLACES)}")
    if PLACES[name] == 0.0:
        return None
    if own is None:
        raise UserError(f"this model does not say its threshold, so that {name!r} has no place; give a number")
    return 1.0 / (1.0 + (1.0 - own) / own * math.exp(-PLACES[name]))
