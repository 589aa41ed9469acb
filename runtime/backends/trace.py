"""Reader of the profiles that ONNX Runtime writes.

It names each layer so that a person can find it in the network.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Shape = tuple[int, ...]

_INLINED = re.compile(r"_inlfunc_([A-Za-z0-9]+)_token_(\d+)_(.*)")
_PRODUCTS = ("Gemm", "FusedGemm", "MatMul", "FusedMatMul")
_LAYOUT = {"ReorderInput": "to blocked channels", "ReorderOutput": "from blocked channels"}


@dataclass(frozen=True)
class LayerTime:
    """Time of one node of a graph.

    ONNX Runtime may have fused several nodes of the file into it.
    """

    name: str
    """Readable name, such as "SparseConv2d 19", "conv2d_3" or "packed_268_60"."""
    operator: str
    """ONNX Runtime's operator type."""
    what: str
    """Description of the operation and its sizes; where sizes vary, those of the longest call."""
    ms: float
    """Milliseconds of all calls for one picture, without the nodes in the body of the node, which are layers too."""
    share: float
    """Share of the graph's time, 0..1."""


@dataclass(frozen=True)
class Trace:
    """Times of a graph for one picture."""

    total_ms: float
    """Milliseconds inside ONNX Runtime, including those between the nodes."""
    calls: int
    """Number of runs of the graph for one picture, one for each piece."""
    layers: tuple[LayerTime, ...]
    """Layers, the longest first."""


def read_trace(path: Path, *, warm_up: int, pictures: int) -> Trace:
    """Read the profile of a session.

    The session must have restored the same picture several times.

    Args:
        path: the JSON file.
        warm_up: number of pictures at the start that do not count.
        pictures: number of pictures after them; times are divided by it.

    Raises:
        ValueError: the number of runs is 0, or not a multiple of the number of pictures.
    """
    events = json.loads(path.read_text(encoding="utf-8"))
    runs = sorted((e for e in events if e["name"] == "model_run"), key=lambda event: event["ts"])
    calls_each, rest = divmod(len(runs), warm_up + pictures)
    if rest or not runs:
        raise ValueError(f"{path} has {len(runs)} runs, expected as many for each of {warm_up + pictures} pictures")
    runs = runs[calls_each * warm_up :]
    total = sum(run["dur"] for run in runs)
    calls = defaultdict(list)
    for event in _without_inner(
        [e for e in events if e["cat"] == "Node" and e["name"].endswith("_kernel_time") and e["ts"] >= runs[0]["ts"]]
    ):
        # Nodes may lack a name or share one, and their numbers begin anew in the body of a loop.
        key = event["name"].removesuffix("_kernel_time"), event["args"].get("node_index"), event["args"]["op_name"]
        calls[key].append(event)
    layers = [_layer(name, group, total, pictures) for (name, *_), group in calls.items()]
    ordered = sorted(layers, key=lambda layer: -layer.ms)
    return Trace(_milliseconds(total, pictures), calls_each, tuple(ordered))


def sum_by_operator(layers: Sequence[LayerTime]) -> list[dict[str, Any]]:
    """Sum the times of layers by their operator.

    Returns:
        [{"operator", "count", "ms", "share"}], the longest first.
    """
    count = Counter(layer.operator for layer in layers)
    rows = [
        {
            "operator": operator,
            "count": count[operator],
            "ms": round(sum(layer.ms for layer in layers if layer.operator == operator), 3),
            "share": round(sum(layer.share for layer in layers if layer.operator == operator), 4),
        }
        for operator in count
    ]
    return sorted(rows, key=lambda row: -row["ms"])


