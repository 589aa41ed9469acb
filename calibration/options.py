"""Options of a calibration and its accuracy gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..runtime.errors import UserError

Precision = Literal["fp32", "fp16", "int8", "bf16", "int8-bf16"]
"""Precision of one layer, or of all graphs of a bundle; the last two are of whole bundles only, see `DERIVED`."""
Calibrator = Literal["minmax", "percentile", "entropy", "mse"]
"""Rule that turns the histogram of an activation into its range."""
Statistics = Literal["masked", "all"]
"""Pixels that the histograms of sparse layers hold."""
Quantize = Literal["both", "weights", "activations"]
"""Values that INT8 quantizes."""

GATES_DB = {"fp16": 0.02, "bf16": 0.02, "int8": 0.10, "int8-bf16": 0.10}
"""Loss of PSNR in dB that each precision may cost."""
FOREIGN_INT8_DB = 0.25
"""Loss of PSNR in dB that INT8 may cost a foreign network, whose training did not prepare for it."""
FEWEST = 4
"""Smallest number of pictures; fewer do not show the range of an activation."""
SMALLEST_TILE = 32
"""Smallest side of a tile in pixels."""
FEWEST_TILES = 2
"""Smallest number of tiles."""
DERIVED = ("bf16", "int8-bf16")
"""Precisions without graphs of their own: they are measured, and nothing is converted."""
FILE_RATIOS = {"fp16": 0.55, "int8": 0.35}
"""Target for the bytes of all graphs divided by those of FP32; small networks are mostly structure and miss it."""


@dataclass(frozen=True)
class Options:
    """Options of one calibration, checked on creation."""

    precision: Precision
    """Lower precision to calibrate to, "fp16" or "int8", or to measure, see `DERIVED`."""
    calibrator: Calibrator = "mse"
    """Rule that turns the histogram of an activation into its range."""
    statistics: Statistics = "masked"
    """Pixels that the histograms of sparse layers hold: "masked" for the pixels read under the mask, or "all"."""
    quantize: Quantize = "both"
    """Values that INT8 quantizes; all but "both" are a diagnosis, which stores nothing."""
    percentile: float = 99.99
    """Share of values in percent that are not clipped; used only by the calibrator "percentile"."""
    tile: int = 192
    """Side in pixels of the tiles on which statistics and sensitivities are measured."""
    tiles: int = 12
    """Number of tiles; they are chosen to cover the densities."""
    max_loss: float | None = None
    """Gate in dB; None stands for the precision's own gate, see `GATES_DB`."""
    assumed_psnr: float = 40.0
    """PSNR in dB that the FP32 output is assumed to have against the truth; used only without targets."""
    threads: int | None = None
    """Number of threads of ONNX Runtime; None stands for all cores."""
    pictures: int = 32
    """Largest number of pictures; they are evenly spaced by name and all held in memory."""
    side: int = 1024
    """Largest width and height of a picture in pixels; of a larger one, the middle is used."""
    quick: bool = False
    """Whether to measure layers only if the gate fails without that, and to time no layer."""

    def __post_init__(self) -> None:
        """Check all options.

        Raises:
            UserError: an option has a value that is not allowed; the message names it.
        """
        if self.precision not in GATES_DB:
            raise UserError(f"the precision is {self.precision!r}, expected one of {', '.join(GATES_DB)}")
        for name, kind in (("calibrator", Calibrator), ("statistics", Statistics), ("quantize", Quantize)):
            if getattr(self, name) not in get_args(kind):
                raise UserError(f"the {name} is {getattr(self, name)!r}, expected one of {', '.join(get_args(kind))}")
        if self.precision != "int8" and self.quantize != "both":
            raise UserError(
                f"quantize is {self.quantize!r} with {self.precision}, expected 'both' or int8; leave --quantize out"
            )
        self._check_sizes()
        if not 50.0 <= self.percentile <= 100.0:
            raise UserError(f"the percentile is {self.percentile:g} %, expected 50 to 100 %; change --percentile")
        if self.max_loss is not None and not 0.0 < self.max_loss < 100.0:
            raise UserError(
                f"the largest loss is {self.max_loss:g} dB, expected more than 0 and less than 100; change --max-loss"
            )
        if not 10.0 <= self.assumed_psnr <= 90.0:
            raise UserError(f"the assumed PSNR is {self.assumed_psnr:g} dB, expected 10 to 90; change --assumed-psnr")

    def _check_sizes(self) -> None:
        if self.tile < SMALLEST_TILE:
            raise UserError(
                f"the tile has a side of {self.tile} pixels, expected {SMALLEST_TILE} or more; give a larger --tile"
            )
        if self.tiles < FEWEST_TILES:
            raise UserError(
                f"the number of tiles is {self.tiles}, expected {FEWEST_TILES} or more; give larger --tiles"
            )
        if self.pictures < FEWEST:
            raise UserError(
                f"the number of pictures is {self.pictures}, expected {FEWEST} or more; give larger --pictures"
            )
        if self.side < self.tile:
            raise UserError(
                f"pictures are cut to a side of {self.side} pixels, expected at least the {self.tile} of a tile; "
                "give a larger --side or a smaller --tile"
            )

    def gate(self, kind: str) -> float:
        """Return the loss in dB that a bundle may have.

        Args:
            kind: kind of the bundle, "spair" or "foreign".
        """
        if self.max_loss is not None:
            return self.max_loss
        return FOREIGN_INT8_DB if self.precision == "int8" and kind == "foreign" else GATES_DB[self.precision]
