"""Checks that all ways restore the same picture."""

from __future__ import annotations

import numpy as np

from ..errors import GateError

DIFFERING = 1e-3
"""Share of samples that may differ by more than a step of 8 bits where each way finds its own mask: a pixel whose
probability lies at the threshold may fall on either side. A tile that was dropped or misplaced differs in far more."""


def check_same(name: str, way: str, restored: np.ndarray, dense: np.ndarray, tolerance: float) -> float:
    """The largest difference between two float pictures, or GateError where it is beyond the tolerance."""
    difference = float(np.abs(restored - dense).max(initial=0.0))
    if not difference <= tolerance:
        raise GateError(
            f"{name}: the {way} restoration differs from the dense one by {difference:.2g} of full scale, "
            f"allowed {tolerance:.2g}; no times are reported"
        )
    return difference


def check_clean(name: str, image: np.ndarray, restored: np.ndarray, mask: np.ndarray) -> None:
    """GateError unless every pixel outside of the mask [H, W] is the picture's own."""
    changed = (image != restored).reshape(*mask.shape, -1).any(axis=2) & ~mask
    count = int(np.count_nonzero(changed))
    if count:
        raise GateError(f"{name}: the restoration changed clean pixels ({count} of them); no times are reported")


def check_baseline(name: str, adaptive: np.ndarray, dense: np.ndarray) -> float:
    """The share of samples that differ by more than a step of 8 bits, or GateError where it is beyond DIFFERING.

    Args:
        name: what to call the picture in the message.
        adaptive: it, restored under the mask that the network found; uint8, uint16 or float32.
        dense: the same picture from the graph of the whole network.
    """
    step = {"uint8": 1.0, "uint16": 257.0, "float32": 1 / 255}[dense.dtype.name]
    share = float((np.abs(adaptive.astype(np.float64) - dense) > step).mean())
    if share > DIFFERING:
        raise GateError(
            f"{name}: {100 * share:.2f} % of the samples differ between the adaptive and the dense "
            f"restoration, allowed {100 * DIFFERING:.1f} %; no times are reported"
        )
    return share
