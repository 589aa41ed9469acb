"""Loss of a precision in dB, measured or estimated.

With a clean picture, the loss is the difference of two PSNRs. Both are taken of the 8-bit pictures that a saved file
would hold, in RGB and in BT.601 luma, which the tables of deraining use (see `spair.training.evaluation.metrics`). The
larger of both losses counts.

Without a clean picture, the loss is estimated. Let E be the mean square error of the FP32 output against the unknown
truth, and let D be the mean square error of the new output against the FP32 output. Errors of rounding are uncorrelated
with other errors, so the whole error becomes E + D, and the loss is 10 log10(1 + D / E). E follows from an assumed PSNR
P of the FP32 output, E = 10^(-P/10). A gate of g dB then demands that D <= E (10^(g/10) - 1). This is a PSNR between
both outputs of at least P - 10 log10(10^(g/10) - 1), which is 56.3 dB for g = 0.1 and P = 40. If the assumed P is
above the real one, the estimated loss is too large, which is the safe side.
"""

from __future__ import annotations

import math

import numpy as np

CAP = 100.0
"""Largest PSNR and largest loss in dB; identical pictures have it, because their PSNR is infinite."""
_LUMA = np.array([65.481, 128.553, 24.966]) / 255
"""Weights of red, green and blue in BT.601 luma."""


def mean_square(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean square difference, summed in float64.

    Both arrays have the same shape.
    """
    return float(np.mean(np.square(a.astype(np.float64) - b)))


def psnr_of(error: float) -> float:
    """Convert a mean square error to PSNR in dB.

    The error belongs to values in 0..1.
    """
    return CAP if error <= 10.0 ** (-CAP / 10) else -10.0 * math.log10(error)


def as_saved(image: np.ndarray) -> np.ndarray:
    """Round float32 values in 0..1 as an 8-bit file does."""
    return np.rint(np.clip(image, 0.0, 1.0) * np.float32(255)) / np.float32(255)


def measure_psnr(image: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Measure the PSNR of luma and of RGB in dB.

    Args:
        image: [H, W, 3] float32; it is rounded as an 8-bit file does.
        target: clean picture of the same shape.
    """
    saved = as_saved(image)
    luma = mean_square(saved.astype(np.float64) @ _LUMA, target.astype(np.float64) @ _LUMA)
    return psnr_of(luma), psnr_of(mean_square(saved, target))


def estimate_loss(distance: float, error: float) -> float:
    """Estimate the loss in dB from two mean square errors.

    Args:
        distance: D of the module's docstring.
        error: E of the module's docstring.
    """
    if not math.isfinite(distance):
        return CAP
    return min(CAP, 10.0 * math.log10(1.0 + distance / max(error, 10.0 ** (-CAP / 10))))


def required_psnr(gate: float, assumed: float) -> float:
    """Return the PSNR in dB whose estimated loss passes.

    Args:
        gate: loss in dB that the precision may cost.
        assumed: PSNR in dB of the FP32 output against the truth.

    Returns:
        Smallest PSNR between the output and the FP32 output.
    """
    return assumed - 10.0 * math.log10(10.0 ** (gate / 10.0) - 1.0)
