"""Lower precisions of the demo and their table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from ...temporary.places import scratch_folder
from ..shared.output import counting, make_table, number

if TYPE_CHECKING:
    from ...training.evaluation.samples import SampleResult

PRECISIONS: tuple[Literal["fp16", "int8"], ...] = ("fp16", "int8")
TILE, TILES = 64, 6
"""Side in pixels and number of the pieces that ranges come from; small, since the demo should be over soon."""


def calibrate_demo(bundle: Path, threads: int | None) -> dict[str, dict[str, Any]]:
    """Calibrate a bundle to FP16 and INT8.

    Layers are measured alone only where the gate fails otherwise.

    Returns:
        Precision -> {"passed", "problem"} and, where it passed, the entries of `spair calibrate` that the demo shows. A
        missed gate, or pictures that this checkpoint cannot be calibrated on, is a problem that is told, not raised.
    """
    from ...calibration import Options, calibrate_bundle
    from ...runtime.errors import GateError, UserError
    from ...training.evaluation.samples import save_calibration_photos

    found: dict[str, dict[str, Any]] = {}
    with scratch_folder("demo") as folder:
        rainy, clean = save_calibration_photos(folder)
        for precision in PRECISIONS:
            options = Options(precision, tile=TILE, tiles=TILES, threads=threads, quick=True)
            try:
                report = calibrate_bundle(bundle, rainy, options, targets=clean, progress=counting)
            except (GateError, UserError) as error:
                found[precision] = {"passed": False, "problem": str(error)}
            else:
                found[precision] = {"problem": None, **_pick(report)}
    return found


def _pick(report: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("passed", "psnr_delta_db", "gate_db", "images", "layers", "file_ratio", "kept_fp32", "kept_fp16")
    return {
        **{key: report[key] for key in keys},
        "clean_changed": max(way["clean_changed"] for way in report["ways"].values()),
    }


def summarise_precisions(calibrated: Mapping[str, Mapping[str, Any]], trials: Sequence[SampleResult]) -> dict[str, Any]:
    """Summarise each precision on the samples, beside its calibration.

    Returns:
        Precision -> "psnr_y_after", mean over the samples in the rain; "photos_delta_db", its change against FP32;
        "worst_delta_db", the least change of one sample; "seconds", summed over all samples; "file_ratio";
        "calibration", None for FP32.
    """
    rainy = [trial for trial in trials if trial.sample.rain != "dry"] or list(trials)
    exact = statistics.fmean(trial.psnr_after for trial in rainy)
    plain = {"psnr_y_after": exact, "photos_delta_db": 0.0, "worst_delta_db": 0.0, "file_ratio": 1.0,
             "seconds": sum(trial.adaptive_seconds for trial in trials), "calibration": None}  # fmt: skip
    found: dict[str, Any] = {"fp32": plain}
    for precision, entry in calibrated.items():
        row = dict.fromkeys(plain) | {"calibration": dict(entry)}
        if entry["passed"]:
            lower = [trial.lower[precision] for trial in rainy]
            deltas = [one.psnr_after - trial.psnr_after for one, trial in zip(lower, rainy, strict=True)]
            row |= {"psnr_y_after": exact + statistics.fmean(deltas), "photos_delta_db": statistics.fmean(deltas),
                    "worst_delta_db": min(deltas), "file_ratio": entry["file_ratio"],
                    "seconds": sum(trial.lower[precision].seconds for trial in trials)}  # fmt: skip
        found[precision] = row
    return found


HEAD = ("precision", "change", "worst", "gate's change", "layers", "files", "adaptive s")


def precision_cells(precision: str, row: Mapping[str, Any]) -> list[str]:
    """Return a row of the table, by `HEAD`."""
    entry = row["calibration"]
    if entry is None:
        return [precision, "–", "–", "–", "–", "1.00 x", number(row["seconds"])]
    if not entry["passed"]:
        return [precision, *["–"] * (len(HEAD) - 1)]
    kept = len(entry["kept_fp16"]) + len(entry["kept_fp32"])
    return [
        precision,
        f"{row['photos_delta_db']:+.3f}",
        f"{row['worst_delta_db']:+.3f}",
        f"{entry['psnr_delta_db']:+.3f} ({entry['gate_db']:+.2f})",
        f"{entry['layers'] - kept} of {entry['layers']}",
        f"{row['file_ratio']:.2f} x",
        number(row["seconds"]),
    ]


def precision_notes(rows: Mapping[str, Any]) -> list[str]:
    """Explain the table's columns and each precision that is missing."""
    notes = [
        "precision: calibrated on crops of the same photos in other rain, layers that lost too much kept higher; "
        "change, worst: mean and least dB against fp32 on the photos in the rain; gate: on the crops (allowed); "
        "adaptive s: summed over all photos, one run each below fp32, on ONNX Runtime, whose CPU provider computes "
        "halves in float32"
    ]
    for precision, row in rows.items():
        if row["calibration"] and not row["calibration"]["passed"]:
            notes.append(f"{precision}: none, {row['calibration']['problem']}")
    return notes


def show_precisions(rows: Mapping[str, Any], console: Console) -> None:
    """Print the table and its notes."""
    table = make_table(HEAD[:1], HEAD[1:])
    for precision, row in rows.items():
        table.add_row(*precision_cells(precision, row))
    console.print(table)
    for line in precision_notes(rows):
        console.print(line, soft_wrap=True)
