"""HTML page of `spair profile --backend tensorrt`."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from ..pages.charts import LineChart
from ..pages.parts import render_items, render_page, render_table, render_tile
from ..shared.output import number
from .engine_tables import (
    CURVES,
    PICTURES,
    STATISTICS,
    conclude_engines,
    curve_cells,
    describe_engine_crossover,
    describe_engine_layers,
    describe_latency,
    describe_ms,
    describe_runs,
    find_engine,
    list_step_rows,
    picture_cells,
)
from .power import render_power
from .tables import Row, percent

TOP_LAYERS = 40
"""Largest number of layers in a table."""
INTRODUCTION = (
    "The engines of the bundle, in the terms of trtexec. The engine of the whole network finds the distorted pixels "
    "and repairs those; the engine of its second part, Net_R, takes a given mask, which may have any density."
)


def render_engine_report(report: dict[str, Any]) -> str:
    """Render the page.

    Every text in it is escaped.

    Args:
        report: the JSON of `spair profile --backend tensorrt`.
    """
    from ...runtime.machine.report import machine_line

    engine = report["engine"]
    names = dict.fromkeys(f"{one['package']} {one['tensorrt']} on {one['gpu']}" for one in engine["engines"])
    return render_page(
        "profile.html",
        title=escape(f"SPAIR-RT profile: {Path(report['model']).name}, engines"),
        intro=escape(INTRODUCTION),
        machine=escape(f"{'; '.join(names)}. {machine_line(report['machine'])}."),
        tiles="\n".join(_tiles(engine)),
        sections="\n".join([*_sections(engine), *render_power(report["power"])]),
        notes=render_items(conclude_engines(report)),
        footer="Percentiles of the engine are times that were measured, without interpolation.",
    )


def _tiles(engine: Row) -> Iterator[str]:
    for latency in engine["latency"][:3]:
        plain, together = latency["plain"], latency["together"]
        yield render_tile(
            "Inference", f"{describe_ms(plain['compute_ms']['median'])} ms",
            f"median, {describe_latency(latency).removesuffix('; ms')}",
        )  # fmt: skip
        yield render_tile(
            "Throughput", f"{number(together['per_second'], 1)} pictures/s",
            f"{together['slots']} slots together, from array to array",
        )  # fmt: skip


def _sections(engine: Row) -> Iterator[str]:
    for latency in engine["latency"]:
        yield f"<h2>{escape(describe_latency(latency))}</h2>"
        yield render_table(("", *STATISTICS), list_step_rows(latency))
        yield f"<ul>{render_items(describe_runs(latency, find_engine(latency, engine)))}</ul>"
    if engine["pictures"]:
        yield _section("Whole engine, by the density of the mask that it finds", PICTURES)
        columns = ("engine", "size", "distorted", "aimed at", "inference ms", "p90", "p99", "latency ms")
        yield render_table(columns, map(picture_cells, engine["pictures"]))
    if engine["curves"]:
        yield _section("Engine of Net_R, by the density of a given mask", CURVES)
        yield f'<div class="plots">{"".join(map(_plot, engine["curves"]))}</div>'
        head = ("engine", "mask", "distorted", "inference ms", "latency ms", "engines ms", "CPU ms")
        rows = [curve_cells(curve, point) for curve in engine["curves"] for point in curve["points"]]
        yield render_table([*head, "pieces"], rows)
    for layers in engine["layers"]:
        yield f"<h2>{escape(describe_engine_layers(layers))}</h2>"
        longest = sorted(layers["layers"], key=lambda row: -row["ms"])[:TOP_LAYERS]
        rows = [
            [row["name"], row["type"] or "–", number(row["ms"], 3), number(100 * row["share"], 1, " %")]
            for row in longest
        ]
        yield render_table(("layer", "type", "ms", "share"), rows)


def _section(title: str, words: str) -> str:
    return f'<h2>{escape(title)}</h2><p class="quiet">{escape(words)}</p>'


def _plot(curve: Row) -> str:
    """Plot a curve of engines and CPU."""
    series = {
        name: [(point["density"], point[key]["p50"]) for point in curve["points"]]
        for name, key in (("engine", "engine_ms"), ("cpu", "cpu_ms"))
    }
    title = f"{curve['precision']}, {curve['mask']} masks up to {percent(curve['points'][-1]['density'])}"
    chart = LineChart(f"{title}: engines and CPU", series, curve["crossover_density"]).render()
    below = f'<p class="quiet">{escape(describe_engine_crossover(curve))}</p>'
    return f'<section class="card"><h3>{escape(title)}</h3>{chart}{below}</section>'
