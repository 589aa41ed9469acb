"""Plots of speed-up against the share of distorted pixels.

The baseline is the dense ONNX export; plots are PNG files.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.measuring import print_progress
from benchmarks.peers.install import PeerAbsentError, load_package

COLOURS = {"streak": "#0b6e99", "blob": "#c8553d", "uniform": "#8a8a8a", "shadow": "#6a994e"}
JUDGED = ("streak", "blob")
"""Shapes of masks in the plot of the chain."""
PEER_LINES: dict[str, tuple[str, str, Any]] = {
    "eager": ("PyTorch", "#9467bd", "--"),
    "compiled": ("torch.compile", "#9467bd", ":"),
    "openvino": ("OpenVINO", "#2f8f4e", "--"),
    "openvino-bf16": ("OpenVINO in bfloat16", "#2f8f4e", "-."),
    "maskless": ("ONNX Runtime without masks", "#555555", ":"),
    "maskless-openvino": ("OpenVINO without masks", "#2f8f4e", ":"),
}
"""Name, colour and line style of each dense peer."""
TICKS = (0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5, 10, 20, 35, 50, 100)
"""Ticks of both axes, in per cent and as factors."""
SIZE = (6.4, 5.2)
"""Width and height of one panel in inches."""


def try_plot_chain(report: Mapping[str, Any], path: Path) -> None:
    """Draw the report of `benchmarks.sparse_chain`, if matplotlib can be had.

    Without matplotlib a line on stderr says so.
    """
    _try(plot_chain, report, path)


def try_plot_network(report: Mapping[str, Any], path: Path) -> None:
    """Draw the report of `benchmarks.network`, if matplotlib can be had.

    Without matplotlib a line on stderr says so.
    """
    _try(plot_network, report, path)


def _try(plot: Callable[[Mapping[str, Any], Path], None], report: Mapping[str, Any], path: Path) -> None:
    try:
        plot(report, path)
    except PeerAbsentError as error:
        print_progress(f"no plot: {error}")


def plot_chain(report: Mapping[str, Any], path: Path) -> None:
    """Plot our chain, spconv and the floor by mask.

    Dense peers are horizontal lines.

    Raises:
        PeerAbsentError: matplotlib cannot be installed or imported.
    """
    figure, (axes,) = _panels(1)
    shapes = [shape for shape in JUDGED if any(row["mask"] == shape for row in report["rows"])]
    for shape in shapes:
        rows = _sorted(row for row in report["rows"] if row["mask"] == shape and row["floor_ms"] > 0)
        colour, x = COLOURS.get(shape), [100 * row["density"] for row in rows]
        axes.plot(x, [row["speedup"] for row in rows], "o-", color=colour, label=f"ours, {shape}")
        dense = [row["ms"]["dense"]["median"] for row in rows]
        floor = [whole / row["floor_ms"] for whole, row in zip(dense, rows, strict=True)]
        axes.plot(x, floor, ":", color=colour, linewidth=1.2, label=f"limit of the arithmetic, {shape}")
        if all("spconv" in row["ms"] for row in rows):
            spconv = [whole / row["ms"]["spconv"]["median"] for whole, row in zip(dense, rows, strict=True)]
            axes.plot(x, spconv, "x--", color=colour, linewidth=1, label=f"spconv (1 thread), {shape}")
    for name in PEER_LINES:
        ratios = [
            row["ms"]["dense"]["median"] / row["ms"][name]["median"] for row in report["rows"] if name in row["ms"]
        ]
        if ratios:
            _line(axes, statistics.median(ratios), name)
    # The limit is far higher at low densities; the axis is cut so that the measured speed-ups stay readable.
    axes.set_ylim(top=2.5 * max(row["speedup"] for row in report["rows"]))
    size = f"{report['layers']} layers of {report['channels']} channels, {report['side']}x{report['side']}"
    _finish(axes, f"Chain of sparse convolutions: {size}", report)
    _save(figure, path)


def plot_network(report: Mapping[str, Any], path: Path) -> None:
    """Plot the whole network by mask, one panel a preset.

    Dense peers are horizontal lines.

    Raises:
        PeerAbsentError: matplotlib cannot be installed or imported.
    """
    presets = list(report["weights"])
    figure, panels = _panels(len(presets))
    for axes, preset in zip(panels, presets, strict=True):
        rows = [row for row in report["rows"] if row["preset"] == preset]
        full = [row for row in rows if row["mask"] == "all"]  # the line of every shape ends at a full mask
        for shape in dict.fromkeys(row["mask"] for row in rows if row["mask"] not in ("all", "none")):
            line = _sorted(row for row in rows if row["mask"] == shape) + full
            x, y = [100 * row["density"] for row in line], [row["speedup"] for row in line]
            axes.plot(x, y, "o-", color=COLOURS.get(shape), label=f"SPAIR-RT, {shape}")
        peers = [row for row in report["peers"] if row["preset"] == preset and "ms" in row]
        for row in peers:
            _line(axes, row["speedup"], row["peer"])
        _finish(axes, f"Whole network, {preset}, {report['size'][0]}x{report['size'][1]}", report)
    _save(figure, path)


def _sorted(rows: Any) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: row["density"])


def _panels(count: int) -> tuple[Any, Sequence[Any]]:
    load_package("matplotlib").use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, count, figsize=(SIZE[0] * count, SIZE[1]), squeeze=False, layout="constrained")
    for panel in axes[0]:
        panel.set(xscale="log", yscale="log")
    return figure, list(axes[0])


def _line(axes: Any, speedup: float, peer: str) -> None:
    name, colour, style = PEER_LINES[peer]
    axes.axhline(speedup, color=colour, linewidth=1.2, linestyle=style, label=name)


def _finish(axes: Any, title: str, report: Mapping[str, Any]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.axhline(1.0, color="black", linewidth=1.2, label="dense on ONNX Runtime")
    axes.set(title=title, ylabel="times as fast as dense on ONNX Runtime")
    axes.set_xlabel(f"distorted pixels in %   ({report['machine']['cpu']}, {report['threads']} threads)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(TICKS))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(True, color="#dddddd", linewidth=0.5)
    axes.legend(fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.13))


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=144, format="png")
    print_progress(f"plotted {path}")
