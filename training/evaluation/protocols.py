"""Measures of each task, as the published tables define them.

`spair evaluate --protocol` chooses one of these protocols.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from ...runtime.errors import UserError

EvaluationProtocol = Literal["rain", "raindrop", "shadow", "blur"]
"""Name of a protocol; each task has one."""

MEASURES = ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb")
"""Keys of the measures that every task has; see `metrics.image_measures`."""

TITLES = {
    "psnr_y": "PSNR luma",
    "ssim_y": "SSIM luma",
    "psnr_rgb": "PSNR RGB",
    "ssim_rgb": "SSIM RGB",
    "psnr_y8": "PSNR 8-bit luma",
    "ssim_y8": "SSIM 8-bit luma",
}
"""Titles of all measures by key; PSNR is in dB."""

REGIONS = ("shadow", "non_shadow", "all")
"""Regions in which errors in Lab are measured; see `metrics.lab_sums`."""


@dataclass(frozen=True)
class TaskProtocol:
    """Measures of one task."""

    name: EvaluationProtocol
    psnr: str
    """Key of the PSNR that the task's tables print, or of the nearest one if they print none."""
    ssim: str
    """Key of the SSIM that the tables print beside it."""
    words: str
    """Description of the tables' measures with its source; a sentence of Markdown."""
    extra: tuple[str, ...] = ()
    """Keys of measures beyond `MEASURES`."""
    lab: bool = False
    """Whether the tables print errors in Lab."""

    @property
    def measures(self) -> tuple[str, ...]:
        """List all keys, beginning with those that the tables print."""
        keys = (*self.extra, *MEASURES)
        return (self.psnr, self.ssim, *(key for key in keys if key not in (self.psnr, self.ssim)))


PROTOCOLS: dict[str, TaskProtocol] = {
    protocol.name: protocol
    for protocol in (
        TaskProtocol(
            "rain",
            "psnr_y",
            "ssim_y",
            "The deraining tables print PSNR and SSIM of BT.601 luma as MATLAB's `rgb2ycbcr` gives it (16 to 235, peak "
            "255), outputs cut to 8 bit (`--quantize floor`); the published PReNet checkpoints score their published "
            "figures this way.",
        ),
        TaskProtocol(
            "raindrop",
            "psnr_y8",
            "ssim_y8",
            "The raindrop tables print PSNR and SSIM (7x7 flat window) of full-range 8-bit luma, outputs cut to 8 bit "
            "(`--quantize floor`): `metrics.py` of github.com/rui1996/DeRaindrop, which DuRN and MAXIM follow. Luma of "
            "the deraining tables gives up to 1.3 dB more.",
            extra=("psnr_y8", "ssim_y8"),
        ),
        TaskProtocol(
            "shadow",
            "psnr_rgb",
            "ssim_rgb",
            "The error that the ISTD tables call RMSE is the mean over pixels of abs(dL) + abs(da) + abs(db), summed "
            "over all pictures (the authors of SID, ICCV 2019, say so of the code in use). Until 2020 it was measured "
            "at the pictures' own size, since Fu et al. (CVPR 2021) mostly at 256x256 (`--resize 256`).",
            lab=True,
        ),
        TaskProtocol(
            "blur",
            "psnr_rgb",
            "ssim_rgb",
            "The deblurring tables print PSNR and SSIM of RGB, rounded to 8 bit. Their SSIM is often MATLAB's of the "
            "colour picture as one volume, about 0.01 higher than the mean over channels given here.",
        ),
    )
}
"""Protocols by name."""


def find_protocol(name: str) -> TaskProtocol:
    """Find a protocol by name.

    Raises:
        UserError: the name is unknown.
    """
    if name not in PROTOCOLS:
        raise UserError(f"unknown protocol {name!r}: choose one of {', '.join(get_args(EvaluationProtocol))}")
    return PROTOCOLS[name]
