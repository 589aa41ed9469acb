"""Tables and sentences of `spair profile`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from ..shared.output import make_table, number

TOP_LAYERS, TOP_OPERATORS = 10, 5
"""Largest number of layers and of operators in a table."""

MEMORY = (
    "largest resident memory of a process of its own that opens the bundle and restores the picture once, "
    "interpreter and libraries included"
)

Row = Mapping[str, Any]
"""Entry of the report."""


def show_profile(report: dict[str, Any], console: Console) -> None:
    """Print the tables of a report; `spair profile --json` has its keys."""
    for stages in report["stages"]:
        heading(console, describe_setting(stages, report))
        console.print(_rows_table([row for row in report["rows"] if same_setting(row, stages)]))
        console.print()
        console.print(_stage_table(stages))
        say(console, describe_picture(stages, report))
    for layers in report["layers"]:
        heading(console, describe_layers(layers, report))
        console.print(_operator_table(layers))
        console.print()
        console.print(_layer_table(layers))


def show_conclusions(report: dict[str, Any], console: Console) -> None:
    """Print cross-overs, gates, tuning and the machine."""
    console.print()
    for line in conclusions(report):
        say(console, line)


def heading(console: Console, text: str) -> None:
    """Print a line with space above."""
    console.print()
    console.print(text, style="bold", soft_wrap=True)


def same_setting(one: Row, other: Row) -> bool:
    """Tell whether two entries have equal precision, threads and size.

    Sizes are compared where both entries have one.
    """
    sizes = one.get("size"), other.get("size")
    return (one["precision"], one["threads"]) == (other["precision"], other["threads"]) and (
        None in sizes or sizes[0] == sizes[1]
    )


def describe_setting(entry: Row, report: Row) -> str:
    """Say the setting of an entry.

    An example is "fp32, all cores, 1920x1080".
    """
    words = [entry["precision"], describe_threads(entry["threads"])]
    if entry.get("backend") == "cpu":
        words.append("backend cpu")
    size = entry.get("size", report["check_size"])
    return ", ".join([*words, "x".join(map(str, size))])


def describe_threads(threads: int | None) -> str:
    """Say a number of threads.

    Examples are "all cores" and "1 thread".
    """
    return {None: "all cores", 1: "1 thread"}.get(threads, f"{threads} threads")


def describe_layers(layers: Row, report: Row) -> str:
    """Say the heading over the layers of a graph."""
    mask = f", {layers['mask']} mask of {percent(layers['density'])}" if "mask" in layers else ""
    calls = "once" if layers["calls"] == 1 else f"{layers['calls']} times"
    return f"{layers['graph']}: {layers['ms']:.1f} ms, run {calls} ({describe_setting(layers, report)}{mask})"


def describe_picture(stages: Row, report: Row) -> str:
    """Say how long the picture took, from file to file."""
    speed = f", {stages['speedup']:.2f} x the speed of dense" if stages["speedup"] else ""
    found = f"; {percent(stages['density'])} found distorted{speed}" if stages["adaptive_ms"] else ""
    peak = stages["peak_memory_mb"]
    memory = f"peak memory not measured: {stages['peak_memory_failure']}" if peak is None else f"{peak:,.0f} MB"
    return (
        f"{report['picture']} as {stages['file']['format']} file: {stages['total_ms']:.0f} ms from file to file, "
        f"{stages['pictures_per_second']:.2f} pictures/s, {stages['megapixels_per_second']:.2f} MP/s{found}; "
        f"restoring the first one after opening took {stages['first_ms']:.0f} ms; {memory}"
    )


def conclusions(report: Row) -> list[str]:
    """Say cross-over, gate, tuning, memory and machine, one sentence each."""
    from ...runtime.machine.report import machine_line

    lines = [_crossover(curve, report) for curve in report["curves"]]
    lines += [describe_check(check, report) for check in report["checks"]]
    lines += [describe_tuning(tuning) for tuning in report["tuning"]]
    lines.append(f"MB: {MEMORY}; ms: medians, p90 and p99 interpolated between the runs")
    if any(row["mask"] for row in report["rows"]):
        lines.append("dense: the whole graph, every pixel; tiles: skipped / packed / dense")
    lines.append(f"{machine_line(report['machine'])}, onnxruntime {report['versions']['onnxruntime']}")
    return lines + ([f"page {report['html']}"] if report.get("html") else [])


def describe_check(check: Row, report: Row) -> str:
    """Say what was compared and what was not."""
    masks = "1 mask" if check["cases"] == 1 else f"{check['cases']} masks"
    modes = "adaptive and packed" if check["packed"] else "adaptive"
    pieces = "in one piece" if check["pieces"] < 2 else f"in up to {check['pieces']} pieces"
    clean = "clean pixels identical" if check["gated"] else "clean pixels not checked, as this network may change them"
    return (
        f"gate passed ({describe_setting(check, report)}): {masks}, {modes} within {check['max_abs']:.1e} of dense "
        f"(allowed {check['tolerance']:.1e}), {pieces}, {clean}"
    )


def describe_tuning(tuning: Row) -> str:
    """Say this machine's tuning and where it is stored."""
    where = f"stored in {tuning['stored']}" if tuning["stored"] else "neither stored nor used (--no-store)"
    if tuning["backend"] == "cpu":
        cost = (tuning["packed_ns"] + tuning["window_ns"]) / 1000
        return (
            f"costs of the backend cpu ({tuning['precision']}, {describe_threads(tuning['threads'])}): {cost:.1f} "
            f"microseconds for a distorted pixel; {where}"
        )
    return (
        f"tuning of this machine ({tuning['precision']}, {describe_threads(tuning['threads'])}): packed pays up to "
        f"{percent(tuning['crossover'])} of a piece's work; {where}"
    )


