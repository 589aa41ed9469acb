"""Reproduce published PSNR values of PReNet with PyTorch and bundles.

Run from the repository root: `python -m benchmarks.golden_psnr [--data DIR]`. It restores 12 files of Rain100L and
Rain100H with both published checkpoints, prints one row for each value, and exits 1 when a value is off by more than
0.02 dB. It takes about four minutes on two cores.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.peers.prenet import prenet
from spair.export.exporter import export_foreign
from spair.runtime import Restorer
from spair.training.data.pairs import read_rgb
from spair.training.evaluation.metrics import QuantizeMode, image_measures, quantize

TOLERANCE_DB = 0.02
"""Largest difference in dB: the golden values have two decimals, and convolutions differ between machines in the
last bits."""

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
INPUTS = {"Rain100L": "rain/light/input", "Rain100H": "rain/heavy/input"}
TARGETS = "rain/light/target"


class GoldenValue(NamedTuple):
    """Published value in dB.

    `measure` is a key of `image_measures`.
    """

    dataset: str
    file: int
    mode: QuantizeMode
    measure: str
    decibel: float


def _rows(dataset: str, mode: QuantizeMode, measure: str, values: dict[int, float]) -> list[GoldenValue]:
    return [GoldenValue(dataset, file, mode, measure, value) for file, value in values.items()]


GOLDEN = [
    *_rows("Rain100L", "floor", "psnr_y", {1: 37.87, 5: 37.92, 14: 39.55, 33: 38.76, 77: 36.90, 90: 36.71}),
    *_rows("Rain100L", "floor", "psnr_rgb", {1: 36.54, 5: 36.57, 14: 38.21, 33: 37.31, 77: 35.54, 90: 35.35}),
    *_rows("Rain100L", "round", "psnr_y", {1: 37.92, 5: 38.10, 33: 39.11}),
    *_rows("Rain100H", "floor", "psnr_y", {1: 33.23, 5: 30.13, 14: 29.23, 33: 34.76, 77: 26.26, 90: 24.27}),
]


def load_prenet(data: Path, dataset: str) -> torch.nn.Module:
    """Load PReNet with its published weights.

    The weights of "Rain100L" or "Rain100H" load strictly; the module is in evaluation mode.
    """
    path = data / "checkpoints" / f"PReNet6_{dataset}.pth"
    module = prenet()
    module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), strict=True)
    return module.eval()


Restore = Callable[[np.ndarray], np.ndarray]
"""Function from a float32 picture [H, W, 3] RGB 0..1 to the restored one."""


def restore_in_torch(module: torch.nn.Module) -> Restore:
    """Make a function that restores through a module.

    The module takes and returns [N, 3, H, W].
    """

    def restore(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            output = module(torch.from_numpy(image).permute(2, 0, 1)[None])
        return output[0].permute(1, 2, 0).numpy()

    return restore


def restore_in_bundle(data: Path, dataset: str, folder: Path) -> Restore:
    """Export the published checkpoint and restore through the bundle.

    The bundle runs on ONNX Runtime.
    """
    bundle = folder / f"{dataset}.spair"
    export_foreign(data / "checkpoints" / f"PReNet6_{dataset}.pth", "benchmarks.peers.prenet:prenet", bundle)
    restorer = Restorer.open(bundle)
    return lambda image: restorer(image).image


def measure(data: Path, cases: list[GoldenValue], restore: Mapping[str, Restore]) -> list[float]:
    """Measure the value of each case, in their order.

    Each file is restored once, by its data set's function.
    """
    restored = {
        (dataset, file): restore[dataset](read_rgb(data / INPUTS[dataset] / f"{file}.png"))
        for dataset, file in sorted({(case.dataset, case.file) for case in cases})
    }
    return [
        image_measures(
            quantize(restored[case.dataset, case.file], case.mode),
            read_rgb(data / TARGETS / f"{case.file}.png"),
        )[case.measure]
        for case in cases
    ]


def main() -> int:
    """Print the table.

    The exit status is 1 when a value is off.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with rain/ and checkpoints/")
    data = parser.parse_args().data
    if not data.is_dir():
        print(f"skipped: the published images are absent: no folder {data}; name it with --data")
        return 0
    in_torch = measure(data, GOLDEN, {name: restore_in_torch(load_prenet(data, name)) for name in INPUTS})
    with tempfile.TemporaryDirectory() as folder:
        bundles = {name: restore_in_bundle(data, name, Path(folder)) for name in INPUTS}
        in_bundle = measure(data, GOLDEN, bundles)
    off = 0
    print(f"{'data set':9} {'file':>4} {'mode':6} {'measure':8} {'golden':>7} {'PyTorch':>9} {'bundle':>9}")
    for case, *values in zip(GOLDEN, in_torch, in_bundle, strict=True):
        wrong = max(abs(value - case.decibel) for value in values) > TOLERANCE_DB
        off += wrong
        print(
            f"{case.dataset:9} {case.file:4} {case.mode:6} {case.measure:8} {case.decibel:7.2f} "
            f"{values[0]:9.3f} {values[1]:9.3f}{'  WRONG' if wrong else ''}"
        )
    print(f"{len(GOLDEN) - off} of {len(GOLDEN)} within {TOLERANCE_DB} dB")
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())
