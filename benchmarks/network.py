"""Measure whole pictures, adaptive against dense, by distortion.

Run from the repository root: `python -m benchmarks.network [--presets tiny] [--rain DIR] [--json FILE] [--plot FILE]`.
It times the `Restorer` on an 8-bit picture under made masks, from picture to picture, in turns with the bundle's dense
graph on ONNX Runtime between the same conversions, with ONNX Runtime's own restorer, and with dense peers (`--versus`).
The other dense peers run once a preset, in turns with that graph as well.
Every result is compared with PyTorch first; a peer that differs gets no times, and the others are reported.

`--rain` names a folder with light/input and heavy/input of real files; there Net_L finds the masks. Goals are printed
with their verdict; the exit status is 1 only when a result is wrong. It takes one hour on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.arguments import parse_count, parse_names, parse_shares, parse_size
from benchmarks.common.measuring import (
    Goal,
    Run,
    Times,
    describe_run,
    print_progress,
    show_goals,
    show_peers,
    show_run,
    show_table,
    take_turns,
    write_json,
)
from benchmarks.peers.graphs import DENSE_PEERS
from benchmarks.peers.install import PeerAbsentError, find_package
from benchmarks.subjects.network import OpenedNetwork, check_adaptive, check_dense, make_picture, open_network, run_with
from benchmarks.subjects.versus import check_peer, open_versus
from spair.network.presets import PRESETS
from spair.runtime import GateError, UserError, read_image
from spair.runtime.pixels import to_network
from spair.runtime.profiling.gates import check_baseline
from spair.runtime.profiling.masks import SHAPES, make_mask

SPEEDUPS = {0.02: 6.0, 0.1: 3.0, 1.0: 0.95}
"""Wanted speed-up by density of the mask."""
EMPTY_OVERHEAD = 1.10
"""Times of the localization network alone that a clean picture may take."""
OWN_RUNS = ("dense", "adaptive", "net_l")
"""Runs of every row; all others are contenders."""
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
"""Seconds that count. Those of the processor are less disturbed by other processes; they mean time on one thread."""
RAIN_SPEEDUPS = {"light": 2.5, "heavy": 0.95}
"""Wanted median speed-up over the real files of a set."""


def plan_masks(
    shapes: Sequence[str], densities: Sequence[float], height: int, width: int
) -> Iterator[tuple[str, float, np.ndarray]]:
    """Yield shape, density and mask.

    Without a distorted or without a clean pixel all shapes are one, "none" or "all".
    """
    for density in sorted(set(densities)):
        count = round(density * height * width)
        if count in (0, height * width):
            yield ("all" if count else "none"), density, make_mask("uniform", height, width, density)
            continue
        for shape in shapes:
            yield shape, density, make_mask(shape, height, width, density, seed=1)


def measure_masks(network: OpenedNetwork, image: np.ndarray, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure adaptive against all others, a row a mask.

    All take turns. Where the mask is empty, Net_L alone is measured as well, and where the restorer runs on our own
    kernels, so is ONNX Runtime's restorer.
    """
    with contextlib.ExitStack() as stack:
        versus = open_versus(network, image, arguments.versus, stack)
        yield from _measure_masks(network, image, arguments, versus)


def _measure_masks(
    network: OpenedNetwork, image: np.ndarray, arguments: argparse.Namespace, versus: Mapping[str, Run]
) -> Iterator[dict[str, Any]]:
    height, width = image.shape[:2]
    dense, tensor = run_with(network.dense), to_network(image, network.restorer.network.spec.multiple)
    check_dense(network, "dense", network.dense, image)
    for shape, density, mask in plan_masks(arguments.masks, arguments.densities, height, width):
        print_progress(f"{network.preset}: {shape} {density:g}")
        error = check_adaptive(network, image, mask)
        runs: dict[str, Run] = {
            "dense": partial(dense, image),
            "adaptive": partial(network.restorer, image, mask=mask),
        }
        if network.restorer.backend != network.graphs.backend:
            runs["onnxruntime"] = partial(network.graphs, image, mask=mask)
        runs |= versus
        if shape == "none":
            runs["net_l"] = partial(network.net_l.run, {"image": tensor})
        times = take_turns(runs, arguments.repeat, clock=CLOCKS[arguments.clock])
        print_progress(", ".join(f"{name} {value.median:.0f} ms" for name, value in times.items()))
        yield make_row(network, shape, float(mask.mean()), error, times, network.restorer(image, mask=mask))


