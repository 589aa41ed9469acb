"""Measures of the restoration tables.

They are PSNR and SSIM (of luma and of RGB), the Lab error of the shadow tables, and the measures of masks. Pictures are
float [H, W, 3], RGB, 0..1 (an 8-bit file divided by 255); sums are done in float64. Every result is a finite Python
float, so strict JSON can hold it. Published checkpoints confirm the variant of luma, its peak and the rounding
(benchmarks/golden_psnr.py).
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from ...runtime.errors import GateError, UserError

QuantizeMode = Literal["round", "floor", "none"]
"""Name of a way to turn a restored picture into 8 bit; see `quantize`."""

PSNR_CAP = 100.0
"""Largest PSNR in dB.

Identical pictures, whose PSNR is infinite, get this value, so that means stay finite. One 8-bit step in one sample of a
720p picture is 112 dB, so the cap only touches differences that no viewer can see.
"""

MASK_MEASURES = ("precision", "recall", "iou")
"""Keys of the measures of a mask; see `mask_measures`."""

SSIM_SIGMA = 1.5
"""Standard deviation of the SSIM window in pixels (Wang et al. 2004)."""
SSIM_WINDOW = 11
"""Side of the SSIM window in pixels (Wang et al. 2004).

scikit-image has this window with sigma 1.5, truncated at 3.5 sigma.
"""

DROP_WINDOW = 7
"""Side in pixels of the flat window of scikit-image's SSIM, with which the raindrop tables were measured."""

_LUMA = np.array([65.481, 128.553, 24.966]) / 255
_FULL_LUMA = np.array([0.299, 0.587, 0.114])
_LUMA_OFFSET = 16 / 255


def quantize(image: np.ndarray, mode: QuantizeMode = "round") -> np.ndarray:
    """Round a float picture 0..1 as an 8-bit file would.

    `round` gives the values of a saved file. `floor` cuts values instead; published deraining numbers were computed
    this way. Both clip to 0..1 first. `none` returns the picture as it is.

    Returns:
        A float picture of the same dtype and shape.

    Raises:
        UserError: the mode is not one of these three.
    """
    check_mode(mode)
    if mode == "none":
        return image
    levels = np.clip(image, 0, 1) * image.dtype.type(255)
    levels = np.floor(levels) if mode == "floor" else np.rint(levels)
    return levels / image.dtype.type(255)


def check_mode(mode: str) -> None:
    """Raise UserError unless `mode` is a quantize mode."""
    if mode not in get_args(QuantizeMode):
        raise UserError(f"unknown quantize mode {mode!r}: choose one of {', '.join(get_args(QuantizeMode))}")


def luma(image: np.ndarray) -> np.ndarray:
    """Compute BT.601 luma as MATLAB's rgb2ycbcr does for doubles.

    The luma is not rounded to 8 bit (rounding moves the golden numbers by up to 0.08 dB). The peak of its PSNR stays 1
    although luma spans only 219/255; this gives 1.3 dB more than full-range luma.

    Args:
        image: RGB 0..1, [H, W, 3].

    Returns:
        float64 [H, W], 16/255..235/255.
    """
    return image.astype(np.float64) @ _LUMA + _LUMA_OFFSET


def luma_8bit(image: np.ndarray) -> np.ndarray:
    """Compute full-range BT.601 luma, rounded to 8 bit.

    This is the Y of OpenCV's YCrCb.

    Args:
        image: RGB 0..1, [H, W, 3].

    Returns:
        float64 [H, W], 0..1.
    """
    return np.rint(np.clip(image, 0, 1).astype(np.float64) @ _FULL_LUMA * 255) / 255


_PARTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "psnr_y": luma,
    "psnr_y8": luma_8bit,
    "psnr_rgb": np.asarray,
}
"""Functions that give what each PSNR compares, by key."""


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Compute the peak signal-to-noise ratio in dB.

    It covers all samples of two arrays of one shape; the peak is 1, and the result is at most PSNR_CAP.

    Raises:
        GateError: a value is not finite.
    """
    _check_shapes(a, b)
    error = float(np.mean(np.square(a.astype(np.float64) - b.astype(np.float64))))
    if not np.isfinite(error):  # min would make the cap of it
        raise GateError("a picture has values that are no finite numbers, so it has no PSNR; train or export again")
    return PSNR_CAP if error == 0 else min(PSNR_CAP, -10 * float(np.log10(error)))


def psnr_by_key(key: str, image: np.ndarray, target: np.ndarray) -> float:
    """Compute the PSNR of a key.

    Unlike `image_measures` it spares the SSIM, which takes most of the time.

    Args:
        key: `psnr_y`, `psnr_y8` or `psnr_rgb`; see `image_measures` and `raindrop_measures`.
        image: [H, W, 3].
        target: [H, W, 3].
    """
    part = _PARTS[key]
    return psnr(part(image), part(target))


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Compute structural similarity in a Gaussian window of 11x11.

    The pictures are [H, W] or [H, W, C], of which the mean over channels is taken; the range is 1. The mean leaves out
    a border of half a window, as the authors' code does. A side below 11 pixels is first continued by mirroring to 11,
    so that the smallest pictures have a defined value.
    """
    return _ssim(a, b, SSIM_WINDOW, gaussian_weights=True, sigma=SSIM_SIGMA, use_sample_covariance=False)


def ssim_flat(a: np.ndarray, b: np.ndarray) -> float:
    """Compute structural similarity in a flat window of 7x7.

    It uses sample covariances, as scikit-image does by default; otherwise it works as `ssim`.
    """
    return _ssim(a, b, DROP_WINDOW, win_size=DROP_WINDOW)


def _ssim(a: np.ndarray, b: np.ndarray, window: int, **options: Any) -> float:
    from skimage.metrics import structural_similarity

    _check_shapes(a, b)
    grow = [(0, max(0, window - side)) for side in a.shape[:2]] + [(0, 0)] * (a.ndim - 2)
    first, second = (np.pad(picture.astype(np.float64), grow, mode="symmetric") for picture in (a, b))
    axis = 2 if a.ndim == 3 else None
    return float(structural_similarity(first, second, data_range=1.0, channel_axis=axis, **options))


