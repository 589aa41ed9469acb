"""Checks that all methods restore the same picture."""

from __future__ import annotations

import numpy as np

from ..errors import GateError

DIFFERING = 1e-3
"""Share of samples that may differ by more than an 8-bit step if each method finds its own mask.

A pixel whose probability lies at the threshold may be distorted for one method and clean for the other. A tile that was
dropped or misplaced differs in far more samples."""


def check_same(name: str, method: str, restored: np.ndarray, dense: np.ndarray, tolerance: float) -> float:
    """Check that two float pictures are equal within a tolerance.

    Args:
        name: name of the picture for the message.
        method: name of the method that gave `restored`.
        restored: the restored picture.
        dense: the picture restored by the dense method.
        tolerance: largest difference allowed, as a share of full scale.

    Returns:
        The largest difference.

    Raises:
        GateError: the difference is larger than the tolerance.
    """
    difference = float(np.abs(restored - dense).max(initial=0.0))
    if not difference <= tolerance:
        raise GateError(
            f"{name}: the {method} restoration differs from the dense one by {difference:.2g} of full scale, "
            f"allowed {tolerance:.2g}; no times are reported"
        )
    return difference


def check_clean(name: str, image: np.ndarray, restored: np.ndarray, mask: np.ndarray) -> None:
    """Check that a restoration keeps all pixels outside the mask.

    Args:
        name: name of the picture for the message.
        image: the picture, [H, W] or [H, W, C].
        restored: the restored picture.
        mask: [H, W] bool.

    Raises:
        GateError: a pixel outside of the mask was changed.
    """
    changed = (image != restored).reshape(*mask.shape, -1).any(axis=2) & ~mask
    count = int(np.count_nonzero(changed))
    if count:
        raise GateError(f"{name}: the restoration changed clean pixels ({count} of them); no times are reported")


def check_baseline(name: str, adaptive: np.ndarray, dense: np.ndarray, allowed: float = DIFFERING) -> float:
    """Check that the restorer agrees with the baseline.

    Args:
        name: name of the picture for the message.
        adaptive: picture restored under the mask that the network found, uint8, uint16 or float32.
        dense: the same picture restored by the baseline.
        allowed: share of the samples that may differ.

    Returns:
        Share of the samples that differ by more than an 8-bit step.

    Raises:
        GateError: the share is larger than allowed.
    """
    step = {"uint8": 1.0, "uint16": 257.0, "float32": 1 / 255}[dense.dtype.name]
    same = np.abs(adaptive.astype(np.float64) - dense) <= step  # false for NaN, which then counts as a difference
    share = float((~same).mean())
    if share > allowed:
        raise GateError(
            f"{name}: {100 * share:.2f} % of the samples differ between the adaptive and the dense "
            f"restoration, allowed {100 * allowed:.1f} %; no times are reported"
        )
    return share
