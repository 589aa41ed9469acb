"""Evaluation of restored pictures against clean pictures.

It makes the report of `spair evaluate`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ...runtime.arrays import enlarge
from ...runtime.clock import CountProgress
from ...runtime.errors import GateError, UserError
from ..data.pairs import Pair, read_pair
from . import alignment, truth
from .comparison import Example, Measured, MeasureSetting, compare, lab_errors
from .fingerprints import fingerprint
from .metrics import MASK_MEASURES, LabSums, QuantizeMode
from .protocols import EvaluationProtocol, find_protocol


class RestorationResult(Protocol):
    """Restored picture and mask, as `evaluate` needs them.

    The runtime's `Result` has this form.
    """

    @property
    def image(self) -> np.ndarray:
        """Return the picture, float [H, W, 3], RGB 0..1.

        It has the size of the input, times the scale.
        """

    @property
    def mask(self) -> np.ndarray | None:
        """Return the mask [H, W] or [H, W, 1].

        A pixel above zero is distorted. A network that predicts no masks gives None.
        """


Restore = Callable[[np.ndarray], RestorationResult]
"""Function that restores a picture, float32 [H, W, 3] RGB 0..1. With an attribute `scale` above 1, its pictures are
that many times larger, and so must the clean ones be; measures of the input are those of its linear enlargement."""


def evaluate(
    restore: Restore,
    pairs: Sequence[Pair],
    protocol: EvaluationProtocol = "rain",
    quantize: QuantizeMode = "round",
    *,
    resize: int | None = None,
    shift: int = 0,
    model: str = "",
    progress: CountProgress | None = None,
    keep: Callable[[Measured], None] | None = None,
) -> dict[str, Any]:
    """Restore each input and compare it with its target.

    Args:
        restore: takes float32 [H, W, 3] RGB 0..1 and returns a `RestorationResult`.
        pairs: files of the pictures.
        protocol: name of the task, which chooses the measures.
        quantize: see `MeasureSetting`.
        resize: see `MeasureSetting`.
        shift: see `MeasureSetting`.
        model: name of the model for the report.
        progress: receives (done, total, name) after each picture.
        keep: receives the compared pictures after each picture.

    Returns:
        A report that strict JSON can hold, with these keys.
        model, protocol, quantize, resize, shift, count, files_sha256: reports that agree in all of these but the model
            are comparable.
        psnr_y, ssim_y, psnr_rgb, ssim_rgb, the keys of `TaskProtocol.extra`, density: means over pictures; density is
        null if the network predicts no mask.
        input: the same measures before restoration.
        mask: means of precision, recall and IoU of the predicted masks; null if the network predicts none.
        mask_source, mask_rule, true_density: origin of the true masks ("files", "derived" from the pairs by the rule,
            "mixed"), and the share of pixels in them.
        rmse, rmse_root: for "shadow" only, here and in `input`, over all pixels of all pictures (`LabSums` explains the
            two); null for a region without pixels.
        images: name, width, height and the measures of each picture; with a shift, also its offset from the target.

    Raises:
        UserError: there are no pairs, the protocol or quantize mode is unknown, or a picture is too small for the
            shift.
        GateError: the network returned values that are not finite.
        ValueError: the network returned another shape or an integer picture.
    """
    setting = MeasureSetting(find_protocol(protocol), quantize, resize, shift)
    if not pairs:
        raise UserError("nothing to evaluate: the list of pairs is empty")
    rows, lab = [], _Lab()
    for done, pair in enumerate(pairs, 1):
        measured = compare(_restore_pair(restore, pair, shift), setting)
        rows.append(measured.row)
        lab.add(measured.lab)
        if keep is not None:
            keep(measured)
        if progress is not None:
            progress(done, len(pairs), pair.name)
    report: dict[str, Any] = {"model": model, "protocol": protocol, "quantize": quantize, "resize": resize}
    report |= {"shift": shift, "count": len(rows), "files_sha256": fingerprint(pairs)}
    return report | _summarise(rows, setting, lab) | {"images": rows}


def _summarise(rows: Sequence[dict[str, Any]], setting: MeasureSetting, lab: "_Lab") -> dict[str, Any]:
    """Average the rows into the report's own entries."""
    protocol = setting.protocol
    masked = [row["mask"] for row in rows if row["mask"] is not None]
    sources = {row["mask_source"] for row in rows}
    rule = truth.SHADOW_RULE if protocol.lab else truth.DIFFERENCE_RULE
    summary: dict[str, Any] = {
        **average_rows(rows, (*protocol.measures, "density", "true_density")),
        "input": average_rows([row["input"] for row in rows], protocol.measures),
        "mask": average_rows(masked, MASK_MEASURES) if masked else None,
        "mask_source": "mixed" if len(sources) > 1 else min(sources),
        "mask_rule": rule if "derived" in sources else None,
    }
    if protocol.lab:
        summary |= lab_errors(lab.total["restored"])
        summary["input"] |= lab_errors(lab.total["input"])
    return summary