def image_measures(image: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Measure `psnr_y`, `ssim_y`, `psnr_rgb` and `ssim_rgb` of two pictures.

    Both pictures are [H, W, 3].
    """
    y, target_y = luma(image), luma(target)
    return {
        "psnr_y": psnr(y, target_y),
        "ssim_y": ssim(y, target_y),
        "psnr_rgb": psnr(image, target),
        "ssim_rgb": ssim(image, target),
    }


def raindrop_measures(image: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Measure `psnr_y8` and `ssim_y8`, as the raindrop tables do.

    They are PSNR and flat-window SSIM of full-range 8-bit luma. The evaluation code published with AGAN computes them
    (Qian et al. 2018, metrics.py of github.com/rui1996/DeRaindrop), and DuRN and MAXIM say that they follow it.
    `psnr_y` is up to 1.3 dB higher, since the luma of the rain tables spans 219 of the 255 levels of the peak.
    """
    y, target_y = luma_8bit(image), luma_8bit(target)
    return {"psnr_y8": psnr(y, target_y), "ssim_y8": ssim_flat(y, target_y)}


class LabSums(NamedTuple):
    """Sums of Lab errors over the pixels of one region.

    They add up over pictures, because the tables weight by pixel.
    """

    pixels: int = 0
    """Number of pixels."""
    absolute: float = 0.0
    """Sum of |dL| + |da| + |db|."""
    squared: float = 0.0
    """Sum of dL^2 + da^2 + db^2."""

    def plus(self, other: "LabSums") -> "LabSums":
        """Add the sums of another region or picture."""
        return LabSums(self.pixels + other.pixels, self.absolute + other.absolute, self.squared + other.squared)

    def table_error(self) -> float | None:
        """Return the error that the ISTD tables print as RMSE.

        It is the mean of |dL| + |da| + |db| over pixels, hence a mean absolute error; None without pixels. The value
        "all" of the tables is the pixel-weighted mean of the two regions, which no root of squares can be. The authors
        of SID (ICCV 2019) say the same about the evaluation code in use.
        """
        return self.absolute / self.pixels if self.pixels else None

    def root_error(self) -> float | None:
        """Return the root of the mean squared colour difference.

        The difference is CIE76, the mean is over pixels; None without pixels.
        """
        return float(np.sqrt(self.squared / self.pixels)) if self.pixels else None


def lab_sums(image: np.ndarray, target: np.ndarray, shadow: np.ndarray | None = None) -> dict[str, LabSums]:
    """Sum Lab differences (sRGB, D65) over regions of two pictures.

    The regions are `shadow`, `non_shadow` and `all`. MATLAB's older transform, adapted to D50, gives errors 0.6 to 2.2
    % larger (three photos of Guo et al.).

    Args:
        image: [H, W, 3].
        target: [H, W, 3].
        shadow: bool [H, W]; without it the first two regions are empty.
    """
    from skimage.color import rgb2lab

    _check_shapes(image, target)
    difference = rgb2lab(image.astype(np.float64)) - rgb2lab(target.astype(np.float64))
    absolute, squared = np.abs(difference).sum(-1), np.square(difference).sum(-1)
    nowhere = np.zeros(absolute.shape, bool)
    everywhere = ~nowhere
    regions = {
        "shadow": nowhere if shadow is None else shadow,
        "non_shadow": nowhere if shadow is None else ~shadow,
        "all": everywhere,
    }
    return {
        name: LabSums(int(region.sum()), float(absolute[region].sum()), float(squared[region].sum()))
        for name, region in regions.items()
    }


class MaskCounts(NamedTuple):
    """Numbers of pixels of a found and a true mask.

    They add up over pictures.
    """

    hit: int = 0
    """Pixels found and true."""
    false: int = 0
    """Pixels found but not true."""
    missed: int = 0
    """Pixels true but not found."""
    rest: int = 0
    """Pixels neither found nor true."""

    @classmethod
    def of(cls, predicted: np.ndarray, truth: np.ndarray) -> "MaskCounts":
        """Count the pixels of two bool masks [H, W]."""
        _check_shapes(predicted, truth)
        pairs = ((predicted, truth), (predicted, ~truth), (~predicted, truth), (~predicted, ~truth))
        return cls(*(int(np.sum(one & other)) for one, other in pairs))

    def plus(self, other: "MaskCounts") -> "MaskCounts":
        """Add the counts of another picture."""
        return MaskCounts(*(one + two for one, two in zip(self, other, strict=True)))

    def measures(self) -> dict[str, float]:
        """Compute `precision`, `recall`, `iou` and `ber`, all 0..1.

        BER, the balanced error rate, is the mean of two shares: the true pixels that were missed, and the other pixels
        that were found. It is half of missed / (hit + missed) + false / (false + rest). Shadow papers print it in
        percent.

        A ratio without a denominator counts as free of error: an empty mask makes no false claim, and an empty truth
        leaves nothing to be missed.
        """
        recall, specificity = _ratio(self.hit, self.missed), _ratio(self.rest, self.false)
        return {
            "precision": _ratio(self.hit, self.false),
            "recall": recall,
            "iou": _ratio(self.hit, self.false + self.missed),
            "ber": 1 - (recall + specificity) / 2,
        }

    def densities(self) -> dict[str, float]:
        """Compute `density` and `true_density`, both 0..1.

        They are the share of pixels found and the share of true pixels.
        """
        return {"density": (self.hit + self.false) / sum(self), "true_density": (self.hit + self.missed) / sum(self)}


def mask_measures(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Compute `MASK_MEASURES` of two bool masks [H, W].

    A ratio without a denominator is 1; see `MaskCounts.measures`.
    """
    measures = MaskCounts.of(predicted, truth).measures()
    return {key: measures[key] for key in MASK_MEASURES}


def _check_shapes(a: np.ndarray, b: np.ndarray) -> None:
    """Check that two arrays have one shape."""
    if a.shape != b.shape:
        raise ValueError(f"a measure compares arrays of one shape, got {a.shape} and {b.shape}")


def _ratio(good: int, bad: int) -> float:
    """Return the share of good among all, or 1.

    It is 1 if there is nothing to count.
    """
    return good / (good + bad) if good + bad else 1.0
