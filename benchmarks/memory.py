"""Measure peak memory by picture size and distorted share.

Run from the repository root: `python -m benchmarks.memory [BUNDLE] [--sizes 1920x1080,7680x4320]`. Each case runs in a
process of its own under a made mask. It prints the peak resident memory, how much of it is above the peak of an 8x8
picture, the bound, and the seconds. It exits 1 when a case is over the bound (FIXED_MB, BYTES_PER_PIXEL). Without a
bundle the shipped checkpoint is exported first. It takes some ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

FIXED_MB = 3000
"""MB that any picture may take: Net_L on one block of 4 megapixels, and a piece of Net_R at the limits of
`spair.runtime.tiling.planning.Limits`."""
BYTES_PER_PIXEL = 60
"""Bytes that each pixel may take: the picture in 8 bit in and out (6) and in float32 before and after (24), masks
and their sums (4), and the rest of what conversions of 256 rows at a time and the allocator leave."""

CASE = """
import json, sys, time
import numpy as np
from spair.runtime import Restorer
from spair.runtime.profiling.masks import make_mask
from spair.runtime.profiling.memory import read_peak_memory
bundle, width, height, density = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
image = np.full((height, width, 3), 90, np.uint8)
image[::7] = 140
mask = make_mask("blob", height, width, density)
with Restorer.open(bundle) as restorer:
    started = time.perf_counter()
    result = restorer(image, mask=mask)
    seconds = time.perf_counter() - started
print(json.dumps({"peak_mb": read_peak_memory(), "seconds": seconds, "tiles": vars(result.tiles)}))
"""


def run_case(bundle: Path, width: int, height: int, density: float) -> dict:
    """Restore one made picture in a fresh process.

    Returns {"peak_mb", "seconds", "tiles"}.
    """
    command = [sys.executable, "-c", CASE, str(bundle), str(width), str(height), str(density)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def bound_mb(base_mb: float, width: int, height: int) -> float:
    """Compute the MB that a picture may take.

    The bound holds at any density. `base_mb` are the MB of an 8x8 picture, which are interpreter, libraries and graphs.
    """
    return base_mb + FIXED_MB + BYTES_PER_PIXEL * width * height / 2**20


def main() -> int:
    """Print the table.

    The exit status is 1 when a case is over its bound.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--sizes", default="640x480,1920x1080,3840x2160,7680x4320")
    parser.add_argument("--densities", default="0,0.02,0.3,1")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = arguments.bundle or _export_shipped(Path(folder))
        base = run_case(bundle, 8, 8, 0.0)["peak_mb"]
        print(f"8x8 picture: {base:.0f} MB; bound: that + {FIXED_MB} MB + {BYTES_PER_PIXEL} bytes per pixel")
        print(f"{'size':>10} {'density':>8} {'peak MB':>8} {'above':>7} {'bound':>7} {'seconds':>8}")
        over = 0
        for size in arguments.sizes.split(","):
            width, height = map(int, size.split("x"))
            for density in map(float, arguments.densities.split(",")):
                case = run_case(bundle, width, height, density)
                bound = bound_mb(base, width, height)
                over += case["peak_mb"] > bound
                print(
                    f"{size:>10} {density:8.0%} {case['peak_mb']:8.0f} {case['peak_mb'] - base:7.0f} {bound:7.0f} "
                    f"{case['seconds']:8.1f}{'  OVER' if case['peak_mb'] > bound else ''}",
                    flush=True,
                )
    return 1 if over else 0


def _export_shipped(folder: Path) -> Path:
    from importlib.resources import as_file, files

    from spair.export.exporter import export_checkpoint

    with as_file(files("spair.network.weights") / "rain-tiny.safetensors") as checkpoint:
        export_checkpoint(checkpoint, folder / "rain-tiny.spair")
    return folder / "rain-tiny.spair"


if __name__ == "__main__":
    sys.exit(main())
