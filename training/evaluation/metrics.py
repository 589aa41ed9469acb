"""The measures of the restoration tables: PSNR and SSIM (luma, RGB), Lab error of the shadow tables, masks.

Pictures are float [H, W, 3], RGB, 0..1 (an 8-bit file divided by 255); sums are done in float64. Every result
is a finite Python float, so it survives strict JSON. The luma variant, peak and rounding are pinned by
published checkpoints (benchmarks/golden_psnr.py).
"""

from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from ...runtime.errors import UserError

QuantizeMode = Literal["round", "floor", "none"]

PSNR_CAP = 100.0
"""dB given to identical pictures, whose PSNR is infinite, and to anything above, so that means stay finite.

One 8-bit step in one sample of a 720p picture is 112 dB: only differences nobody can see are capped.
"""

MASK_MEASURES = ("precision", "recall", "iou")

SSIM_SIGMA = 1.5
SSIM_WINDOW = 11
"""Pixels: Wang et al. 2004. skimage reaches it with sigma 1.5 truncated at 3.5 sigma."""

DROP_WINDOW = 7
"""Pixels: the flat window of scikit-image's SSIM, which the raindrop tables were measured with."""

_LUMA = np.array([65.481, 128.553, 24.966]) / 255
_FULL_LUMA = np.array([0.299, 0.587, 0.114])
_LUMA_OFFSET = 16 / 255


