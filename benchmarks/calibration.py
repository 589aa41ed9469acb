"""Measure mask-aware statistics' gain and the precisions' speed.

Run from the repository root: `python -m benchmarks.calibration [--data DIR --files 12 --json FILE]`. Every calibrator
takes ranges from tiles of some rain pairs, once with the pixels under the mask and once with all pixels. Losses in dB
are measured on tiles of other pairs, so that a range that fits the calibration tiles alone gains nothing. "sparse"
quantizes the layers that the mask matters to, "all" quantizes every layer. Times on ONNX Runtime are of whole graphs on
one picture, the precisions in turn; they are given only when the loss of the timed graph was within its gate.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from benchmarks.common.arguments import parse_count
from benchmarks.common.measuring import describe_run, print_progress, show_run, show_table, write_json
from spair.calibration.accuracy.trial import Trial, open_trial
from spair.calibration.conversion.plan import PrecisionPlan
from spair.calibration.journal import Journal
from spair.calibration.options import GATES_DB, Calibrator, Options, Statistics
from spair.calibration.progress import silent
from spair.calibration.speed import time_parts
from spair.calibration.statistics.observe import observe
from spair.calibration.statistics.pictures import CalibrationPicture, choose_tiles, read_pictures
from spair.calibration.variants import Variant, build
from spair.export.exporter import export_checkpoint
from spair.runtime import Bundle

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "rain"
WEIGHTS = Path(__file__).resolve().parents[1] / "network" / "weights" / "rain-tiny.safetensors"
RAINS = ("light", "heavy")


def read_rain(data: Path, rain: str, count: int, options: Options, folder: Path) -> list[CalibrationPicture]:
    """Read the first pairs of one rain.

    They are linked into a folder of their own.
    """
    files = sorted((data / rain / "input").glob("*.png"), key=lambda file: int(file.stem))[:count]
    for role in ("input", "target"):
        (folder / role).mkdir(parents=True)
    for file in files:
        (folder / "input" / file.name).symlink_to(file)
        (folder / "target" / file.name).symlink_to(data / "light" / "target" / file.name)
    return read_pictures(folder / "input", folder / "target", options, silent)


def split_tiles(
    network: Variant, pictures: Sequence[CalibrationPicture], options: Options
) -> tuple[list[CalibrationPicture], list[CalibrationPicture]]:
    """Choose tiles for ranges, and other pictures' tiles for losses.

    Both halves have as many tiles.
    """
    with network.opened({"net_l": network.models["net_l"]}) as graphs:

        def find_mask(tile: CalibrationPicture) -> Any:
            return graphs["net_l"].run({"image": tile.pixels.transpose(2, 0, 1)[None]})["mask"][0, 0] > 0.5

        halves = (pictures[::2], pictures[1::2])
        return tuple(choose_tiles(half, options, find_mask) for half in halves)  # type: ignore[return-value]


def measure_statistics(
    network: Variant,
    tiles: Sequence[CalibrationPicture],
    others: Sequence[CalibrationPicture],
    options: Options,
    folder: Path,
) -> list[dict[str, Any]]:
    """Measure the dB lost on `others`, by calibrator and statistics."""
    sparse = [layer.name for layer in network.layers if layer.operator == "SparseConv2d"]
    sets = {"sparse": sparse, "all": [layer.name for layer in network.layers]}
    rows = []
    for statistics in get_args(Statistics):
        print_progress(f"observing {statistics} pixels")
        seen = observe(network, tiles, replace(options, statistics=statistics), silent)
        for calibrator in get_args(Calibrator):
            scales = {key: one.scale(calibrator, options.percentile) for key, one in seen.histograms.items()}
            with open_trial(network, others, options, Journal(folder / f"{statistics}-{calibrator}.json")) as trial:
                lost = {name: _lose(trial, layers, scales) for name, layers in sets.items()}
            rows.append({"calibrator": calibrator, "statistics": statistics, **lost})
            print_progress(f"{calibrator} of {statistics}: {lost}")
    return rows


def _lose(trial: Trial, layers: Sequence[str], scales: dict[tuple[str, int], float]) -> float:
    return trial.loss(PrecisionPlan(dict.fromkeys(layers, "int8"), "fp32", scales))


def measure_times(
    network: Variant, tiles: Sequence[CalibrationPicture], picture: CalibrationPicture, options: Options, folder: Path
) -> dict[str, Any]:
    """Time each precision.

    Returns the loss and the result of `time_parts` for each precision. The times are None where INT8 or FP16 in every
    layer misses the gate.
    """
    seen = observe(network, tiles, options, silent)
    scales = {key: one.scale(options.calibrator) for key, one in seen.histograms.items()}
    found: dict[str, Any] = {}
    for precision in ("fp16", "int8"):
        plan = PrecisionPlan({layer.name: precision for layer in network.layers}, "fp16", scales)  # type: ignore[misc]
        with open_trial(network, tiles, options, Journal(folder / f"{precision}.json")) as trial:
            loss = trial.loss(plan)
        print_progress(f"{precision}: {loss:.4f} dB")
        within = loss <= GATES_DB[precision]
        found[precision] = {"loss_db": loss, "speed": None}
        if within:
            found[precision]["speed"] = time_parts(network, build(network, plan), picture, silent)
    return found


def show(report: dict[str, Any]) -> None:
    """Print both tables."""
    for rain, rows in report["statistics"].items():
        lost = {(row["calibrator"], row["statistics"]): row for row in rows}
        print(f"\n{rain} rain: dB lost in int8, ranges from masked pixels / from all pixels / gained by the mask")
        body = []
        for calibrator, layers in itertools.product(get_args(Calibrator), ("sparse", "all")):
            masked, everything = (lost[calibrator, kind][layers] for kind in ("masked", "all"))
            numbers = (masked, everything, everything - masked)
            body.append([f"{calibrator}, {layers} layers", *(f"{value:.4f}" for value in numbers)])
        show_table(("", "masked", "all", "gained"), body)
    print()
    body = [
        [
            f"{precision}, {part}",
            f"{times['fp32_ms']:.1f}",
            f"{times['ms']:.1f}",
            f"{times['fp32_ms'] / times['ms']:.2f}",
        ]
        for precision, found in report["times"].items()
        if found["speed"]
        for part, times in found["speed"]["parts"].items()
    ]
    show_table(("graph", "fp32 ms", "ms", "times as fast"), body)


def main() -> int:
    """Print the tables.

    Returns 0, also where the data is absent.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with light/ and heavy/")
    parser.add_argument("--checkpoint", type=Path, default=WEIGHTS)
    parser.add_argument("--files", type=parse_count, default=12, help="pairs of each rain, half of them to measure on")
    parser.add_argument("--tile", type=parse_count, default=160)
    parser.add_argument("--tiles", type=parse_count, default=8)
    parser.add_argument("--threads", type=parse_count, default=2)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if not chosen.data.is_dir():
        print(f"skipped: the rain pairs are absent: no folder {chosen.data}; name it with --data")
        return 0
    options = Options("int8", tile=chosen.tile, tiles=chosen.tiles, threads=chosen.threads)
    report: dict[str, Any] = {"run": describe_run(chosen.threads), "statistics": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_checkpoint(chosen.checkpoint, folder / "rain.spair")
        network = Variant(Bundle.open(folder / "rain.spair"), chosen.threads)
        for rain in RAINS:
            pictures = read_rain(chosen.data, rain, chosen.files, options, folder / rain)
            tiles, others = split_tiles(network, pictures, options)
            rows = measure_statistics(network, tiles, others, options, folder / rain)
            report["statistics"][rain] = rows
            if rain == RAINS[0]:
                report["times"] = measure_times(network, others, pictures[0], options, folder)
    show_run(report["run"], {})
    show(report)
    if chosen.json:
        write_json(chosen.json, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