def name_layer(node: str) -> str:
    """Shorten the name of a node.

    Prefixes and suffixes of the exporter and the optimizer are cut off.

    >>> name_layer("_inlfunc_SparseConv2d_token_19_SparseConv2d_tmp_1_nchwc")
    'SparseConv2d 19'
    >>> name_layer("node_conv2d_3_nchwc"), name_layer("fused packed_99_20")
    ('conv2d_3', 'packed_99_20')
    """
    inlined = _INLINED.fullmatch(node)
    if inlined:
        return f"{inlined[1]} {inlined[2]}"
    return node.removesuffix("_nchwc").removeprefix("fused ").removeprefix("node_").strip("/") or node


def describe_layer(operator: str, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> str:
    """Describe the operation of a node and its sizes.

    >>> describe_layer("Conv", [(1, 16, 90, 160), (24, 16, 3, 3), (24,)], [(1, 24, 90, 160)])
    'convolution 3x3, 16 to 24 channels, 160x90'
    >>> describe_layer("FusedGemm", [(611, 576), (64,)], [(611, 64)])
    'matrix product, 611 rows, 576 to 64'
    >>> describe_layer("Concat", [(611, 64), (611, 64)], [(611, 128)])
    '611x64, 611x64 to 611x128'
    """
    target = outputs[0] if outputs else ()
    if operator.endswith("Conv") and len(inputs) > 1 and len(inputs[1]) == 4 and len(target) == 4:
        out, into, *kernel = inputs[1]
        return f"convolution {_sides(kernel)}, {into} to {out} channels, {target[3]}x{target[2]}"
    if operator in _PRODUCTS and inputs and len(inputs[0]) > 1 and len(target) > 1:
        if len(inputs[0]) == 2:
            return f"matrix product, {target[0]:,} rows, {inputs[0][1]} to {target[1]}"
        return f"matrix product, {_sides(inputs[0])} to {_sides(target)}"
    if operator in _LAYOUT:
        return f"{_LAYOUT[operator]}, {_sides(target)}"
    sources = ", ".join(_sides(shape) for shape in inputs if shape) or "a number"
    return f"{sources} to {_sides(target)}"


def _without_inner(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Subtract from each event the time of events inside it.

    The event of a Scan or If covers the nodes of its body too.
    """
    # An event is written when it is over, so of two events with the same times the later one is the outer one.
    order = sorted(range(len(events)), key=lambda index: (events[index]["ts"], -events[index]["dur"], -index))
    own = [dict(event) for event in events]
    open_ones: dict[Any, list[int]] = defaultdict(list)
    for index in order:
        event = events[index]
        around = open_ones[event.get("pid"), event.get("tid")]
        while around and not _is_inside(event, events[around[-1]]):
            around.pop()
        if around:
            own[around[-1]]["dur"] = max(own[around[-1]]["dur"] - event["dur"], 0)
        around.append(index)
    return own


def _is_inside(event: dict[str, Any], outer: dict[str, Any]) -> bool:
    """Tell whether an event lies inside an earlier one."""
    end = outer["ts"] + outer["dur"]
    # Start and duration are cut to microseconds, so an inner event may seem to end up to two microseconds later.
    return bool(event["ts"] < end and event["ts"] + event["dur"] <= end + 2)


def _layer(name: str, events: Sequence[dict[str, Any]], total: float, pictures: int) -> LayerTime:
    spent = sum(event["dur"] for event in events)
    longest = max(events, key=lambda event: event["dur"])["args"]
    what = describe_layer(longest["op_name"], _shapes(longest, "input"), _shapes(longest, "output"))
    share = spent / total if total else 0.0
    return LayerTime(
        name_layer(name) or longest["op_name"],
        longest["op_name"],
        what,
        _milliseconds(spent, pictures),
        round(share, 4),
    )


def _milliseconds(microseconds: float, pictures: int) -> float:
    return round(microseconds / pictures / 1000, 3)


def _shapes(arguments: dict[str, Any], side: str) -> list[Shape]:
    """Read the shapes of a node; entries are `{"float": [1, 3, 8, 8]}`."""
    return [tuple(next(iter(entry.values()))) for entry in arguments.get(f"{side}_type_shape", [])]


def _sides(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "1"