def quantize(image: np.ndarray, mode: QuantizeMode = "round") -> np.ndarray:
    """Put a float picture 0..1 on the grid of an 8-bit file, as a float of the same dtype and shape.

    `round` is what a saved file holds, `floor` what published deraining numbers were computed from (values
    cut, not rounded); both clip to 0..1 first. `none` returns the picture as it is.

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
    """BT.601 luma of RGB 0..1 as MATLAB's rgb2ycbcr of a double picture: float64 [H, W], 16/255..235/255.

    It is not rounded to 8 bit (rounding moves the golden numbers by up to 0.08 dB), and the peak of its PSNR
    stays 1 although luma spans only 219/255: that is 1.3 dB more than with full-range luma.
    """
    return image.astype(np.float64) @ _LUMA + _LUMA_OFFSET


def luma_8bit(image: np.ndarray) -> np.ndarray:
    """BT.601 luma of RGB 0..1 over the full range, rounded to 8 bit: float64 [H, W], 0..1 (OpenCV's YCrCb)."""
    return np.rint(np.clip(image, 0, 1).astype(np.float64) @ _FULL_LUMA * 255) / 255


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over all samples of two equal shapes, peak 1, at most PSNR_CAP."""
    _check_shapes(a, b)
    error = float(np.mean(np.square(a.astype(np.float64) - b.astype(np.float64))))
    return PSNR_CAP if error == 0 else min(PSNR_CAP, -10 * float(np.log10(error)))


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity of [H, W] or [H, W, C] (mean over channels), range 1, Gaussian window of 11x11.

    The mean leaves out a border of half a window, as the authors' code does. A side below 11 pixels is first
    continued by mirroring to 11, so that the smallest pictures have a defined value.
    """
    return _ssim(a, b, SSIM_WINDOW, gaussian_weights=True, sigma=SSIM_SIGMA, use_sample_covariance=False)


def ssim_flat(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity as `ssim`, but in a flat window of 7x7 with sample covariances: scikit-image's default."""
    return _ssim(a, b, DROP_WINDOW, win_size=DROP_WINDOW)


def _ssim(a: np.ndarray, b: np.ndarray, window: int, **options: Any) -> float:
    from skimage.metrics import structural_similarity

    _check_shapes(a, b)
    grow = [(0, max(0, window - side)) for side in a.shape[:2]] + [(0, 0)] * (a.ndim - 2)
    first, second = (np.pad(picture.astype(np.float64), grow, mode="symmetric") for picture in (a, b))
    axis = 2 if a.ndim == 3 else None
    return float(structural_similarity(first, second, data_range=1.0, channel_axis=axis, **options))


def image_measures(image: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """`psnr_y`, `ssim_y`, `psnr_rgb`, `ssim_rgb` of two pictures [H, W, 3]."""
    y, target_y = luma(image), luma(target)
    return {
        "psnr_y": psnr(y, target_y),
        "ssim_y": ssim(y, target_y),
        "psnr_rgb": psnr(image, target),
        "ssim_rgb": ssim(image, target),
    }


def raindrop_measures(image: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """`psnr_y8` and `ssim_y8` of two pictures [H, W, 3]: the measures of the raindrop tables.

    PSNR and flat-window SSIM of full-range 8-bit luma, as the evaluation code published with AGAN does (Qian et al.
    2018, metrics.py of github.com/rui1996/DeRaindrop), which DuRN and MAXIM say they follow. `psnr_y` is up to 1.3 dB
    higher, since the luma of the rain tables spans 219 of the 255 levels of the peak.
    """
    y, target_y = luma_8bit(image), luma_8bit(target)
    return {"psnr_y8": psnr(y, target_y), "ssim_y8": ssim_flat(y, target_y)}


class LabSums(NamedTuple):
    """Sums over the pixels of one region; they add up over pictures, as the tables weight by pixel."""

    pixels: int = 0
    absolute: float = 0.0
    """Sum of |dL| + |da| + |db|."""
    squared: float = 0.0
    """Sum of dL^2 + da^2 + db^2."""

    def plus(self, other: "LabSums") -> "LabSums":
        """The sums of both regions together."""
        return LabSums(self.pixels + other.pixels, self.absolute + other.absolute, self.squared + other.squared)

    def table_error(self) -> float | None:
        """What the ISTD tables print as RMSE: the mean of |dL| + |da| + |db| over pixels; None without any.

        It is a mean absolute error: their "all" is the pixel-weighted mean of the two regions, as no root of
        squares can be, and the authors of SID (ICCV 2019) say so of the evaluation code in use.
        """
        return self.absolute / self.pixels if self.pixels else None

    def root_error(self) -> float | None:
        """The root of the mean squared colour difference (CIE76) over pixels; None without pixels."""
        return float(np.sqrt(self.squared / self.pixels)) if self.pixels else None


def lab_sums(image: np.ndarray, target: np.ndarray, shadow: np.ndarray | None = None) -> dict[str, LabSums]:
    """Lab differences (sRGB, D65) of pictures [H, W, 3] on the regions `shadow`, `non_shadow` and `all`.

    `shadow`: bool [H, W]; without it the first two regions are empty. MATLAB's older transform, adapted to
    D50, gives errors 0.6 to 2.2 % larger (three photos of Guo et al.).
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
    """Pixels of a found mask against the true one; they add up over pictures."""

    hit: int = 0
    """Found and true."""
    false: int = 0
    """Found only."""
    missed: int = 0
    """True only."""
    rest: int = 0

    @classmethod
    def of(cls, predicted: np.ndarray, truth: np.ndarray) -> "MaskCounts":
        """Those of two bool masks [H, W]."""
        _check_shapes(predicted, truth)
        pairs = ((predicted, truth), (predicted, ~truth), (~predicted, truth), (~predicted, ~truth))
        return cls(*(int(np.sum(one & other)) for one, other in pairs))

    def plus(self, other: "MaskCounts") -> "MaskCounts":
        """The counts of both together."""
        return MaskCounts(*(one + two for one, two in zip(self, other, strict=True)))

    def measures(self) -> dict[str, float]:
        """`precision`, `recall` and `iou` as `metrics.mask_measures`, and `ber`, all 0..1.

        BER, the balanced error rate, is the mean of the share of the true pixels that were missed and the share of
        the others that were found: half of missed / (hit + missed) + false / (false + rest). Shadow papers print it
        in percent. As in `mask_measures`, a ratio without a denominator is without error.
        """
        recall, specificity = _ratio(self.hit, self.missed), _ratio(self.rest, self.false)
        return {
            "precision": _ratio(self.hit, self.false),
            "recall": recall,
            "iou": _ratio(self.hit, self.false + self.missed),
            "ber": 1 - (recall + specificity) / 2,
        }

    def densities(self) -> dict[str, float]:
        """`density`, the share of pixels found, and `true_density`, the share of true ones; 0..1."""
        return {"density": (self.hit + self.false) / sum(self), "true_density": (self.hit + self.missed) / sum(self)}


def mask_measures(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Doc."""
    measures = MaskCounts.of(predicted, truth).measures()
    return {key: measures[key] for key in MASK_MEASURES}


def _check_shapes(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape:
        raise ValueError(f"a measure compares arrays of one shape, got {a.shape} and {b.shape}")


def _ratio(good: int, bad: int) -> float:
    return good / (good + bad) if good + bad else 1.0
