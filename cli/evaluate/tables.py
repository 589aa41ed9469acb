"""Tables of `spair evaluate` on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..shared.output import number


def show_restored(report: dict[str, Any], console: Console, out: Path | None = None) -> None:
    """Print measures before and after.

    `out` is the folder of the report.
    """
    from ...training.evaluation.protocols import REGIONS, TITLES, find_protocol

    models, protocol = _models(report), find_protocol(report["protocol"])
    table = Table("", "input", *_labels(models), box=None, pad_edge=False)
    for region in REGIONS if protocol.lab else ():
        values = [number(one["rmse"][region]) for one in (report["input"], *models)]
        table.add_row(f"RMSE Lab {region.replace('_', '-')}", *values)
    for key in protocol.measures:
        unit, digits = (" (dB)", 2) if key.startswith("psnr") else ("", 4)
        table.add_row(TITLES[key] + unit, *(number(one[key], digits) for one in (report["input"], *models)))
    table.add_row(
        "distorted", f"{_percent(report['true_density'])} true", *(_percent(one["density"]) for one in models)
    )
    for key in ("precision", "recall", "iou"):
        table.add_row(f"mask {key}", "", *(number((one["mask"] or {}).get(key), 3) for one in models))
    _add_cost(table, models)
    _print(table, _setting(report), console, out)
    if report.get("thresholds"):
        console.print(_make_thresholds(report["thresholds"], protocol.psnr, TITLES[protocol.psnr]))


def _make_thresholds(rows: list[dict[str, Any]], key: str, title: str) -> Table:
    """Make the table of thresholds of the mask."""
    table = Table("threshold", f"{title} (dB)", "distorted", "ms", "processor ms", "", box=None, pad_edge=False)
    for row in rows:
        cells = (f"{row['threshold']:g}", number(row[key]), _percent(row["density"]), number(row["ms"], 1))
        table.add_row(*cells, number(row["processor_ms"], 1), "the model's" if row["own"] else "")
    return table


def show_masks(report: dict[str, Any], console: Console, out: Path | None = None) -> None:
    """Print measures of masks.

    They are means over pictures, and measures over all pixels together. `out` is the folder of the report.
    """
    models = _models(report)
    table = Table("", "true", *_labels(models), box=None, pad_edge=False)
    pooled = [one["mask_pooled"] for one in models]
    for words, densities, masks in (
        ("mean over pictures", models, [one["mask"] for one in models]),
        ("all pixels together", pooled, pooled),
    ):
        shares = [densities[0]["true_density"], *(one["density"] for one in densities)]
        table.add_row(f"distorted, {words}", *map(_percent, shares))
        for key in ("precision", "recall", "iou"):
            table.add_row(f"mask {key}, {words}", "", *(number(mask[key], 3) for mask in masks))
        table.add_row(f"mask BER, {words}", "", *(_percent(mask["ber"], 2) for mask in masks))
    _add_cost(table, models)
    _print(table, ", ".join([_count(report), "masks alone", *_only(report)]), console, out)


def _add_cost(table: Table, models: list[dict[str, Any]]) -> None:
    """Add the rows of what models cost."""
    from ...training.evaluation.report.markdown import COSTS, render_costs

    for title, *cells in zip((title for title, _ in COSTS.values()), *map(render_costs, models), strict=True):
        table.add_row(title, "", *cells)


def _models(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [report, *report.get("compare", [])]


def _labels(models: list[dict[str, Any]]) -> list[str]:
    from ...training.evaluation.report.markdown import label_models

    return label_models([one["model"] for one in models])


def _print(table: Table, setting: str, console: Console, out: Path | None) -> None:
    console.print(table)
    console.print(setting, soft_wrap=True)
    if out is not None:
        console.print(f"report {out / 'report.md'}", soft_wrap=True)


def _setting(report: dict[str, Any]) -> str:
    words = [
        _count(report),
        f"protocol {report['protocol']}",
        f"output to 8 bit: {report['quantize']}",
        f"true masks: {report['mask_source']}",
        *_only(report),
    ]
    if report["resize"] is not None:
        words.append(f"measured at {report['resize']}x{report['resize']}")
    if report["shift"]:
        words.append(f"cropped by {report['shift']} and shifted to fit best")
    return ", ".join(words)


def _count(report: dict[str, Any]) -> str:
    from ...training.evaluation.report.markdown import count_pictures

    return count_pictures(report["count"])


def _only(report: dict[str, Any]) -> list[str]:
    return [f"only {','.join(report['only'])}"] if report["only"] else []


def _percent(share: float | None, digits: int = 1) -> str:
    return number(None if share is None else 100 * share, digits, " %")