def make_row(
    network: OpenedNetwork, shape: str, density: float, error: float, times: Mapping[str, Times], result: Any
) -> dict[str, Any]:
    """Format one mask's result as JSON values.

    Stages and tiles are those of one more run.
    """
    return {
        "preset": network.preset,
        "mask": shape,
        "density": density,
        "max_error": error,
        "ms": {name: vars(value) for name, value in times.items()},
        "speedup": times["dense"].median / times["adaptive"].median,
        "versus": {
            name: value.median / times["adaptive"].median for name, value in times.items() if name not in OWN_RUNS
        },
        "over_net_l": times["adaptive"].median / times["net_l"].median if "net_l" in times else None,
        "stages_ms": {stage: 1e3 * seconds for stage, seconds in result.timings.items()},
        "tiles": vars(result.tiles),
    }


def measure_peers(network: OpenedNetwork, image: np.ndarray, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure each dense peer in turns with the baseline.

    A row has the peer's times, or says why it is absent or what is wrong with it. One peer is open at a time, so that
    memory holds two networks at most.
    """
    baseline = run_with(network.dense)
    for name in arguments.peers:
        print_progress(f"{network.preset}: {name}")
        try:
            with DENSE_PEERS[name](network.workload(image)) as compute:
                error = check_peer(network, name, compute, image)
                runs = {"dense": partial(baseline, image), name: partial(run_with(compute), image)}
                times = take_turns(runs, arguments.repeat, clock=CLOCKS[arguments.clock])
                print_progress(", ".join(f"{name} {value.median:.0f} ms" for name, value in times.items()))
        except PeerAbsentError as reason:
            yield {"preset": network.preset, "peer": name, "absent": str(reason)}
            continue
        except GateError as error:
            print_progress(f"wrong: {error}")
            yield {"preset": network.preset, "peer": name, "wrong": str(error)}
            continue
        yield {
            "preset": network.preset,
            "peer": name,
            "max_error": error,
            "ms": vars(times[name]),
            "dense_ms": vars(times["dense"]),
            "speedup": times["dense"].median / times[name].median,
        }


def measure_rain(network: OpenedNetwork, folder: Path, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure each set of real files under Net_L's masks."""
    dense = run_with(network.dense)
    for name in RAIN_SPEEDUPS:
        files = sorted((folder / name / "input").glob("*.png"))
        if not files:
            raise UserError(f"{folder / name / 'input'} has no PNG files; give --rain a folder with light/ and heavy/")
        speedups, densities, errors = [], [], []
        for file in files:
            print_progress(f"{network.preset}: {name} {file.name}")
            image = np.ascontiguousarray(read_image(file).pixels[..., :3])
            errors.append(check_adaptive(network, image, None))
            result = network.restorer(image)
            check_baseline(file.name, result.image, dense(image))
            runs = {"dense": partial(dense, image), "adaptive": partial(network.restorer, image)}
            times = take_turns(runs, arguments.repeat, clock=CLOCKS[arguments.clock])
            speedups.append(times["dense"].median / times["adaptive"].median)
            densities.append(result.density)
        yield {
            "set": name,
            "files": len(files),
            "speedup": vars(Times.of(speedups)),
            "density": statistics.mean(densities),
            "max_error": max(errors),
        }


def judge(report: Mapping[str, Any]) -> list[Goal]:
    """Judge the goals of all that was measured."""
    targets = []
    for row in report["rows"]:
        name = f"{row['preset']}, {row['mask']}, {row['density']:.0%}"
        wanted = next((value for density, value in SPEEDUPS.items() if abs(row["density"] - density) < 1e-4), None)
        if wanted is not None:
            targets.append(Goal(f"{name}: speed-up", wanted, row["speedup"]))
        if row["over_net_l"] is not None:
            targets.append(Goal(f"{name}: times Net_L alone", EMPTY_OVERHEAD, row["over_net_l"], at_most=True))
    for row in report["rain"]:
        name = f"{row['set']} rain, {row['files']} files: median speed-up"
        targets.append(Goal(name, RAIN_SPEEDUPS[row["set"]], row["speedup"]["median"]))
    return targets


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything and return the report.

    Raises:
        GateError: a result of the toolkit is wrong.
    """
    width, height = arguments.size
    image = make_picture(height, width)
    report: dict[str, Any] = {
        "benchmark": "network",
        **describe_run(arguments.threads),
        "size": [width, height],
        "repeat": arguments.repeat,
        "clock": arguments.clock,
        "weights": {},
        "tuning": {},
        "backends": {},
        "rows": [],
        "peers": [],
        "rain": [],
    }
    for preset in arguments.presets:
        print_progress(f"{preset}: opening")
        with (
            tempfile.TemporaryDirectory(prefix="spair-network-") as folder,
            open_network(preset, Path(folder), arguments.threads) as network,
        ):
            report["weights"][preset] = network.weights
            report["tuning"][preset] = network.tuning
            report["backends"][preset] = network.restorer.backend
            report["rows"] += measure_masks(network, image, arguments)
            report["peers"] += measure_peers(network, image, arguments)
            if arguments.rain and preset == "tiny":
                report["rain"] += measure_rain(network, arguments.rain, arguments)
    timed = {row["peer"] for row in report["peers"] if "ms" in row} | {
        name for row in report["rows"] for name in row["versus"]
    }
    if any("openvino" in name for name in timed):
        report["versions"]["openvino"] = find_package("openvino").version
    report["targets"] = [target.to_json() for target in judge(report)]
    return report


def show(report: Mapping[str, Any]) -> None:
    """Print a report."""
    absent = {f"{row['preset']}, {row['peer']}": row["absent"] for row in report["peers"] if "absent" in row}
    show_run(report, absent)
    size = "x".join(map(str, report["size"]))
    print(
        f"whole network, {size}, 8-bit picture to picture, medians of {report['repeat']} turns, {report['clock']} time"
    )
    for preset, weights in report["weights"].items():
        backend = report["backends"][preset]
        print(f"{preset}: weights {weights}; routing tuned on this machine; adaptive on the backend {backend}")
    others = list(dict.fromkeys(name for row in report["rows"] for name in row["versus"]))
    head = ["preset", "mask", "density", "dense ms", "adaptive ms", "x dense", *(f"x {name}" for name in others)]
    head += ["x Net_L", "tiles s/p/d", "error"]
    table = []
    for row in report["rows"]:
        tiles = "/".join(str(row["tiles"].get(path, 0)) for path in ("skipped", "packed", "dense"))
        over = "-" if row["over_net_l"] is None else f"{row['over_net_l']:.2f}"
        table.append(
            [row["preset"], row["mask"], f"{row['density']:.1%}"]
            + [f"{row['ms'][name]['median']:.0f}" for name in ("dense", "adaptive")]
            + [
                f"{row['speedup']:.2f}",
                *(f"{row['versus'][name]:.2f}" if name in row["versus"] else "-" for name in others),
            ]
            + [over, tiles, f"{row['max_error']:.0e}"]
        )
    show_table(head, table)
    show_peers([row for row in report["peers"] if "ms" in row])
    for row in report["peers"]:
        if "wrong" in row:
            print(f"no times of {row['preset']}, {row['peer']}: {row['wrong']}")
    for row in report["rain"]:
        low, median, high = (row["speedup"][key] for key in ("low", "median", "high"))
        print(
            f"\n{row['set']} rain, {row['files']} files, {row['density']:.1%} distorted on average: "
            f"{median:.2f} times as fast as dense ({low:.2f} to {high:.2f})"
        )
    show_goals(judge(report))


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", type=parse_names(tuple(PRESETS)), default="tiny,base")
    parser.add_argument("--size", type=parse_size, default="1920x1080")
    parser.add_argument("--densities", type=parse_shares, default="0,0.02,0.1,0.2,0.35,0.5,1.0")
    parser.add_argument("--masks", type=parse_names(tuple(SHAPES)), default="streak,blob")
    parser.add_argument("--peers", type=parse_names(tuple(DENSE_PEERS)), default=",".join(DENSE_PEERS))
    parser.add_argument("--versus", type=parse_names(tuple(DENSE_PEERS)), default="openvino,openvino-bf16")
    parser.add_argument("--threads", type=parse_count, default=2)
    parser.add_argument("--repeat", type=parse_count, default=3, help="turns; medians are reported")
    parser.add_argument("--rain", type=Path, metavar="DIR", help="light/input and heavy/input of real files, for tiny")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="processor: where a machine is shared; 1 thread"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a PNG")
    return parser.parse_args(words)


def main() -> int:
    """Print the report.

    The exit status is 1 when a result is wrong, also when only a peer's is.
    """
    arguments = parse_arguments()
    try:
        if arguments.clock == "processor" and arguments.threads > 1:
            raise UserError("the clock of the processor adds up all threads; give --threads 1 too")
        report = measure(arguments)
    except (GateError, UserError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1 if isinstance(error, GateError) else 2
    show(report)
    if arguments.json:
        write_json(arguments.json, report)
    if arguments.plot:
        from benchmarks.common.plotting import try_plot_network

        try_plot_network(report, arguments.plot)
    return 1 if any("wrong" in row for row in report["peers"]) else 0


if __name__ == "__main__":
    sys.exit(main())
