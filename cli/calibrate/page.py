"""The page of `spair calibrate --html`: one HTML file with a plot and tables, nothing loaded from elsewhere."""

from __future__ import annotations

import importlib.resources
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from .tables import HEAD, WAYS, conclusions, describe_basis, layer_cells, signed

WIDTH, NAME, STEP = 900, 250, 20
"""Of the plot in its own units: in all, for the names, and a line."""
WAY_HEAD = ("way", "dB", "luma", "RGB", "worst picture", "its dB", "clean pixels changed", "mask changed")
FAINTEST = 1e-6
"""dB below which a bar has no length."""


def render_page(report: Mapping[str, Any]) -> str:
    """The page; every text in it is escaped.

    Args:
        report: the JSON of `spair calibrate`.
    """
    precision = report["precision"]
    return Template(_read("calibrate.html")).substitute(
        title=escape(f"SPAIR-RT calibration: {Path(report['bundle']).name}, {precision}"),
        house=_read("report.html").partition("<style>")[2].partition("</style>")[0],
        intro=escape(
            f"Layers are measured alone in {precision}, here on {len(report['tiles'])} tiles; those that cost most for "
            f"the work they save are kept higher until whole pictures hold the gate, by {describe_basis(report)}."
        ),
        precision=escape(precision),
        tiles="\n".join(_tiles(report)),
        plot=plot_losses(report["table"]),
        table=_table(HEAD, (layer_cells(row) for row in report["table"])),
        ways=_table(WAY_HEAD, _way_rows(report["ways"])),
        notes="\n".join(f"<li>{escape(' '.join(line.split()))}</li>" for line in conclusions(report)),
    )


def plot_losses(rows: Sequence[Mapping[str, Any]]) -> str:
    """Bars of dB lost by layer, in the network's order, on a logarithmic axis, as an SVG element."""
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


def _read(name: str) -> str:
    return (importlib.resources.files("spair.cli.pages") / name).read_text(encoding="utf-8")


def _tiles(report: Mapping[str, Any]) -> Iterator[str]:
    verdict = "Gate passed" if report["passed"] else "Gate missed"
    yield _tile(verdict, f"{signed(report['psnr_delta_db'])} dB", f"of {signed(report['gate_db'])} dB allowed")
    kept = len(report["kept_fp16"]) + len(report["kept_fp32"])
    yield _tile("Layers", f"{report['layers'] - kept} of {report['layers']}", f"in {report['precision']}")
    if report["speed"] is not None:
        yield _tile("Files", f"{report['file_ratio']:.2f}", "of the fp32 graphs' size")
        parts = report["speed"]["parts"]
        count = sum(times["kept"] for times in parts.values())
        yield _tile("Faster here", f"{count} of {len(parts)}", f"graphs on ONNX Runtime, {report['speed']['machine']}")


def _tile(title: str, value: str, words: str) -> str:
    return f'<div class="tile"><h3>{escape(title)}</h3><p class="big">{escape(value)}</p><p>{escape(words)}</p></div>'


def _way_rows(ways: Mapping[str, Any]) -> Iterator[list[str]]:
    for name, way in ways.items():
        deltas = [signed(way[key]) for key in ("psnr_delta_db", "psnr_y_delta_db", "psnr_rgb_delta_db")]
        worst = way["worst"]
        changed = "–" if way["mask_changed"] is None else f"{100 * way['mask_changed']:.3f} %"
        last = [worst["name"], signed(worst["psnr_delta_db"]), str(way["clean_changed"]), changed]
        yield [WAYS[name], *deltas, *last]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = "\n".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'
    )
