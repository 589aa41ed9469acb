"""What a calibration is asked to do, and the gates it is held to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..runtime.errors import UserError

Precision = Literal["fp32", "fp16", "int8"]
"""Of one layer, or of a whole bundle's graphs."""
Calibrator = Literal["minmax", "percentile", "entropy", "mse"]
Statistics = Literal["masked", "all"]
Quantize = Literal["both", "weights", "activations"]

GATES_DB = {"fp16": 0.02, "int8": 0.10}
"""How much PSNR a precision may lose, in dB."""
FOREIGN_INT8_DB = 0.25
"""The same for INT8 of somebody else's network, which no training prepared for it."""
FEWEST = 4
"""Pictures; fewer say nothing about a range of activations."""
FILE_RATIOS = {"fp16": 0.55, "int8": 0.35}
"""Targets for the size of all graphs against the FP32 ones; small networks are mostly structure and miss them."""


@dataclass(frozen=True)
class Options:
    """One calibration; checked when it is made."""

    precision: Precision
    """"fp16" or "int8"."""
    calibrator: Calibrator = "mse"
    """How the range of an activation follows from its histogram."""
    statistics: Statistics = "masked"
    """Which pixels the histograms of sparse layers hold: those that are read under the mask, or all."""
    quantize: Quantize = "both"
    """INT8 only: what is quantized. Anything but "both" is a diagnosis, and nothing is stored."""
    percentile: float = 99.99
    """Effective only when the calibrator is "percentile": share of values in percent that are not clipped."""
    tile: int = 192
    """Side in pixels of the pieces that statistics and sensitivities are measured on."""
    tiles: int = 12
    """How many of them, chosen to cover the densities."""
    max_loss: float | None = None
    """Gate in dB; None: that of the precision, see `GATES_DB`."""
    assumed_psnr: float = 40.0
    """Effective only without targets: PSNR in dB that the FP32 output is taken to have against the truth."""
    threads: int | None = None
    """Of ONNX Runtime; None: all cores."""
    pictures: int = 32
    """At most so many of the folder are used, evenly spaced by name; all of them are in memory."""
    side: int = 1024
    """Of larger pictures the middle is used, at most this many pixels across and down."""
    quick: bool = False
    """Measure layers only where the gate makes it necessary to keep one higher, and time none of them."""

    def __post_init__(self) -> None:
        """Raise UserError, naming the value and what was expected."""
        if self.precision not in GATES_DB:
            raise UserError(f"cannot calibrate to {self.precision!r}, expected one of {', '.join(GATES_DB)}")
        for name, kind in (("calibrator", Calibrator), ("statistics", Statistics), ("quantize", Quantize)):
            if getattr(self, name) not in get_args(kind):
                raise UserError(f"unknown {name} {getattr(self, name)!r}, expected one of {', '.join(get_args(kind))}")
        if self.precision != "int8" and self.quantize != "both":
            raise UserError(f"quantizing {self.quantize} alone is a diagnosis of int8, got {self.precision}")
        if self.tile < 32 or self.tiles < 2:
            raise UserError(f"the tile is {self.tile} and there are {self.tiles}, expected a side of 32 or more, twice")
        if self.pictures < FEWEST or self.side < self.tile:
            raise UserError(
                f"{self.pictures} pictures of a side of {self.side} are to be used, expected at least {FEWEST}, and a "
                f"side not below the tile's {self.tile}; give larger numbers"
            )
        if not 50.0 <= self.percentile <= 100.0:
            raise UserError(f"the percentile is {self.percentile:g}, expected 50 to 100")
        if self.max_loss is not None and not 0.0 < self.max_loss < 100.0:
            raise UserError(f"the loss allowed is {self.max_loss:g} dB, expected more than 0 and less than 100")
        if not 10.0 <= self.assumed_psnr <= 90.0:
            raise UserError(f"the assumed PSNR is {self.assumed_psnr:g} dB, expected 10 to 90")

    def gate(self, kind: str) -> float:
        """dB that may be lost, for a bundle of that kind ("spair" or "foreign")."""
        if self.max_loss is not None:
            return self.max_loss
        return FOREIGN_INT8_DB if self.precision == "int8" and kind == "foreign" else GATES_DB[self.precision]
