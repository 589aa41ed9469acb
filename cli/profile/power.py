"""Watts and joules of `spair profile`, as tables, sentences and plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from rich.console import Console

from ..pages.charts import LineChart
from ..pages.parts import render_items, render_table
from ..shared.output import make_table, number
from .tables import Row, describe_threads, heading, percent, say

COLUMNS = ("distorted", "joules", "watts", "pictures", "seconds", "rails: watts")
EXPLANATION = (
    "joules: for one picture, of everything that the meter sees, idle parts included; where an engine takes a given "
    "mask, a picture is a piece of --check-size"
)


def show_power(power: Row | None, console: Console) -> None:
    """Print joules and watts, or why nobody knows them."""
    if power is None:
        return
    for title, rows in group_rows(power["rows"]):
        heading(console, f"energy, {title}")
        table = make_table(("mask",), COLUMNS)
        for row in rows:
            table.add_row(*list_cells(row))
        console.print(table)
    console.print()
    for line in describe_power(power):
        say(console, line)


def render_power(power: Row | None) -> Iterator[str]:
    """Render the section of the page, with joules by density.

    Every text in it is escaped.
    """
    if power is None:
        return
    yield "<h2>Power</h2>"
    yield f"<ul>{render_items(describe_power(power))}</ul>"
    for title, rows in group_rows(power["rows"]):
        yield f'<h3 class="over">{escape(title)}</h3>'
        charts = [_plot(shape, rows) for shape in dict.fromkeys(row["mask"] for row in rows if row["mask"])]
        yield f'<div class="plots">{"".join(charts)}</div>'
        yield render_table(("mask", *COLUMNS), map(list_cells, rows), "numbers")


def group_rows(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Group rows by meter, setting and size."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        size = "x".join(map(str, row["size"]))
        words = [row["meter"], row["precision"], describe_threads(row["threads"]), row["backend"], size]
        groups.setdefault(", ".join(words), []).append(row)
    return list(groups.items())


def list_cells(row: Row) -> list[str]:
    """List the cells of a row, its mask first."""
    rails = ", ".join(f"{name} {value:.2f}" for name, value in row["rails_watts"].items())
    return [
        row["mask"] or "found",
        percent(row["density"]),
        number(row["joules_per_picture"], 3),
        number(row["watts"], 2),
        str(row["pictures"]),
        number(row["seconds"], 1),
        rails,
    ]


def describe_power(power: Row) -> list[str]:
    """Say what was measured, and what is not known."""
    lines = [f"{meter['name']} measures {meter['scope']}" for meter in power["meters"]]
    if not power["meters"]:
        lines.append("power unknown: this machine has no meter that can be read here")
    lines += [
        f"{meter['name']}: no rail measures the whole, so joules are by rail in the JSON and in the plots"
        for meter in power["meters"]
        if not meter["whole"]
    ]
    lines += [f"not measured: {sentence}" for sentence in power["unknown"]]
    for idle in power["idle"]:
        rails = ", ".join(f"{name} {value:.2f} W" for name, value in idle["rails_watts"].items())
        lines.append(f"{idle['meter']}, idle: {rails}")
    for moment in ("before", "after"):
        lines += _describe_state(moment, power[moment] or {})
    return lines + ([EXPLANATION] if power["rows"] else [])


def _describe_state(moment: str, state: Mapping[str, Any]) -> Iterator[str]:
    """Say temperatures, clocks and throttling of board and card."""
    board, card = state.get("board"), state.get("card")
    if board:
        mode, clocks = board["power_mode"], board["clocks"]
        name = "unknown" if mode["number"] is None else f"{mode['name'] or 'without a name'} (mode {mode['number']})"
        mhz = [f"{part} {clock['mhz']:.0f} MHz" for part, clock in clocks.items() if clock and clock["mhz"] is not None]
        heat = [f"{zone} {value:.0f} °C" for zone, value in board["temperatures"].items()]
        events = [
            f"{counter} {count} times since the start" for counter, count in board["overcurrents"].items() if count
        ]
        words = [f"power mode {name}", *mhz, *heat, *events, *(f"slowed by {alert}" for alert in board["throttled"])]
        yield f"board {moment}: {', '.join(words)}"
    if card:
        words = [
            f"{key.removesuffix('_c').removesuffix('_mhz')} {card[key]:.0f} {'°C' if key.endswith('_c') else 'MHz'}"
            for key in ("temperature_c", "graphics_mhz", "memory_mhz")
            if card[key] is not None
        ]
        slowed = "unknown" if card["throttled"] is None else ", ".join(card["throttled"]) or "nothing"
        yield f"card {moment}: {', '.join([*words, f'slowed by {slowed}'])}"


def _plot(shape: str, rows: Sequence[Row]) -> str:
    """Plot joules against density; rails where nothing measures the whole."""
    own = [row for row in rows if row["mask"] == shape]
    series: dict[str, list[tuple[float, float]]] = {}
    for row in own:
        whole = row["joules_per_picture"]
        for name, joules in row["rails_joules_per_picture"].items() if whole is None else [(row["meter"], whole)]:
            series.setdefault(name, []).append((row["density"], joules))
    chart = LineChart(f"{shape} masks: joules for a picture against density", series, unit="J").render()
    return f'<section class="card"><h3>{escape(shape.capitalize())} masks, joules for a picture</h3>{chart}</section>'