class _Lab:
    """Lab sums over the pictures so far.

    There are separate sums for the restored pictures and for the inputs.
    """

    def __init__(self) -> None:
        self.total: dict[str, dict[str, LabSums]] = {}

    def add(self, picture: dict[str, dict[str, LabSums]]) -> None:
        for side, sums in picture.items():
            total = self.total.get(side, {})
            self.total[side] = {region: total.get(region, LabSums()).plus(value) for region, value in sums.items()}


def _restore_pair(restore: Restore, pair: Pair, shift: int) -> Example:
    """Read a pair and restore its input."""
    scale = int(getattr(restore, "scale", 1))
    image, target, mask = read_pair(pair, scale)
    try:
        alignment.crop_border(image, shift)  # checked before the restoration, which takes time
    except UserError as error:
        raise UserError(f"{pair.input}: {error}") from error
    restored, predicted = restore_picture(restore, image, pair)
    if scale > 1:  # what anybody has without the network, to compare with
        image = np.ascontiguousarray(np.moveaxis(enlarge(np.moveaxis(image, 2, 0), scale), 0, 2))
        mask = None if mask is None else mask.repeat(scale, 0).repeat(scale, 1)
    return Example(pair.name, image, target, restored, predicted, mask)


def restore_picture(restore: Restore, image: np.ndarray, pair: Pair) -> tuple[np.ndarray, np.ndarray | None]:
    """Restore the picture of a pair and check the result.

    Returns:
        The restored picture, and the found mask as bool [H, W] or None.

    Raises:
        GateError: as `evaluate`.
        ValueError: as `evaluate`.
    """
    result = restore(image.copy())  # a copy, because a network may work in place
    _check_result(result.image, image, pair, int(getattr(restore, "scale", 1)))
    return result.image, None if result.mask is None else _hard_mask(result.mask, image, pair)


def _check_result(restored: np.ndarray, image: np.ndarray, pair: Pair, scale: int) -> None:
    """Check shape, type and values of a restored picture."""
    expected = (scale * image.shape[0], scale * image.shape[1], *image.shape[2:])
    if restored.shape != expected or not np.issubdtype(restored.dtype, np.floating):
        raise ValueError(f"restoring {pair.name} returned {restored.dtype} {restored.shape}, expected float {expected}")
    bad = int(restored.size - np.isfinite(restored).sum())
    if bad:
        raise GateError(f"restoring {pair.input} returned {bad} values that are not finite")


def _hard_mask(mask: np.ndarray, image: np.ndarray, pair: Pair) -> np.ndarray:
    """Turn a network's mask into bool [H, W]."""
    flat = mask[:, :, 0] if mask.ndim == 3 and mask.shape[2] == 1 else mask
    if flat.shape != image.shape[:2]:
        raise ValueError(f"restoring {pair.name} returned a mask {mask.shape}, expected {image.shape[:2]}")
    return flat > 0


def average_rows(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> dict[str, float | None]:
    """Average each key over the rows that have a value.

    A key without any value has None.
    """
    values = {key: [row[key] for row in rows if row[key] is not None] for key in keys}
    return {key: float(np.mean(numbers)) if numbers else None for key, numbers in values.items()}
