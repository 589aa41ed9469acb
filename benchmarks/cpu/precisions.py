"""Measure the backend cpu's precisions against dense peers.

Run from the repository root: `python -m benchmarks.cpu.precisions [--bundle CALIBRATED] [--rain DIR --clean DIR]`. Each
precision of a bundle takes turns with OpenVINO in float32 and in bfloat16 and with the dense export on ONNX Runtime,
from picture to picture, under made masks. FP32 is held against the fastest dense peer that is exact, lower precisions
against the fastest of all. Every result is compared with PyTorch before it is timed.

`--rain` names a folder of degraded pictures, whose masks Net_L finds, and `--clean` that of the clean ones with the
same names: each precision has its change of PSNR beside its speed. `--ranges` names a folder of other degraded
pictures, on which NNCF quantizes the dense network for OpenVINO; since that loses quality, it is no peer that ratios
refer to. Without a calibrated bundle the shipped weights run in FP32 and bf16. `--instructions avx512bf16` keeps our
kernels and OpenVINO from newer instructions, so that a machine with AMX says what one without would give. It takes ten
minutes on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.arguments import parse_count, parse_names, parse_shares, parse_size
from benchmarks.common.measuring import (
    Run,
    Times,
    describe_run,
    print_progress,
    show_run,
    show_table,
    take_turns,
    write_json,
)
from benchmarks.common.regression import Figure, compare, keep
from benchmarks.cpu.instructions import limit_instructions
from benchmarks.network import plan_masks
from benchmarks.peers.graphs import ROUNDED
from benchmarks.peers.install import PeerAbsentError
from benchmarks.peers.nncf import NAME as NNCF
from benchmarks.peers.nncf import NncfPeer
from benchmarks.subjects.network import OpenedNetwork, check_adaptive, check_dense, make_picture, open_network, run_with
from benchmarks.subjects.versus import open_versus
from spair.calibration.accuracy.measures import measure_psnr
from spair.runtime import GateError, Restorer, UserError, read_image
from spair.runtime.bundle.reader import DERIVED_FROM, Bundle
from spair.runtime.cpu.library import load_library
from spair.runtime.profiling.masks import SHAPES

PEERS = ("openvino", "openvino-bf16")
RANGES = 16
"""Largest number of pictures for the ranges of NNCF."""
LARGEST_ERROR = {"bf16": 0.02, "int8": 0.05, "int8-bf16": 0.05}
"""Largest mean error of distorted pixels in a lower precision; leaving Net_R out errs by more than twice that."""
Restorers = Mapping[str, Restorer]


def list_precisions(bundle: Bundle) -> list[str]:
    """List the precisions of the backend cpu."""
    stored = bundle.manifest.rows
    return [*stored, *(one for one, source in DERIVED_FROM.items() if source in stored)]


@contextlib.contextmanager
def open_precisions(bundle: Bundle, threads: int) -> Iterator[dict[str, Restorer]]:
    """Open the backend cpu in every precision of a bundle."""
    with contextlib.ExitStack() as stack:
        yield {
            one: stack.enter_context(Restorer.open(bundle.path, backend="cpu", precision=one, threads=threads))
            for one in list_precisions(bundle)
        }


def check_lower(precision: str, restorer: Restorer, exact: Restorer, image: np.ndarray, mask: np.ndarray) -> float:
    """Compare a lower precision with FP32.

    Returns its mean error.

    Raises:
        GateError: the error is above that of rounding, or a clean pixel was touched.
    """
    real = image.astype(np.float32) / np.float32(255)
    got, expected = (one(real, mask=mask).image for one in (restorer, exact))
    error = float(np.abs(got - expected)[mask].mean()) if mask.any() else 0.0
    if not error <= LARGEST_ERROR[precision] or not np.array_equal(got[~mask], real[~mask]):
        raise GateError(f"{precision} differs by {error:.1e} from fp32, or touches clean pixels; no times are reported")
    return error


def measure_masks(
    network: OpenedNetwork, restorers: Restorers, nncf: NncfPeer | None, arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Measure precisions and peers in turns, by mask."""
    width, height = arguments.size
    image = make_picture(height, width)
    check_dense(network, "dense", network.dense, image)
    with contextlib.ExitStack() as stack:
        peers = {"dense": partial(run_with(network.dense), image), **open_versus(network, image, PEERS, stack)}
        for shape, density, mask in plan_masks(arguments.masks, arguments.densities, height, width):
            print_progress(f"{shape} {density:g}")
            check_adaptive(network, image, mask)
            errors = {
                name: check_lower(name, one, restorers["fp32"], image, mask)
                for name, one in restorers.items()
                if name != "fp32"
            }
            ours: dict[str, Run] = {name: partial(one, image, mask=mask) for name, one in restorers.items()}
            times = take_turns({**ours, **peers, **_open_nncf(nncf, image)}, arguments.repeat)
            row = {"mask": shape, "density": float(mask.mean()), "errors": errors, **describe_times(times, ours)}
            print_progress(", ".join(f"{name} {value:.0f} ms" for name, value in row["ms"].items()))
            yield row


