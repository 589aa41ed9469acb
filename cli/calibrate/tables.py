"""Tables and sentences of `spair calibrate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from ..shared.output import number

VARIANTS = {
    "rounded": "halves rounded as a GPU does",
    "dense": "ONNX Runtime, every pixel",
    "packed": "ONNX Runtime, distorted pixels alone",
    "whole": "ONNX Runtime, the one graph of engines",
    "rows": "the backend cpu, distorted pixels alone",
}
"""Entry of "ways" in the report -> how the graphs were run."""

PARTS = {
    "net_l": "Net_L",
    "net_r": "Net_R dense",
    "net_r_packed": "Net_R packed",
    "model": "the whole graph",
    "rows": "a picture on --backend cpu",
}
"""Graph of a bundle -> its name for people."""

HEAD = ("layer", "precision", "dB lost", "scale", "clipped", "largest", "vanishing", "work", "fp32 ms", "ms saved")


def show_calibration(report: dict[str, Any], console: Console) -> None:
    """Print the layers, then the conclusions."""
    table = Table(*HEAD, box=None, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for row in report["table"]:
        table.add_row(*layer_cells(row))
    if report["table"]:
        console.print(table)
    for line in conclusions(report):
        console.print(line, soft_wrap=True)
    if report.get("html"):
        console.print(f"page       {report['html']}", soft_wrap=True)


def layer_cells(row: Mapping[str, Any]) -> list[str]:
    """Return a row of the table, by `HEAD`."""
    scales = row["scales"]
    several = f" x{len(scales)}" if len(scales) > 1 else ""
    return [
        row["layer"],
        row["precision"],
        number(row["db_lost"], 4),
        f"{scales[0]:.3g}{several}" if scales else "–",
        f"{100 * row['clipped']:.3f} %" if scales else "–",
        f"{row['largest']:.3g}",
        f"{100 * row['vanishing']:.2g} %",
        f"{100 * row['work']:.1f} %",
        number(row["ms_fp32"]),
        number(row["ms_saved"]),
    ]


def conclusions(report: Mapping[str, Any]) -> list[str]:
    """Say the gate, the variants, sizes and speeds."""
    kept = ", ".join(
        f"{len(report[f'kept_{precision}'])} in {precision}"
        for precision in ("fp16", "fp32")
        if report[f"kept_{precision}"]
    )
    lines = [
        f"gate       {'passed' if report['passed'] else 'MISSED'}: {signed(report['psnr_delta_db'])} dB over "
        f"{report['images']} pictures, allowed {signed(report['gate_db'])} dB, by {describe_basis(report)}",
        *(f"           {signed(run['psnr_delta_db'])} dB {VARIANTS[name]}; worst {run['worst']['name']} "
          f"{signed(run['worst']['psnr_delta_db'])} dB; {run['clean_changed']} clean pixels changed"
          + (f", {100 * run['mask_changed']:.3f} % of the mask" if run["mask_changed"] is not None else "")
          for name, run in report["ways"].items()),
        describe_unseen(report),
        f"layers     {report['layers']}, {kept or 'none'} kept higher; "
        f"{sum(casts['casts'] for casts in report['casts'].values())} casts",
    ]  # fmt: skip
    if report["file_ratio"] is not None:
        ratio, most = number(report["file_ratio"], 3), report["file_ratio_target"]
        lines.append(f"files      {ratio} of fp32, wanted {most:.2f} at most")
    lines += [f"speed      {line}" for line in describe_speed(report)]
    lines.append("stored     in the bundle" if report["stored"] else "stored     nothing, this was a diagnosis")
    return lines


def describe_unseen(report: Mapping[str, Any]) -> str:
    """Say the loss on pictures that gave no range.

    It tells most of pictures to come, since those gave no range either.
    """
    unseen = report["unseen"]
    if unseen is None:
        return "           every picture also gave ranges: others may lose more, so give more pictures to know"
    return f"           {signed(unseen['psnr_delta_db'])} dB over the {unseen['images']} that gave no range"


def describe_basis(report: Mapping[str, Any]) -> str:
    """Say what the losses were measured against."""
    if report["assumed_psnr_db"] is None:
        return "clean pictures"
    return (
        f"the distance to the fp32 output, taken to reach {report['assumed_psnr_db']:g} dB "
        f"(both must agree to {report['required_psnr_db']:.1f} dB)"
    )


def describe_speed(report: Mapping[str, Any]) -> list[str]:
    """Say where the precision pays on this machine.

    There is one sentence for each graph.
    """
    speed = report["speed"]
    if speed is None:
        return []
    threads = f"{speed['threads']} threads" if speed["threads"] else "all cores"
    return [
        f"{PARTS.get(part, part)} takes {times['ms']:.1f} ms, in fp32 {times['fp32_ms']:.1f}: "
        + (f"{report['precision']} is kept" if times["kept"] else "no faster here, --precision auto runs fp32")
        + f" ({threads})"
        for part, times in speed["parts"].items()
    ]


def signed(value: float) -> str:
    """Format a change in dB, without a minus before zero."""
    return f"{value + 0.0:+.4f}" if abs(value) >= 5e-5 else "0.0000"
