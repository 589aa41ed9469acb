"""HTML page of `spair calibrate`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..pages.parts import render_items, render_page, render_table, render_tile
from .tables import HEAD, VARIANTS, conclusions, describe_basis, layer_cells, signed

WIDTH, NAME, STEP = 900, 250, 20
"""Width of the plot, width of its label column and height of a line, in SVG units."""
VARIANT_HEAD = ("variant", "dB", "luma", "RGB", "worst picture", "its dB", "clean pixels changed", "mask changed")
FAINTEST = 1e-6
"""Loss in dB below which a bar has no length."""


def render_report(report: Mapping[str, Any]) -> str:
    """Render the page; every text in it is escaped.

    Args:
        report: the JSON of `spair calibrate`.
    """
    precision = report["precision"]
    return render_page(
        "calibrate.html",
        title=escape(f"SPAIR-RT calibration: {Path(report['bundle']).name}, {precision}"),
        intro=escape(
            f"Layers are measured alone in {precision}, here on {len(report['tiles'])} tiles; those that cost most for "
            f"the work they save are kept higher until whole pictures hold the gate, by {describe_basis(report)}."
        ),
        precision=escape(precision),
        tiles="\n".join(_tiles(report)),
        plot=plot_losses(report["table"]),
        table=render_table(HEAD, (layer_cells(row) for row in report["table"])),
        ways=render_table(VARIANT_HEAD, _variant_rows(report["ways"])),
        notes=render_items(conclusions(report)),
    )


def plot_losses(rows: Sequence[Mapping[str, Any]]) -> str:
    """Plot the dB that each layer loses, as SVG.

    Bars stand in the network's order on a logarithmic axis.
    """
    rows = [row for row in rows if row["db_lost"] is not None]
    if not rows:
        return "<p>No layer was measured alone, as --quick asks where the gate holds.</p>"
    losses = [row["db_lost"] for row in rows]
    high = math.ceil(math.log10(max(*losses, 10 * FAINTEST)))
    low = math.floor(math.log10(max(min((loss for loss in losses if loss > 0), default=FAINTEST), FAINTEST)))
    low = min(low, high - 1)
    room, height = WIDTH - NAME - 90, STEP * len(rows) + 24

    def length(loss: float) -> float:
        return 0.0 if loss <= 0 else room * min(max((math.log10(loss) - low) / (high - low), 0.0), 1.0)

    parts = []
    for power in range(low, high + 1):
        x = NAME + length(10.0**power)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - 20}"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{10.0**power:g}</text>')
    for index, row in enumerate(rows):
        parts.append(_bar(row, index * STEP, length(row["db_lost"])))
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="dB lost by each layer">{"".join(parts)}</svg>'


def _bar(row: Mapping[str, Any], top: float, length: float) -> str:
    tip = escape(f"{row['layer']}: {row['db_lost']:.5f} dB, {row['precision']}")
    return (
        f'<text class="name" x="0" y="{top + 14}">{escape(row["layer"])}</text>'
        f'<rect class="{escape(row["precision"])}" x="{NAME}" y="{top + 3}" width="{max(length, 1.0):.1f}" height="14" '
        f'rx="2"><title>{tip}</title></rect>'
        f'<text x="{NAME + length + 6:.1f}" y="{top + 14}">{row["db_lost"]:.4f} {escape(row["precision"])}</text>'
    )


def _tiles(report: Mapping[str, Any]) -> Iterator[str]:
    verdict = "Gate passed" if report["passed"] else "Gate missed"
    yield render_tile(verdict, f"{signed(report['psnr_delta_db'])} dB", f"of {signed(report['gate_db'])} dB allowed")
    kept = len(report["kept_fp16"]) + len(report["kept_fp32"])
    yield render_tile("Layers", f"{report['layers'] - kept} of {report['layers']}", f"in {report['precision']}")
    if report["speed"] is not None:
        yield render_tile("Files", f"{report['file_ratio']:.2f}", "of the fp32 graphs' size")
        parts = report["speed"]["parts"]
        count = sum(times["kept"] for times in parts.values())
        yield render_tile(
            "Faster here", f"{count} of {len(parts)}", f"graphs on ONNX Runtime, {report['speed']['machine']}"
        )


def _variant_rows(runs: Mapping[str, Any]) -> Iterator[list[str]]:
    for name, run in runs.items():
        deltas = [signed(run[key]) for key in ("psnr_delta_db", "psnr_y_delta_db", "psnr_rgb_delta_db")]
        worst = run["worst"]
        changed = "–" if run["mask_changed"] is None else f"{100 * run['mask_changed']:.3f} %"
        last = [worst["name"], signed(worst["psnr_delta_db"]), str(run["clean_changed"]), changed]
        yield [VARIANTS[name], *deltas, *last]
