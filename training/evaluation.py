"""Measure a restoration on paired pictures: the report of `spair evaluate`."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol, get_args

import numpy as np

from ..runtime.errors import GateError, UserError
from . import metrics
from .metrics import LabSums, QuantizeMode
from .pairs import Pair, fingerprint, read_mask, read_rgb

EvaluationProtocol = Literal["rain", "raindrop", "shadow", "blur"]

MEASURES = ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb")


class Restored(Protocol):
    """What a restoration returns: the runtime's Result has this form."""

    @property
    def image(self) -> np.ndarray:
        """Float [H, W, 3], RGB 0..1, the size of the input."""

    @property
    def mask(self) -> np.ndarray | None:
        """[H, W] or [H, W, 1], distorted where above zero; None from a network that predicts none."""


class Plain(NamedTuple):
    """A restored picture without a mask: wraps networks that only return an image."""

    image: np.ndarray
    mask: np.ndarray | None = None


Restore = Callable[[np.ndarray], Restored]
Progress = Callable[[int, int, str], None]


def evaluate(
    restore: Restore,
    pairs: Sequence[Pair],
    protocol: EvaluationProtocol = "rain",
    quantize: QuantizeMode = "round",
    *,
    model: str = "",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Restore each input and compare it with its target; returns a report that strict JSON can hold.

    `restore` takes float32 [H, W, 3] RGB 0..1 and returns a `Restored`; floats on both sides, since
    `quantize` decides how its output becomes 8 bit (targets and inputs are taken as their files are).
    `progress(done, total, name)` is called after each picture.

    Keys:
        model, protocol, quantize, count, files_sha256: reports that agree in files, protocol and quantize
            are comparable.
        psnr_y, ssim_y, psnr_rgb, ssim_rgb, density: means over pictures; density is null if the network
            predicts no mask.
        input: the same measures before restoration.
        images: name, width, height and the measures of each.
        mask: with true masks only, means of precision, recall and IoU; null if the network predicts none.
        rmse, rmse_root: for "shadow" only, here and in `input`, over all pixels of all pictures (`LabSums`
            says which is which); `shadow` and `non_shadow` are null without true masks.

    Raises:
        UserError: no pairs, or an unknown protocol or quantize mode.
        GateError: the network returned values that are not finite.
        ValueError: the network returned another shape or an integer picture.
    """
    metrics.check_mode(quantize)
    if protocol not in get_args(EvaluationProtocol):
        raise UserError(f"unknown protocol {protocol!r}: choose one of {', '.join(get_args(EvaluationProtocol))}")
    if not pairs:
        raise UserError("nothing to evaluate: the list of pairs is empty")
    rows, lab = [], _Lab() if protocol == "shadow" else None
    for done, pair in enumerate(pairs, 1):
        rows.append(_measure(restore, pair, quantize, lab))
        if progress is not None:
            progress(done, len(pairs), pair.name)
    report: dict[str, Any] = {
        "model": model,
        "protocol": protocol,
        "quantize": quantize,
        "count": len(rows),
        "files_sha256": fingerprint(pairs),
        **_means(rows, (*MEASURES, "density")),
        "input": _means([row["input"] for row in rows], MEASURES),
    }
    if any(pair.mask is not None for pair in pairs):
        masked = [row["mask"] for row in rows if row.get("mask") is not None]
        report["mask"] = _means(masked, ("precision", "recall", "iou")) if masked else None
    if lab is not None:
        report |= lab.errors("restored")
        report["input"] |= lab.errors("input")
    return report | {"images": rows}


class _Lab:
    """Lab sums over the pictures so far, of the restored pictures and of the inputs."""

    def __init__(self) -> None:
        regions = ("shadow", "non_shadow", "all")
        self.total = {side: dict.fromkeys(regions, LabSums()) for side in ("restored", "input")}

    def add(self, side: str, sums: dict[str, LabSums]) -> None:
        total = self.total[side]
        self.total[side] = {region: total[region].plus(sums[region]) for region in total}

    def errors(self, side: str) -> dict[str, dict[str, float | None]]:
        return _lab_errors(self.total[side])


def _lab_errors(sums: dict[str, LabSums]) -> dict[str, dict[str, float | None]]:
    return {
        "rmse": {region: value.table_error() for region, value in sums.items()},
        "rmse_root": {region: value.root_error() for region, value in sums.items()},
    }


def _measure(restore: Restore, pair: Pair, mode: QuantizeMode, lab: _Lab | None) -> dict[str, Any]:
    image, target = read_rgb(pair.input), read_rgb(pair.target)
    truth = read_mask(pair.mask) if pair.mask is not None else None
    result = restore(image.copy())  # a copy: a network that works in place must not change the input's measures
    _check_result(result.image, image, pair)
    restored = metrics.quantize(result.image, mode)
    predicted = None if result.mask is None else _hard_mask(result.mask, image, pair)
    row: dict[str, Any] = {
        "name": pair.name,
        "width": image.shape[1],
        "height": image.shape[0],
        **metrics.image_measures(restored, target),
        "density": None if predicted is None else float(predicted.mean()),
        "input": metrics.image_measures(image, target),
    }
    if truth is not None:
        row["mask"] = None if predicted is None else metrics.mask_measures(predicted, truth)
    if lab is not None:
        for side, picture, place in (("restored", restored, row), ("input", image, row["input"])):
            sums = metrics.lab_sums(picture, target, truth)
            lab.add(side, sums)
            place |= _lab_errors(sums)
    return row


def _check_result(restored: np.ndarray, image: np.ndarray, pair: Pair) -> None:
    if restored.shape != image.shape or not np.issubdtype(restored.dtype, np.floating):
        raise ValueError(
            f"restoring {pair.name} returned {restored.dtype} {restored.shape}, expected float {image.shape}"
        )
    bad = int(restored.size - np.isfinite(restored).sum())
    if bad:
        raise GateError(f"restoring {pair.input} returned {bad} values that are not finite")


def _hard_mask(mask: np.ndarray, image: np.ndarray, pair: Pair) -> np.ndarray:
    flat = mask[:, :, 0] if mask.ndim == 3 and mask.shape[2] == 1 else mask
    if flat.shape != image.shape[:2]:
        raise ValueError(f"restoring {pair.name} returned a mask {mask.shape}, expected {image.shape[:2]}")
    return flat > 0


def _means(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> dict[str, float | None]:
    """The mean of each key over the rows that have a value; None where none has."""
    values = {key: [row[key] for row in rows if row[key] is not None] for key in keys}
    return {key: float(np.mean(numbers)) if numbers else None for key, numbers in values.items()}
