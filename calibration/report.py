"""Report of a calibration, the JSON of `spair calibrate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .accuracy.gate import Verdict
from .accuracy.measures import required_psnr
from .conversion.plan import PrecisionPlan
from .options import FILE_RATIOS, Options
from .statistics.observe import Observations
from .statistics.pictures import CalibrationPicture
from .variants import Built, Variant

KEPT_OUT = ("table", "tiles", "bundle", "recalled", "stored")
"""Entries that the manifest leaves out; it is read whenever a bundle is opened, so it should be short."""


def layer_rows(
    network: Variant,
    plan: PrecisionPlan,
    seen: Observations,
    sensitivities: Mapping[str, float],
    times: Mapping[str, tuple[float, float]],
) -> list[dict[str, Any]]:
    """Make one row per layer, in the network's order."""
    total = sum(layer.work for layer in network.layers)
    rows = []
    for layer in network.layers:
        precision = plan.of(layer.name)
        histograms = [seen.histograms[use.key] for use in layer.uses]
        scales = [plan.scales[use.key] for use in layer.uses] if precision == "int8" else []
        tensors = seen.tensors[layer.part]
        before, after = times.get(layer.name, (None, None))
        rows.append(
            {
                "layer": layer.name,
                "part": layer.part,
                "operator": layer.operator,
                "precision": precision,
                "db_lost": sensitivities.get(layer.name),
                "ms_fp32": before,
                "ms": after,
                "ms_saved": None if before is None or after is None else before - after,
                "work": layer.work / total,
                "scales": scales,
                "clipped": max(
                    (one.clipped(scale) for one, scale in zip(histograms, scales, strict=False)), default=0.0
                ),
                "largest": max(one.largest for one in histograms),
                "vanishing": max(tensors[use.source].vanishing for use in layer.uses if use.source in tensors),
            }
        )
    return rows


def make_report(
    network: Variant,
    options: Options,
    plan: PrecisionPlan,
    built: Built,
    verdict: Verdict,
    tiles: Sequence[CalibrationPicture],
    rows: list[dict[str, Any]],
) -> dict[str, Any]:
    """Make the JSON of `spair calibrate` without its timings.

    The caller adds the timings and what the search found.
    """
    gate = options.gate(network.kind)
    sizes = {part: (len(network.models[part].SerializeToString()), len(model.SerializeToString()))
             for part, model in built.models.items()}  # fmt: skip
    ratio = sum(after for _, after in sizes.values()) / sum(before for before, _ in sizes.values()) if sizes else None
    paired = tiles[0].target is not None
    seen = {tile.source for tile in tiles}
    return {
        "bundle": str(network.bundle.path),
        "precision": options.precision,
        "psnr_delta_db": verdict.delta,
        "gate_db": -gate,
        "passed": verdict.passed(gate, seen),
        "basis": "clean pictures" if paired else "distance to the FP32 output",
        "assumed_psnr_db": None if paired else options.assumed_psnr,
        "required_psnr_db": None if paired else required_psnr(gate, options.assumed_psnr),
        "images": len(verdict.names),
        "unseen": verdict.unseen(seen),
        "layers": len(network.layers),
        "kept_fp32": [row["layer"] for row in rows if row["precision"] == "fp32"],
        "kept_fp16": [row["layer"] for row in rows if options.precision == "int8" and row["precision"] == "fp16"],
        "file_ratio": ratio,
        "file_ratio_target": FILE_RATIOS.get(options.precision),
        "ways": verdict.to_json(),
        "calibrator": options.calibrator,
        "statistics": options.statistics,
        "quantize": options.quantize,
        "casts": {part: conversion.counts() for part, conversion in built.conversions.items()},
        "tiles": [{"name": tile.name, "density": tile.density} for tile in tiles],
        "table": rows,
    }
