"""Tables and sentences of `spair profile --backend tensorrt`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from ..shared.output import make_table, number
from .tables import TOP_LAYERS, Row, heading, percent, say

STATISTICS = ("min", "median", "mean", "p90", "p95", "p99", "max")
"""Columns of times, by their keys in the report."""
STEPS = {
    "h2d_ms": "copies to the GPU (H2D)",
    "compute_ms": "inference (compute)",
    "d2h_ms": "copies back (D2H)",
    "latency_ms": "latency, their sum",
    "enqueue_ms": "host, enqueue",
}
"""Rows of plain runs, by their keys in the report."""
REPLAYS = {"latency_ms": "graph: latency", "enqueue_ms": "graph: host, launch"}
"""Rows of replayed CUDA graphs."""
PICTURES = (
    "the engine finds its own mask, so no density can be given to it: the pictures are made of the most and the least "
    'distorted patch of the picture, and "distorted" is what the engine found in them'
)
CURVES = (
    "inference and latency: the engine of Net_R alone, on all pixels in one piece with the given mask; engines, CPU: "
    "whole restorations with this mask, from array to array, Net_L included, on pieces that leave out what is clean; "
    "the CPU computes every pixel of a piece"
)
SERIAL = (
    "one picture at a time: the GPU has nothing to do before it, so the inference includes waiting where the host "
    "queues slower than the GPU computes; the graph does not"
)


def show_engine_profile(report: Row, console: Console) -> None:
    """Print the part of a report on engines."""
    engine = report["engine"]
    for latency in engine["latency"]:
        own = find_engine(latency, engine)
        heading(console, describe_latency(latency))
        console.print(_step_table(latency))
        for line in describe_runs(latency, own):
            say(console, line)
    for key, title, table, words in (
        ("pictures", "whole engine, by the density of the mask that it finds", _picture_table, PICTURES),
        ("curves", "engine of Net_R, by the density of a given mask", _curve_table, CURVES),
    ):
        if engine[key]:
            heading(console, f"{title}; medians in ms")
            console.print(table(engine[key]))
            say(console, words)
    for layers in engine["layers"]:
        heading(console, describe_engine_layers(layers))
        console.print(_layer_table(layers))
    console.print()
    for line in conclude_engines(report):
        say(console, line)


def find_engine(entry: Row, engine: Row) -> Row:
    """Return the engine that an entry is about."""
    return next(one for one in engine["engines"] if all(one[key] == entry[key] for key in ("precision", "threads")))


def describe_latency(latency: Row) -> str:
    """Say the heading over the times of an engine."""
    size = "x".join(map(str, latency["size"]))
    return f"{latency['precision']} engine, {size}, {percent(latency['density'])} found distorted; ms"


def list_step_rows(latency: Row) -> Iterator[list[str]]:
    """Yield the rows of times.

    A row is a name, and a cell for each of `STATISTICS`.
    """
    for key, name in STEPS.items():
        yield [name, *(describe_ms(latency["plain"][key][one]) for one in STATISTICS)]
    if latency["graph"]["refused"] is None:
        for key, name in REPLAYS.items():
            yield [name, *(describe_ms(latency["graph"][key][one]) for one in STATISTICS)]


def describe_ms(value: float) -> str:
    """Format milliseconds with at least three digits that tell."""
    return number(value, 3 if value < 10 else 2 if value < 100 else 1)


def describe_runs(latency: Row, engine: Row) -> list[str]:
    """Say throughput, mode and warnings of an engine's times."""
    plain, graph, together = latency["plain"], latency["graph"], latency["together"]
    replayed = graph["refused"] is None
    rates = [f"{number(plain['per_second'], 1)} plain"]
    rates += [f"{number(graph['per_second'], 1)} as CUDA graph"] if replayed else []
    transfers = "included" if engine["transfers"] else "none (GPU and host share their memory)"
    words = "a CUDA graph in its own rows only" if replayed else f"no CUDA graph ({graph['refused']})"
    return [
        f"pictures/s: one at a time {', '.join(rates)}; {together['slots']} slots together, from array to array: "
        f"{number(together['per_second'], 1)}",
        f"mode: {words}; transfers {transfers}; {engine['wait']} wait; 1 slot on 1 stream; "
        f"{engine['package']} {engine['tensorrt']}; {engine['gpu']}; {plain['runs']} runs in {plain['seconds']:.1f} s "
        f"after {plain['warm_up_runs']}",
        *(f"warning: {warning}" for warning in plain["warnings"]),
    ]


def describe_engine_layers(layers: Row) -> str:
    """Say the heading over the layers of an engine."""
    return (
        f"layers of the {layers['precision']} engine: {layers['ms']:.2f} ms in all, in {layers['runs']} runs of their "
        "own without a CUDA graph"
    )


