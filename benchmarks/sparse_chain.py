"""Measure a chain of submanifold convolutions against its peers.

Run from the repository root: `python -m benchmarks.sparse_chain [--densities 0.03,0.1] [--json FILE] [--plot FILE]`.
The chain is four 3x3 convolutions with ReLU of 64 channels at 256x256 in float32, under made masks; input and output
are whole maps. It runs on the kernels of the backend cpu ("rows") and as a packed graph on ONNX Runtime ("packed").
The peers are dense runtimes, spconv and the floor of the arithmetic. For each mask all contenders are
compared with PyTorch in float64 first, then timed in turns.

The floor is the time of the multiply-adds of existing neighbour pairs at the speed of the best matrix product seen on
the same threads. Goals are printed with their verdict; the exit status is 1 only when a result is wrong. It takes ten
minutes on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common.arguments import parse_count, parse_names, parse_shares
from benchmarks.common.measuring import (
    Goal,
    Run,
    Times,
    describe_run,
    print_progress,
    require_equal,
    show_goals,
    show_run,
    show_table,
    take_turns,
    write_json,
)
from benchmarks.peers.graphs import DENSE_PEERS, MASKLESS, ROUNDED, Compute, Workload, open_onnxruntime
from benchmarks.peers.install import PeerAbsentError, find_package
from benchmarks.peers.spconv_chain import SpconvChain
from benchmarks.subjects.chain import (
    Chain,
    compute_reference,
    count_pairs,
    export_chain,
    floor_ms,
    make_input,
    measure_peak,
)
from benchmarks.subjects.row_chain import RowChain
from spair.runtime.errors import GateError, UserError
from spair.runtime.profiling.masks import SHAPES, make_mask

PEERS = (*(name for name in DENSE_PEERS if name not in ROUNDED), "spconv")
SINGLE = "-1-thread"
"""End of the names of our chains on one thread, with which spconv is compared too, because it computes wrong results on
more."""
JUDGED_MASKS = ("streak", "blob")
"""Shapes of masks that have goals."""
SPCONV_DENSITIES = (0.02, 0.5)
"""Least and largest density at which our chain has to be faster than spconv."""


@dataclass(frozen=True)
class Contender:
    """Implementation that computes the chain."""

    prepare: Callable[[np.ndarray, np.ndarray], Callable[[], np.ndarray]]
    """Function from x and mask to the run that gets timed, which gives [1,C,H,W], or the rows [n,C] of distorted
    pixels."""
    masks: bool = True
    """Whether it heeds the mask; if not, it is compared where all pixels are distorted."""


def from_compute(compute: Compute, masks: bool = True) -> Contender:
    """Make a contender of a function that gives "y".

    The function takes "x" and "mask" as far as it knows them.
    """
    return Contender(lambda x, mask: lambda: compute({"x": x, "mask": mask})["y"], masks)


def gather_contenders(
    stack: contextlib.ExitStack, chain: Chain, files: tuple[Path, Path], arguments: argparse.Namespace
) -> tuple[dict[str, Contender], dict[str, str]]:
    """Open all contenders that can be had.

    Returns contenders by name, "dense", "packed" and "rows" first, and the reasons why others are absent.
    """
    example = dict(zip(("x", "mask"), _ones(arguments), strict=True))
    dense, packed = (Workload(file, chain, ("y",), example, arguments.threads) for file in files)
    contenders = {
        "dense": from_compute(stack.enter_context(open_onnxruntime(dense))),
        "packed": from_compute(stack.enter_context(open_onnxruntime(packed))),
    }
    absent = {}
    try:
        contenders["rows"] = _open_rows(chain, stack, arguments.threads)
    except (UserError, ValueError) as error:
        absent["rows"] = str(error)
    for name in arguments.peers:
        print_progress(f"opening {name}")
        try:
            if name == "spconv":
                contenders |= _open_spconv(chain, stack, packed)
            else:
                compute = stack.enter_context(DENSE_PEERS[name](dense))
                contenders[name] = from_compute(compute, name not in MASKLESS)
        except PeerAbsentError as error:
            absent[name] = str(error)
    return contenders, absent


def _open_spconv(chain: Chain, stack: contextlib.ExitStack, packed: Workload) -> dict[str, Contender]:
    """Open spconv's chains, and our own on one thread.

    spconv can use one thread only.
    """
    ours = {}
    with contextlib.suppress(UserError, ValueError):  # their absence is reported already
        ours[f"rows{SINGLE}"] = _open_rows(chain, stack, 1)
    shared = SpconvChain(list(chain.layers))
    alone = SpconvChain(list(chain.layers), shared=False)
    single = open_onnxruntime(dataclasses.replace(packed, threads=1))
    return {
        f"packed{SINGLE}": from_compute(stack.enter_context(single)),
        **ours,
        "spconv": Contender(shared.on_picture),
        "spconv-unshared": Contender(alone.on_picture),
        "spconv-rows": Contender(shared.on_rows),
    }


def _open_rows(chain: Chain, stack: contextlib.ExitStack, threads: int) -> Contender:
    """Open the chain on the kernels of the backend cpu."""
    rows = stack.enter_context(contextlib.closing(RowChain(list(chain.layers), threads)))
    return Contender(rows.on_picture)


def _ones(arguments: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    return make_input(arguments.channels, arguments.side, np.ones((arguments.side, arguments.side), bool))


def check_contender(name: str, got: np.ndarray, expected: np.ndarray, mask: np.ndarray) -> float:
    """Check a contender's map or rows.

    A map is [1,C,H,W], rows are [n,C]. Returns the largest error.

    Raises:
        GateError: the result is wrong anywhere.
    """
    distorted = mask[0, 0] > 0.5
    if got.ndim == 2:
        return require_equal(name, got, expected[0][:, distorted].T)
    return require_equal(name, got, expected, clean=~distorted)


def measure_mask(
    chain: Chain, contenders: Mapping[str, Contender], x: np.ndarray, mask: np.ndarray, repeat: int
) -> tuple[float, dict[str, Times]]:
    """Check and time all contenders under one mask.

    Returns the largest error of the contenders that heed the mask, and the times of all.
    """
    expected = compute_reference(chain, x, mask)
    runs: dict[str, Run] = {}
    worst = 0.0
    for name, contender in contenders.items():
        run = contender.prepare(x, mask)
        if contender.masks:
            worst = max(worst, check_contender(name, run(), expected, mask))
        runs[name] = run
    return worst, take_turns(runs, repeat, warm_each=True)


def judge(rows: Sequence[Mapping[str, Any]]) -> list[Goal]:
    """Judge the goals of the chain.

    Every mask with goals that was measured is judged.
    """
    targets = []
    for shape in JUDGED_MASKS:
        found = {row["density"]: row for row in rows if row["mask"] == shape}
        if not found:
            continue
        first, last = SPCONV_DENSITIES
        against = [row["over_spconv"] for density, row in found.items() if first <= density <= last]
        known = [value for value in against if value is not None]
        targets += [
            Goal(f"{shape}, 3 %: speed-up over dense", 15.0, found.get(0.03, {}).get("speedup")),
            Goal(f"{shape}, 10 %: speed-up over dense", 6.0, found.get(0.1, {}).get("speedup")),
            Goal(f"{shape}, 2 to 50 %: least speed-up over spconv", 1.0, min(known, default=None)),
            Goal(f"{shape}, 10 %: times the floor", 2.0, found.get(0.1, {}).get("over_floor"), at_most=True),
        ]
    return targets


def make_row(shape: str, density: float, pairs: int, floor: float, error: float, times: Mapping[str, Times]) -> dict:
    """Format one mask's result as JSON values.

    Speed-ups and ratios are of medians, and of the kernels where they are available, as in the product.
    """
    name = "rows" if "rows" in times else "packed"
    ours, single, spconv = times[name].median, times.get(f"{name}{SINGLE}"), times.get("spconv")
    return {
        "mask": shape,
        "density": density,
        "pairs": pairs,
        "floor_ms": floor,
        "max_error": error,
        "ms": {name: vars(value) for name, value in times.items()},
        "speedup": times["dense"].median / ours,
        "over_floor": ours / floor if floor else None,
        "over_spconv": spconv.median / ours if spconv else None,
        "over_spconv_1_thread": spconv.median / single.median if spconv and single else None,
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything and return the report.

    Raises:
        GateError: a contender is wrong.
    """
    run = describe_run(arguments.threads)  # first of all, or the load would be our own
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    chain = Chain(arguments.channels, arguments.layers).eval().requires_grad_(False)
    measured = []
    with tempfile.TemporaryDirectory(prefix="spair-chain-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        contenders, absent = gather_contenders(stack, chain, export_chain(chain, arguments.channels, folder), arguments)
        x, mask = _ones(arguments)
        expected = compute_reference(chain, x, mask)
        for name, contender in contenders.items():
            check_contender(name, contender.prepare(x, mask)(), expected, mask)
        peak = measure_peak(arguments.threads, folder)
        for shape in arguments.masks:
            for density in arguments.densities:
                print_progress(f"{shape} {density:g}")
                distorted = make_mask(shape, arguments.side, arguments.side, density, seed=1)
                x, mask = make_input(arguments.channels, arguments.side, distorted)
                result = measure_mask(chain, contenders, x, mask, arguments.repeat)
                measured.append((shape, density, count_pairs(distorted), *result))
        peak = max(peak, measure_peak(arguments.threads, folder))  # a busy moment must not raise the floor
    rows = [
        make_row(shape, density, pairs, floor_ms(pairs, arguments.channels, arguments.layers, peak), error, times)
        for shape, density, pairs, error, times in measured
    ]
    versions = {peer: find_package(peer).version for peer in ("openvino", "spconv") if peer in contenders}
    return {
        "benchmark": "sparse_chain",
        **run,
        "versions": {**run["versions"], **versions},
        **{key: getattr(arguments, key) for key in ("channels", "side", "layers", "repeat")},
        "absent": absent,
        "peak_gflops": peak,
        "rows": rows,
        "targets": [target.to_json() for target in judge(rows)],
    }


def show(report: Mapping[str, Any]) -> None:
    """Print a report."""
    show_run(report, report["absent"])
    print(
        f"{report['layers']} layers of {report['channels']} channels, {report['side']}x{report['side']}, medians of "
        f"{report['repeat']} turns in ms; floor at {report['peak_gflops']:.0f} GFLOP/s"
    )
    names = list(report["rows"][0]["ms"])
    head = ["mask", "density", *names, "floor", "x dense", "x floor", "x spconv", "of 1 thread", "error"]
    table = []
    for row in report["rows"]:
        ratios = [row[key] for key in ("speedup", "over_floor", "over_spconv", "over_spconv_1_thread")]
        cells = [row["ms"][name]["median"] for name in names] + [row["floor_ms"]]
        table.append(
            [row["mask"], f"{row['density']:.1%}", *(f"{value:.1f}" for value in cells)]
            + ["-" if value is None else f"{value:.2f}" for value in ratios]
            + [f"{row['max_error']:.0e}"]
        )
    show_table(head, table)
    show_goals(judge(report["rows"]))


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=parse_count, default=64)
    parser.add_argument("--side", type=parse_count, default=256, help="height and width in pixels")
    parser.add_argument("--layers", type=parse_count, default=4)
    parser.add_argument("--densities", type=parse_shares, default="0.02,0.03,0.05,0.1,0.2,0.35,0.5,1.0")
    parser.add_argument("--masks", type=parse_names(tuple(SHAPES)), default="streak,blob,uniform")
    parser.add_argument("--peers", type=parse_names(PEERS), default=",".join(PEERS), help="besides dense and packed")
    parser.add_argument("--threads", type=parse_count, default=2)
    parser.add_argument("--repeat", type=parse_count, default=7, help="turns; medians are reported")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a PNG")
    return parser.parse_args(words)


def main() -> int:
    """Print the report.

    The exit status is 1 when a contender is wrong.
    """
    arguments = parse_arguments()
    try:
        report = measure(arguments)
    except (GateError, UserError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1 if isinstance(error, GateError) else 2
    show(report)
    if arguments.json:
        write_json(arguments.json, report)
    if arguments.plot:
        from benchmarks.common.plotting import try_plot_chain

        try_plot_chain(report, arguments.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
