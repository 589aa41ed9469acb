"""Compare graphs as written with their faster forms.

The runtime computes these forms on the CPU, see `spair.runtime.graphs`.

Run from the repository root: `python -m benchmarks.cpu.forms [--bundle NAME.spair --threads 1 --size 480x272]`. FP32
graphs must give equal values in both forms before they are timed. Packed INT8 graphs are made here with one scale for
all activations, on which their speed does not depend. At the end stands the cross-over of packed and dense, from which
`spair.runtime.tuning` predicts that of other machines. On one thread, processor time is measured, so that other work
on the machine disturbs little.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.common.arguments import parse_count, parse_shares, parse_size
from benchmarks.common.measuring import describe_run, print_progress, show_run, show_table, take_turns, write_json
from spair.calibration.conversion.convert import convert
from spair.calibration.conversion.plan import PrecisionPlan
from spair.calibration.variants import Variant
from spair.export.packed.packing import PackSparse
from spair.runtime.backends.onnxruntime import OnnxGraph
from spair.runtime.backends.products import has_exact_products
from spair.runtime.bundle.reader import Bundle
from spair.runtime.errors import GateError
from spair.runtime.profiling.costs import measure_tuning
from spair.runtime.profiling.masks import make_mask
from spair.runtime.profiling.timing import Clock
from spair.runtime.shipped import resolve_model
from spair.temporary.places import scratch_folder

PARTS = ("net_l", "net_r", "model")
"""FP32 graphs that have another form."""
SCALE = 0.02
"""Value of one step of the int8 activations, 0.02 of full scale."""
MOST = 1e-3
"""Largest mean difference of sums of integers and of floats, a quarter of an 8-bit step. A value on the border between
two steps may fall to either side; a wrong zero point gives 0.1 and more."""

Feeds = dict[str, np.ndarray]


def main() -> int:
    """Run the benchmark and return the exit status."""
    arguments = _parse()
    threads, (width, height) = arguments.threads, arguments.size
    clock = time.process_time if threads == 1 else time.perf_counter
    bundle = Bundle.open(arguments.bundle or resolve_model("rain"))
    report: dict[str, Any] = {"run": describe_run(threads), "size": [width, height], "rows": []}
    try:
        for part in PARTS:
            print_progress(part)
            report["rows"].append(compare_dense(bundle, part, (height, width), threads, arguments.repeat, clock))
        with _packed_int8(bundle) as file:
            for density in arguments.densities:
                print_progress(f"packed, {density:g}")
                rows = compare_packed(bundle, file, (height, width), density, threads, arguments.repeat, clock)
                report["rows"] += rows
    except GateError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    report["exact_products"] = has_exact_products()
    print_progress("cross-over")
    tuning = measure_tuning(bundle, "fp32", threads, backend="onnxruntime", repeats=arguments.repeat, clock=clock)
    report["crossover"] = tuning.crossover
    _show(report)
    if arguments.json:
        write_json(arguments.json, report)
    return 0


def compare_dense(
    bundle: Bundle, part: str, size: tuple[int, int], threads: int, repeat: int, clock: Clock
) -> dict[str, Any]:
    """Compare and time both forms of an FP32 graph.

    Raises:
        GateError: a value differs.
    """
    file = bundle.graph("fp32", part)
    with OnnxGraph(file, threads=threads, as_written=True) as written, OnnxGraph(file, threads=threads) as lean:
        feeds = make_feeds(file, make_mask("streak", *size, 0.2))
        expected, got = written.run(feeds), lean.run(feeds)
        for name, value in expected.items():
            if not np.array_equal(got[name], value):
                raise GateError(f"{name} of {part} differs between both forms; no times are reported")
        return _time(f"{part}, fp32", {"as written": written.run, "form": lean.run}, feeds, repeat, clock)


def compare_packed(
    bundle: Bundle, int8: Path, size: tuple[int, int], density: float, threads: int, repeat: int, clock: Clock
) -> list[dict[str, Any]]:
    """Compare and time both forms of the packed INT8 graph.

    The second row compares with the packed FP32 graph.

    Raises:
        GateError: they differ by more than `MOST`.
    """
    plain = bundle.graph("fp32", "net_r_packed")
    with contextlib.ExitStack() as stack:
        written = stack.enter_context(OnnxGraph(int8, threads=threads, as_written=True))
        form = stack.enter_context(OnnxGraph(int8, threads=threads))
        fp32 = stack.enter_context(OnnxGraph(plain, threads=threads))
        feeds = make_feeds(plain, make_mask("streak", *size, density))
        differing = float(np.abs(written.run(feeds)["restored"] - form.run(feeds)["restored"]).mean())
        if not differing <= MOST:  # NaN is never <=
            raise GateError(f"both forms differ by {differing:.1e} in the mean, allowed {MOST}; no times are reported")
        name = f"net_r_packed, streaks {density:.0%}"
        runs = {"as written": written.run, "form": form.run, "fp32": fp32.run}
        times = _time(f"{name}, int8", runs, feeds, repeat, clock)
        against = {**times, "name": f"{name}, int8 against fp32", "as_written_ms": times["fp32_ms"]}
        return [times, {**against, "ratio": times["fp32_ms"] / times["form_ms"]}]


def make_feeds(file: Path, mask: np.ndarray) -> Feeds:
    """Make random inputs of a graph.

    Args:
        file: the graph.
        mask: mask [H, W], which also gives the size of the picture.
    """
    random, (height, width) = np.random.default_rng(0), mask.shape
    sizes = {"height": height, "width": width, "batch": 1}
    feeds: Feeds = {}
    for value in onnx.load(file).graph.input:
        dims = [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim]
        shape = [dim if isinstance(dim, int) else _size(dim, sizes) for dim in dims]
        feeds[value.name] = random.random(shape, dtype=np.float32)
    if "mask" in feeds:
        feeds |= {"mask": mask[None, None].astype(np.float32), "key_mask": np.ones_like(feeds["key_mask"])}
    return feeds


def _size(name: str, sizes: Mapping[str, int]) -> int:
    side, _, divisor = name.partition("/")
    return sizes[side] // int(divisor or 1)


@contextlib.contextmanager
def _packed_int8(bundle: Bundle) -> Iterator[Path]:
    """Write the packed INT8 graph of a bundle."""
    network = Variant(bundle, threads=1)
    layers = {layer.name: "int8" for layer in network.layers}
    scales = {use.key: SCALE for layer in network.layers for use in layer.uses}
    model, _ = convert(copy.deepcopy(network.models["net_r"]), PrecisionPlan(layers, "fp32", scales), "net_r")
    PackSparse()(model)
    with scratch_folder("forms") as folder:
        onnx.save(model, folder / "net_r_packed.onnx")
        yield folder / "net_r_packed.onnx"


def _time(
    name: str, runs: Mapping[str, Callable[[Feeds], Any]], feeds: Feeds, repeat: int, clock: Clock
) -> dict[str, Any]:
    calls = {key: partial(run, feeds) for key, run in runs.items()}
    times = take_turns(calls, repeat, clock=clock)
    row = {f"{key.replace(' ', '_')}_ms": value.median for key, value in times.items()}
    return {"name": name, **row, "ratio": row["as_written_ms"] / row["form_ms"]}


def _show(report: Mapping[str, Any]) -> None:
    show_run(report["run"], {})
    rows: Sequence[Mapping[str, Any]] = report["rows"]
    cells = [
        [row["name"], f"{row['as_written_ms']:.1f}", f"{row['form_ms']:.1f}", f"{row['ratio']:.2f}"] for row in rows
    ]
    show_table(["graph", "as written ms", "form ms", "times as fast"], cells)
    print(f"products of integers are {'exact' if report['exact_products'] else 'not exact, and are not used'}")
    print(f"packed costs less than dense below {report['crossover']:.2f} of the work")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare graphs as written with the forms that the runtime computes.")
    parser.add_argument("--bundle", type=Path, help="bundle of two stages; by default that of the shipped weights")
    parser.add_argument("--size", type=parse_size, default=(480, 272), help="width and height, multiples of 8")
    parser.add_argument("--densities", type=parse_shares, default=(0.02, 0.1, 0.35), help="shares of distorted pixels")
    parser.add_argument("--threads", type=parse_count, default=1)
    parser.add_argument("--repeat", type=parse_count, default=7)
    parser.add_argument("--json", type=Path, help="file for the report")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