def describe_crossover(curve: Row) -> str:
    """Say at which density packed and dense cost the same."""
    if curve["crossover_density"] is not None:
        return f"packed is faster than dense below {percent(curve['crossover_density'])}"
    points = [point for point in curve["points"] if point["packed_ms"]]
    if not points:
        return "no packed graph"
    last = points[-1]
    faster = "packed" if last["packed_ms"]["p50"] < last["dense_ms"]["p50"] else "dense"
    return f"no cross-over: {faster} is faster up to {percent(last['density'])}"


def percent(share: float) -> str:
    """Format a share as "12.3 %", without needless digits."""
    return f"{round(100 * share, 1):g} %"


def describe_tiles(tiles: Mapping[str, int]) -> str:
    """Format numbers of tiles as "skipped/packed/dense"."""
    return "/".join(str(tiles[kind]) for kind in ("skipped", "packed", "dense"))


def _crossover(curve: Row, report: Row) -> str:
    return f"{curve['mask']} masks ({describe_setting(curve, report)}): {describe_crossover(curve)}"


def _rows_table(rows: Sequence[Row]) -> Table:
    table = make_table(("mask",), ("distorted", "dense ms", "adaptive ms", "p90", "p99", "speed-up", "runs", "tiles"))
    for row in rows:
        adaptive = row["adaptive_ms"] or dict.fromkeys(("p50", "p90", "p99"))
        table.add_row(
            row["mask"] or "none", percent(row["density"]), number(row["dense_ms"]["p50"], 0),
            *(number(adaptive[key], 0) for key in ("p50", "p90", "p99")), number(row["speedup"], 2, " x"),
            f"{row['dense_runs']}+{row['adaptive_runs']}", describe_tiles(row["tiles"]),
        )  # fmt: skip
    return table


def _stage_table(stages: Row) -> Table:
    table = make_table(("stage",), ("p50 ms", "p90 ms", "p99 ms", "share"))
    for name, times in stages["stages"].items():
        share = 100 * times["p50"] / stages["total_ms"]
        table.add_row(name, *(number(times[key], 1) for key in ("p50", "p90", "p99")), number(share, 1, " %"))
    return table


def _operator_table(layers: Row) -> Table:
    table = make_table(("operator",), ("nodes", "ms", "share"))
    for row in layers["operators"][:TOP_OPERATORS]:
        share = number(100 * row["share"], 1, " %")
        table.add_row(row["operator"], str(row["count"]), number(row["ms"]), share)
    return table


def _layer_table(layers: Row) -> Table:
    table = make_table(("layer", "what"), ("ms", "share"))
    for row in layers["layers"][:TOP_LAYERS]:
        share = number(100 * row["share"], 1, " %")
        table.add_row(row["name"], row["what"], number(row["ms"]), share)
    return table


def say(console: Console, line: str) -> None:
    """Print a sentence without markup."""
    console.print(line, soft_wrap=True)
