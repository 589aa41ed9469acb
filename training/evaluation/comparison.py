"""Comparison of one restored picture with its target."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...runtime.errors import UserError
from . import alignment, metrics, truth
from .metrics import LabSums, QuantizeMode
from .protocols import TaskProtocol


@dataclass(frozen=True)
class MeasureSetting:
    """Options of the comparison."""

    protocol: TaskProtocol
    quantize: QuantizeMode = "round"
    """Way to turn the output into 8 bit; targets and inputs are taken as their files are."""
    resize: int | None = None
    """Side in pixels of the square that output, input and target are resized to; None leaves their size."""
    shift: int = 0
    """Pixels cropped on every side; a picture may lie a third of this off its target (see `alignment.align`)."""

    def __post_init__(self) -> None:
        metrics.check_mode(self.quantize)
        if self.resize is not None and self.resize < 1:
            raise UserError(f"cannot resize pictures to {self.resize} pixels: give 1 or more, or leave it out")
        if self.shift < 0:
            raise UserError(f"cannot crop {self.shift} pixels for a shift: give 0 or more")


class Example(NamedTuple):
    """A pair and its restoration.

    All float pictures are [H, W, 3], RGB 0..1.
    """

    name: str
    image: np.ndarray
    target: np.ndarray
    restored: np.ndarray
    predicted: np.ndarray | None
    """Distortion that the network found, bool [H, W]; None from a network that predicts no masks."""
    mask: np.ndarray | None
    """True distortion, bool [H, W]; None where it has to be derived from the pair."""


class Measured(NamedTuple):
    """A picture as it was measured.

    It is cropped, aligned and resized where the setting asks for it.
    """

    row: dict[str, Any]
    """Measures of the picture, the entry of `images` in the report."""
    image: np.ndarray
    restored: np.ndarray
    target: np.ndarray
    predicted: np.ndarray | None
    truth: np.ndarray
    """True mask, bool [H, W]; derived from the pair if no mask was given."""
    lab: dict[str, dict[str, LabSums]]
    """"restored" and "input" -> region -> sums; empty unless the protocol asks for Lab."""


def compare(example: Example, setting: MeasureSetting) -> Measured:
    """Measure one picture.

    Masks are compared cropped and aligned, but not resized.

    Raises:
        UserError: the picture is too small for the shift.
    """
    protocol, target = setting.protocol, alignment.crop_border(example.target, setting.shift)
    restored = metrics.quantize(example.restored, setting.quantize)
    sides = {
        "restored": _align(restored, example.target, setting.shift),
        "input": _align(example.image, example.target, setting.shift),
    }
    mask, predicted = (_follow(one, sides["input"], setting.shift) for one in (example.mask, example.predicted))
    source = "derived" if mask is None else "files"
    true = truth.derive_mask(sides["input"].image, target, shadow=protocol.lab) if mask is None else mask
    height, width = example.image.shape[:2]
    row: dict[str, Any] = {"name": example.name, "width": width, "height": height}
    row |= _mask_row(predicted, true, source)
    seen = {side: _fit(aligned.image, setting.resize) for side, aligned in sides.items()}
    seen_target, seen_true = _fit(target, setting.resize), _fit_mask(true, setting.resize)
    lab = {}
    for side, place in (("restored", row), ("input", row.setdefault("input", {}))):
        place |= _measures(seen[side], seen_target, protocol)
        if setting.shift:
            place["shift"] = list(sides[side].shift)
        if protocol.lab:
            lab[side] = metrics.lab_sums(seen[side], seen_target, seen_true)
            place |= lab_errors(lab[side])
    found = None if predicted is None else _fit_mask(predicted, setting.resize)
    return Measured(row, seen["input"], seen["restored"], seen_target, found, seen_true, lab)


def lab_errors(sums: dict[str, LabSums]) -> dict[str, dict[str, float | None]]:
    """Compute `rmse` and `rmse_root` of each region.

    A region without pixels has None.
    """
    return {
        "rmse": {region: value.table_error() for region, value in sums.items()},
        "rmse_root": {region: value.root_error() for region, value in sums.items()},
    }


def _measures(picture: np.ndarray, target: np.ndarray, protocol: TaskProtocol) -> dict[str, float]:
    """Measure a picture by the keys of a protocol."""
    measured = metrics.image_measures(picture, target)
    return measured | metrics.raindrop_measures(picture, target) if protocol.extra else measured


def _mask_row(predicted: np.ndarray | None, mask: np.ndarray, source: str) -> dict[str, Any]:
    """List the entries of a row that are about masks."""
    return {
        "density": None if predicted is None else float(predicted.mean()),
        "true_density": float(mask.mean()),
        "mask": None if predicted is None else metrics.mask_measures(predicted, mask),
        "mask_source": source,
    }


def _align(picture: np.ndarray, target: np.ndarray, shift: int) -> alignment.Aligned:
    """Align a picture with its target where shifts are allowed."""
    return alignment.align(picture, target, shift) if shift else alignment.Aligned(picture, (0.0, 0.0))


def _follow(mask: np.ndarray | None, aligned: alignment.Aligned, shift: int) -> np.ndarray | None:
    """Shift a mask with its picture where shifts are allowed."""
    return alignment.move_mask(mask, aligned.shift, shift) if shift and mask is not None else mask


def _fit(picture: np.ndarray, side: int | None) -> np.ndarray:
    """Resize a picture if a side is given."""
    return picture if side is None else alignment.resize(picture, side)


def _fit_mask(mask: np.ndarray, side: int | None) -> np.ndarray:
    """Resize a mask if a side is given."""
    return mask if side is None else alignment.resize_mask(mask, side)