def conclude_engines(report: Row) -> list[str]:
    """Say cross-overs, clocks, gate, files and machine, one sentence each."""
    from ...runtime.machine.report import machine_line

    engine = report["engine"]
    lines = [SERIAL, *(describe_engine_crossover(curve) for curve in engine["curves"])]
    for one in engine["engines"]:
        name = f"{one['precision']} engine"
        if one["curves_missing"]:
            lines.append(f"{name}: nothing by given masks: {one['curves_missing']}")
        lines.append(f"{name}: clocks {describe_clocks(one['clocks'])}")
    if any(not layers["detailed"] for layers in engine["layers"]):
        lines.append("the engine was not built with ProfilingVerbosity.DETAILED, so only names of layers are known")
    differing = max(latency["differing_from_cpu"] for latency in engine["latency"])
    given = " and under each given one" if engine["curves"] else ""
    lines.append(
        "gate passed: engine and CPU restore the same picture, under the engine's own mask "
        f"({percent(differing)} of the samples differ by more than an 8-bit step){given}"
    )
    lines.append("percentiles are times that were measured, without interpolation, as trtexec takes them")
    lines += [f"file {file}" for file in report["files"].values() if file]
    lines.append(machine_line(report["machine"]))
    return lines + ([f"page {report['html']}"] if report.get("html") else [])


def describe_engine_crossover(curve: Row) -> str:
    """Say where engines and CPU are equally fast."""
    name = f"{curve['precision']} engines, {curve['mask']} masks"
    if curve["crossover_density"] is not None:
        return f"{name}: slower than the CPU above {percent(curve['crossover_density'])}"
    last = curve["points"][-1]
    ratio = last["cpu_ms"]["p50"] / last["engine_ms"]["p50"]
    return f"{name}: no cross-over; {ratio:.1f} x the speed of the CPU at {percent(last['density'])}"


def describe_clocks(clocks: Row) -> str:
    """Say the clocks before and after a measurement."""
    before, after = clocks["before"], clocks["after"]
    if before["source"] is None:
        return "not known (neither nvidia-smi nor the driver tells them)"
    if before["source"] == "driver":
        most = f"{number(before['most_graphics_mhz'], 0)} MHz, memory {number(before['most_memory_mhz'], 0)} MHz"
        return f"not known; at most {most}, by the driver"
    moments = (
        f"{number(one['graphics_mhz'], 0)} MHz, memory {number(one['memory_mhz'], 0)} MHz, "
        f"{number(one['temperature_c'], 0)} °C"
        for one in (before, after)
    )
    most = f"{number(before['most_graphics_mhz'], 0)} and {number(before['most_memory_mhz'], 0)} MHz"
    return f"before {' / after '.join(moments)}; at most {most}"


def picture_cells(row: Row) -> list[str]:
    """Return the cells of a row on a picture."""
    asked = "the picture" if row["asked"] is None else percent(row["asked"])
    size = "x".join(map(str, row["size"]))
    times = (row["compute_ms"][key] for key in ("median", "p90", "p99"))
    return [row["precision"], size, percent(row["density"]), asked, *map(describe_ms, times),
            describe_ms(row["latency_ms"]["median"])]  # fmt: skip


def curve_cells(curve: Row, point: Row) -> list[str]:
    """Return the cells of a row on a given mask."""
    alone = [
        number(None) if point[key] is None else describe_ms(point[key]["median"])
        for key in ("compute_ms", "latency_ms")
    ]
    whole = (describe_ms(point[key]["p50"]) for key in ("engine_ms", "cpu_ms"))
    return [curve["precision"], curve["mask"], percent(point["density"]), *alone, *whole, str(point["pieces"])]


def _step_table(latency: Row) -> Table:
    table = make_table(("",), STATISTICS)
    for cells in list_step_rows(latency):
        table.add_row(*cells)
    return table


def _picture_table(rows: Sequence[Row]) -> Table:
    table = make_table(("engine", "size"), ("distorted", "aimed at", "inference", "p90", "p99", "latency"))
    for row in rows:
        table.add_row(*picture_cells(row))
    return table


def _curve_table(curves: Sequence[Row]) -> Table:
    table = make_table(("engine", "mask"), ("distorted", "inference", "latency", "engines", "CPU", "pieces"))
    for curve in curves:
        for point in curve["points"]:
            table.add_row(*curve_cells(curve, point))
    return table


def _layer_table(layers: Row) -> Table:
    table = make_table(("layer", "type"), ("ms", "share"))
    for row in sorted(layers["layers"], key=lambda row: -row["ms"])[:TOP_LAYERS]:
        share = number(100 * row["share"], 1, " %")
        table.add_row(row["name"], row["type"] or "–", number(row["ms"], 3), share)
    return table