def describe_times(times: Mapping[str, Times], ours: Mapping[str, object]) -> dict[str, Any]:
    """Return medians, and figures against the best dense peer.

    Returns:
        {"ms": by contender, "ratios": and "spreads": by precision}.
    """
    figures = rate(times, ours)
    return {
        "ms": {name: value.median for name, value in times.items()},
        "ratios": {name: figure.value for name, figure in figures.items()},
        "spreads": {name: figure.spread for name, figure in figures.items()},
    }


def rate(times: Mapping[str, Times], ours: Mapping[str, object]) -> dict[str, Figure]:
    """Compare each precision with the best dense peer.

    Returns the figures by precision.
    """
    peers = {name: value for name, value in times.items() if name not in ours and name != NNCF}
    exact = [value for name, value in peers.items() if name not in ROUNDED]
    best, fastest = (min(some, key=lambda one: one.median) for some in (exact, peers.values()))
    return {name: Figure.of(times[name], best if name == "fp32" else fastest) for name in ours}


def _open_nncf(nncf: NncfPeer | None, image: np.ndarray) -> dict[str, Run]:
    """Compile the quantized network for pictures of one size."""
    return {} if nncf is None else {NNCF: partial(run_with(nncf.open(image.shape[:2])), image)}


def measure_rain(
    network: OpenedNetwork, restorers: Restorers, nncf: NncfPeer | None, arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Measure real pictures of one size, a row a picture."""
    files = sorted(arguments.rain.glob("*.png"))[: arguments.files]
    if not files:
        raise UserError(f"{arguments.rain} has no PNG files; give --rain a folder of degraded pictures")
    for file in files:
        print_progress(file.name)
        image = np.ascontiguousarray(read_image(file).pixels[..., :3])
        check_adaptive(network, image, None)
        with contextlib.ExitStack() as stack:
            peers = {"dense": partial(run_with(network.dense), image), **open_versus(network, image, PEERS, stack)}
            ours: dict[str, Run] = {name: partial(one, image) for name, one in restorers.items()}
            quantized = _open_nncf(nncf, image)
            row = describe_times(take_turns({**ours, **peers, **quantized}, arguments.repeat), ours)
        row |= {"file": file.name, "density": restorers["fp32"](image).density}
        yield row | {"psnr_delta_db": compare_psnr(restorers, quantized, image, arguments.clean, file)}


def compare_psnr(
    restorers: Restorers, quantized: Mapping[str, Run], image: np.ndarray, clean: Path | None, file: Path
) -> dict[str, float] | None:
    """Measure the change of luma PSNR against FP32.

    The quantized network gives 8-bit pictures, which are compared with those of FP32.

    Returns dB by precision; None without a clean picture.
    """
    if clean is None:
        return None
    target = read_image(clean / file.name).pixels[..., :3].astype(np.float32) / np.float32(255)
    real = image.astype(np.float32) / np.float32(255)
    found = {name: measure_psnr(one(real).image, target)[0] for name, one in restorers.items()}
    changes = {name: value - found["fp32"] for name, value in found.items() if name != "fp32"}
    exact = measure_psnr(restorers["fp32"](image).image / np.float32(255), target)[0]
    for name, run in quantized.items():
        changes[name] = measure_psnr(run() / np.float32(255), target)[0] - exact
    return changes


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything and return the report.

    Raises:
        GateError: a result of the toolkit is wrong.
        UserError: the bundle or a picture cannot be used.
    """
    report: dict[str, Any] = {"benchmark": "precisions", **describe_run(arguments.threads), "size": arguments.size}
    report["repeat"] = arguments.repeat
    with tempfile.TemporaryDirectory(prefix="spair-precisions-") as folder, contextlib.ExitStack() as stack:
        stack.enter_context(limit_instructions(arguments.instructions))
        report["instructions"] = load_library().instructions.name
        network = stack.enter_context(open_network("tiny", Path(folder), arguments.threads))
        bundle = network.bundle if arguments.bundle is None else Bundle.open(arguments.bundle)
        restorers = stack.enter_context(open_precisions(bundle, arguments.threads))
        nncf = quantize(network, arguments)
        report["rows"] = list(measure_masks(network, restorers, nncf, arguments))
        report["rain"] = [] if arguments.rain is None else list(measure_rain(network, restorers, nncf, arguments))
    return report


def quantize(network: OpenedNetwork, arguments: argparse.Namespace) -> NncfPeer | None:
    """Quantize the dense network with NNCF if asked to."""
    if arguments.ranges is None:
        return None
    pictures = [read_image(file).pixels[..., :3] for file in sorted(arguments.ranges.glob("*.png"))[:RANGES]]
    try:
        return NncfPeer(network.bundle.graph("fp32", "model"), pictures, arguments.threads)
    except PeerAbsentError as reason:
        print_progress(f"no {NNCF}: {reason}")
        return None


def show(report: Mapping[str, Any]) -> None:
    """Print a report."""
    show_run(report, {})
    width, height = report["size"]
    print(f"instruction set of our kernels: {report['instructions']}")
    print(f"whole network, {width}x{height}, 8-bit picture to picture, medians of {report['repeat']} turns")
    for rows, name in ((report["rows"], "mask"), (report["rain"], "file")):
        if rows:
            head = [
                name,
                "density",
                *(f"{one} ms" for one in rows[0]["ms"]),
                *(f"x {one}" for one in rows[0]["ratios"]),
            ]
            show_table(head, [_cells(row, name) for row in rows])
    show_rain(report["rain"])


def _cells(row: Mapping[str, Any], name: str) -> list[str]:
    times, ratios = (
        [f"{value:{form}}" for value in row[key].values()] for key, form in (("ms", ".0f"), ("ratios", ".2f"))
    )
    return [row[name], f"{row['density']:.1%}", *times, *ratios]


def show_rain(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the speed of each precision beside its PSNR."""
    for name in (*rows[0]["ratios"], *([NNCF] if NNCF in rows[0]["ms"] else [])) if rows else ():
        if name == NNCF:
            line = f"{name}: {statistics.median(row['ms'][name] for row in rows):.0f} ms, median of {len(rows)} files"
        else:
            ratio = statistics.median(row["ratios"][name] for row in rows)
            line = f"{name}: {ratio:.2f} times as fast as the best dense peer, median of {len(rows)} files"
        if name != "fp32" and rows[0]["psnr_delta_db"] is not None:
            changes = [row["psnr_delta_db"][name] for row in rows]
            line += f"; PSNR {statistics.mean(changes):+.3f} dB, worst {min(changes):+.3f} dB"
        print(line)


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="calibrated bundle of the shipped rain weights")
    parser.add_argument("--size", type=parse_size, default="960x540")
    parser.add_argument("--densities", type=parse_shares, default="0,0.02,0.1,0.2,0.35,0.5,1.0")
    parser.add_argument("--masks", type=parse_names(tuple(SHAPES)), default="streak")
    parser.add_argument("--threads", type=parse_count, default=2)
    parser.add_argument("--instructions", metavar="SET", help="newest instruction set that anything uses: avx512bf16")
    parser.add_argument("--repeat", type=parse_count, default=5, help="turns; medians are reported")
    parser.add_argument("--rain", type=Path, metavar="DIR", help="degraded pictures, masks as found")
    parser.add_argument("--clean", type=Path, metavar="DIR", help="their clean pictures, of the same names")
    parser.add_argument("--ranges", type=Path, metavar="DIR", help="degraded pictures for NNCF's ranges")
    parser.add_argument("--files", type=parse_count, default=10, help="pictures of --rain")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--against", type=Path, metavar="FILE", help="figures of an earlier run, see --keep")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write the figures of made masks for --against")
    return parser.parse_args(words)


def main() -> int:
    """Print the report.

    The exit status is 1 when a result is wrong, or worse than that of the earlier run.
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
    return hold(report, arguments)


def hold(report: Mapping[str, Any], arguments: argparse.Namespace) -> int:
    """Hold the figures to an earlier run, and keep them."""
    width, height = report["size"]
    case = f"{width}x{height}, {report['threads']} threads"
    figures = {
        f"{case}, {row['mask']} {row['density']:.0%}, {name}": Figure(value, row["spreads"][name])
        for row in report["rows"]
        for name, value in row["ratios"].items()
    }
    processor = f"{report['machine']['cpu']}, {report['instructions']}"  # virtual machines hide the processor's name
    worse = compare(arguments.against, processor, figures) if arguments.against else []
    for sentence in worse:
        print(f"worse: {sentence}")
    if arguments.keep:
        keep(arguments.keep, processor, figures)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
