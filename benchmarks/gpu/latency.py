"""Measure latency on the GPU, sparse against dense, by distortion.

    python -m benchmarks.gpu.latency --size 1920x1080 --json gpu.json

Rain is drawn over growing parts of a made picture; the printed density is the density of the mask that the engine
found. Nothing is timed before sparse and dense agree. Times are of a captured CUDA graph, between events on its stream,
without copies from and to the host. This was written without a GPU and has never run.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common.arguments import parse_size
from benchmarks.common.measuring import write_json
from benchmarks.gpu.harness.engine_runner import EngineRunner
from benchmarks.gpu.harness.engines import Setup, find_reason, make_setup
from spair.export.engines.options import EngineOptions
from spair.plugins.errors import PluginError
from spair.runtime.errors import GateError, UserError
from spair.training.data.photos import rain_on

PARTS = (0.0, 0.05, 0.2, 0.5, 1.0)
"""Shares of the picture that it rains on."""
TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2, "int8": 5e-2}
"""Largest mean error of sparse against dense; masks may differ where a logit lies at the threshold."""


def make_picture(width: int, height: int, part: float, device: str = "cuda") -> torch.Tensor:
    """Make a picture [1,3,H,W] float32, 0 to 1, with rain.

    It has smooth colours, and rain from the top down to a part of the height.
    """
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin(rows / 37 + k) * np.cos(columns / (53 + 9 * k)) for k in range(3)]
    clean = ((np.stack(waves, 2) * 0.25 + 0.5) * 255).astype(np.uint8)
    end = round(part * height)
    wet = clean.copy()
    if end:
        wet[:end] = rain_on(clean, "light", [1])[:end]
    return torch.from_numpy(wet).permute(2, 0, 1)[None].contiguous().to(device).float() / 255


def time_graph(runner: EngineRunner, image: torch.Tensor, repeat: int) -> dict[str, float]:
    """Measure the milliseconds of a captured inference.

    Returns {"p50", "p90", "p99"}.
    """
    runner.bind(image)
    graph = runner.capture()
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeat)]
    with torch.cuda.stream(runner.stream):
        for begin, end in events:
            begin.record()
            graph.replay()
            end.record()
    runner.stream.synchronize()
    taken = [begin.elapsed_time(end) for begin, end in events]
    ranks = statistics.quantiles(taken, n=100, method="inclusive")
    return {"p50": ranks[49], "p90": ranks[89], "p99": ranks[98]}


def measure(setup: Setup, precision: str, size: tuple[int, int], repeat: int) -> list[dict[str, Any]]:
    """Measure one precision, a row a picture.

    A row has the density, the milliseconds sparse and dense, and the speed-up.

    Raises:
        GateError: sparse and dense disagree.
    """
    options = EngineOptions(size, size)
    rows = []
    with (
        setup.engine(precision, options, plugins=True) as sparse,
        setup.engine(precision, options, plugins=False) as dense,
    ):
        for part in PARTS:
            image = make_picture(*size, part)
            ours, theirs = sparse.run(image), dense.run(image)
            error = (ours["restored"].float() - theirs["restored"].float()).abs().mean().item()
            if not error <= TOLERANCE[precision]:
                raise GateError(f"{precision}: sparse and dense differ by {error:.2e} in the mean; nothing was timed")
            times = {"sparse_ms": time_graph(sparse, image, repeat), "dense_ms": time_graph(dense, image, repeat)}
            speedup = times["dense_ms"]["p50"] / times["sparse_ms"]["p50"]
            density = ours["mask"].float().mean().item()
            rows.append({"precision": precision, "density": density, **times, "speedup": speedup, "mean_error": error})
    return rows


def main() -> None:
    """Print the table, or the reason why nothing is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="an exported bundle; the shipped checkpoint when left out")
    parser.add_argument("--size", type=parse_size, default="1920x1080", help="WxH")
    parser.add_argument("--repeat", type=int, default=100, help="timings per picture, 2 at least")
    parser.add_argument("--json", type=Path, help="write the rows to a file as well")
    options = parser.parse_args()
    if options.repeat < 2:
        parser.error(f"--repeat must be 2 at least, got {options.repeat}")
    reason = find_reason()
    if reason is not None:
        parser.exit(0, f"nothing measured: {reason}\n")
    width, height = options.size
    try:
        with make_setup(options.bundle) as setup:
            device = torch.cuda.get_device_name()
            print(f"{device}, {setup.package}, target {setup.target.name}, {width}x{height}")
            rows = [
                row for name in setup.bundle.precisions for row in measure(setup, name, options.size, options.repeat)
            ]
    except (UserError, PluginError, GateError) as error:
        parser.exit(1 if isinstance(error, GateError) else 2, f"error: {error}\n")
    for row in rows:
        print(
            f"{row['precision']}  {row['density']:6.1%}  sparse {row['sparse_ms']['p50']:8.3f} ms  "
            f"dense {row['dense_ms']['p50']:8.3f} ms  {row['speedup']:5.2f} times as fast"
        )
    if options.json:
        write_json(options.json, {"device": device, "size": [width, height], "rows": rows})


if __name__ == "__main__":
    main()
