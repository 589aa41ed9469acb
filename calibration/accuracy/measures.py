"""What a precision costs in dB: measured against clean pictures, or estimated from the distance to the FP32 output.

With a clean picture the loss is the difference of two PSNRs, of the 8-bit pictures that a saved file would hold, in
BT.601 luma (as the tables of deraining do, see `spair.training.evaluation.metrics`) and in RGB; the larger loss counts.

Without one it is estimated. Let E be the mean square error of the FP32 output against the unknown truth, and D that of
the output against the FP32 one. If the two errors are uncorrelated, as those of rounding are, the error becomes E + D
and the loss is 10 log10(1 + D / E). E is taken from an assumed PSNR P of the FP32 output, E = 10^(-P/10). A gate of g
dB then demands that D <= E (10^(g/10) - 1): a PSNR between both outputs of at least P - 10 log10(10^(g/10) - 1), which
is 56.3 dB for g = 0.1 and P = 40. A P above the real one errs on the safe side.
"""

from __future__ import annotations

import math

import numpy as np

CAP = 100.0
"""dB of identical pictures, whose PSNR is infinite, and of anything above; a loss is never larger either."""
_LUMA = np.array([65.481, 128.553, 24.966]) / 255


def mean_square(a: np.ndarray, b: np.ndarray) -> float:
    """Mean square difference of two arrays of one shape, summed in float64."""
    return float(np.mean(np.square(a.astype(np.float64) - b)))


def psnr_of(error: float) -> float:
    """PSNR in dB of a mean square error of values in 0..1."""
    return CAP if error <= 10.0 ** (-CAP / 10) else -10.0 * math.log10(error)


def as_saved(image: np.ndarray) -> np.ndarray:
    """float32 0..1 -> the same on the grid of an 8-bit file."""
    return np.rint(np.clip(image, 0.0, 1.0) * np.float32(255)) / np.float32(255)


def measure_psnr(image: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """PSNR in dB of [H, W, 3] pictures as saved: of luma and of RGB."""
    saved = as_saved(image)
    luma = mean_square(saved.astype(np.float64) @ _LUMA, target.astype(np.float64) @ _LUMA)
    return psnr_of(luma), psnr_of(mean_square(saved, target))


def estimate_loss(distance: float, error: float) -> float:
    """dB lost when an uncorrelated mean square error `distance` joins `error`; see above."""
    if not math.isfinite(distance):
        return CAP
    return min(CAP, 10.0 * math.log10(1.0 + distance / max(error, 10.0 ** (-CAP / 10))))


def required_psnr(gate: float, assumed: float) -> float:
    """PSNR in dB that an output must have against the FP32 one, so that at most `gate` dB are lost by the estimate."""
    return assumed - 10.0 * math.log10(10.0 ** (gate / 10.0) - 1.0)
