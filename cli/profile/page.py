"""HTML page of `spair profile`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from ..pages.charts import BarChart, LineChart
from ..pages.parts import render_items, render_page, render_table, render_tile
from ..shared.output import number
from .dial import render_dial
from .power import render_power
from .tables import (
    Row,
    conclusions,
    describe_crossover,
    describe_layers,
    describe_picture,
    describe_setting,
    describe_tiles,
    percent,
    same_setting,
)

FOOTER = (
    "Times are medians; the 90th and 99th percentile are interpolated between the runs, so few runs say little of them."
)
TOP_LAYERS, TOP_OPERATORS = 20, 8
"""Largest number of layers and of operators in a table."""


def render_report(report: dict[str, Any]) -> str:
    """Render the page.

    Every text in it is escaped.

    Args:
        report: the JSON of `spair profile`.
    """
    from ...runtime.machine.report import machine_line

    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return render_page(
        "profile.html",
        title=escape(f"SPAIR-RT profile: {Path(report['model']).name}"),
        intro=escape(_introduction(report)),
        machine=escape(f"{machine_line(report['machine'])}. {versions}."),
        tiles="\n".join(_tiles(report)),
        sections="\n".join([*_sections(report), *render_power(report["power"])]),
        notes=render_items(conclusions(report)),
        footer=FOOTER,
    )


def _introduction(report: Row) -> str:
    if report["kind"] != "spair":
        return "A network without a mask computes every pixel of every picture."
    return (
        "The network first marks the distorted pixels, then repairs those. Dense computes every pixel with the whole "
        "graph; adaptive is the restorer as it is used, which skips what is clean and works on distorted pixels alone "
        "where that is faster. Masks were made, so that a density can be asked for."
    )


def _tiles(report: Row) -> Iterator[str]:
    stages = report["stages"][0]
    setting = describe_setting(stages, report)
    rows = [row for row in report["rows"] if row["speedup"] and same_setting(row, stages)]
    for row in rows[:2]:
        yield render_tile(
            f"{row['mask'].capitalize()} masks of {percent(row['density'])}", f"{row['speedup']:.2f}×",
            f"the speed of dense, {setting}",
        )  # fmt: skip
    if report["crossover_density"] is not None:
        words = f"{report['curves'][0]['mask']} masks below it are faster packed than dense"
        yield render_tile("Cross-over", percent(report["crossover_density"]), words)
    yield render_tile("From file to file", f"{stages['total_ms']:,.0f} ms", f"{report['picture']}, {setting}")
    if report["peak_memory_mb"] is not None:
        yield render_tile(
            "Peak memory", f"{report['peak_memory_mb']:,.0f} MB", "of a process that restores one picture"
        )


def _sections(report: Row) -> Iterator[str]:
    for stages in report["stages"]:
        yield from _size_section(stages, report)
    for check in report["checks"]:
        yield from _curve_section(check, report)
    if report["layers"]:
        yield "<h2>Layers</h2>"
    for layers in report["layers"]:
        yield from _layer_section(layers, report)


def _size_section(stages: Row, report: Row) -> Iterator[str]:
    rows = [row for row in report["rows"] if same_setting(row, stages)]
    yield f"<h2>{escape(describe_setting(stages, report))}</h2>"
    crossovers = {c["mask"]: c["crossover_density"] for c in report["curves"] if same_setting(c, stages)}
    charts = []
    for shape in dict.fromkeys(row["mask"] for row in rows if row["mask"]):
        own = [row for row in rows if row["mask"] == shape]
        series = {mode: [(row["density"], row[f"{mode}_ms"]["p50"]) for row in own] for mode in ("dense", "adaptive")}
        title = f"{shape} masks: dense and adaptive time against density"
        charts.append((f"{shape} masks", LineChart(title, series, _within(crossovers.get(shape), series)).render(), ""))
    yield _plots(charts)
    yield _stage_card(stages, report)
    yield from render_dial([row for row in report["dial"] if same_setting(row, stages)])
    head = ("mask", "distorted", "dense ms", "p90", "p99", "adaptive ms", "p90", "p99", "speed-up", "runs",
            "tiles: skipped/packed/dense")  # fmt: skip
    yield render_table(head, (_cells(row) for row in rows), "numbers")


def _stage_card(stages: Row, report: Row) -> str:
    bars = BarChart("time by stage", [(name, times["p50"]) for name, times in stages["stages"].items()])
    words = escape(describe_picture(stages, report))
    return (
        '<section class="card wide"><h3>Stages, from file to file</h3>'
        f'<div class="halves">{bars.render()}<p class="quiet">{words}</p></div></section>'
    )


def _cells(row: Row) -> list[str]:
    adaptive = row["adaptive_ms"] or dict.fromkeys(("p50", "p90", "p99"))
    times = [number(times[key], 1) for times in (row["dense_ms"], adaptive) for key in ("p50", "p90", "p99")]
    runs = f"{row['dense_runs']} + {row['adaptive_runs']}"
    return [row["mask"] or "none", percent(row["density"]), *times, number(row["speedup"], 2, "×"), runs,
            describe_tiles(row["tiles"])]  # fmt: skip


def _within(density: float | None, series: dict[str, list[tuple[float, float]]]) -> float | None:
    """Return a cross-over that lies on the axis, else None."""
    return density if density is not None and density <= series["dense"][-1][0] else None


def _curve_section(check: Row, report: Row) -> Iterator[str]:
    curves = [curve for curve in report["curves"] if same_setting(curve, check)]
    packed = "every piece packed, " if check["packed"] else ""
    yield f"<h2>Dense, packed and adaptive compared: {escape(describe_setting(check, report))}</h2>"
    yield (
        f'<p class="quiet">The middle of the picture with every piece dense, {packed}and as the restorer chooses. '
        "All gave the same picture, or no time would stand here.</p>"
    )
    charts = []
    for curve in curves:
        series = {
            mode: [(point["density"], point[f"{mode}_ms"]["p50"]) for point in curve["points"]]
            for mode in ("dense", "adaptive", "packed")
            if all(point[f"{mode}_ms"] for point in curve["points"])
        }
        title = f"{curve['mask']} masks: every piece dense, adaptive, every piece packed"
        chart = LineChart(title, series, curve["crossover_density"]).render()
        charts.append((f"{curve['mask']} masks", chart, describe_crossover(curve)))
    yield _plots(charts)


def _layer_section(layers: Row, report: Row) -> Iterator[str]:
    yield f'<h3 class="over">{escape(describe_layers(layers, report))}</h3>'
    operators = ([row["operator"], str(row["count"]), *_cost(row)] for row in layers["operators"][:TOP_OPERATORS])
    yield render_table(("operator", "nodes", "ms", "share"), operators, "numbers")
    rows = ([row["name"], row["what"], row["operator"], *_cost(row)] for row in layers["layers"][:TOP_LAYERS])
    yield render_table(("layer", "what", "operator", "ms", "share"), rows)
    rest = layers["layers"][TOP_LAYERS:]
    if rest:
        took = sum(row["ms"] for row in rest)
        yield f'<p class="quiet">{len(rest)} more layers took {took:.2f} ms together; they are in the JSON.</p>'


def _cost(row: Row) -> tuple[str, str]:
    return number(row["ms"]), number(100 * row["share"], 1, " %")


def _plots(charts: Iterable[tuple[str, str, str]]) -> str:
    """Set plots side by side.

    Each plot is given by its title, its SVG and the words below.
    """
    cards = []
    for title, svg, words in charts:
        below = f'<p class="quiet">{escape(words)}</p>' if words else ""
        cards.append(f'<section class="card"><h3>{escape(title.capitalize())}</h3>{svg}{below}</section>')
    return f'<div class="plots">{"".join(cards)}</div>'
