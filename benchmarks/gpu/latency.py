"""Measure engines with our plugins against engines without, by distortion.

    python -m benchmarks.gpu.latency --size 1920x1080 --json gpu.json

Both engines are built here for this machine's GPU. Rain is drawn over growing parts of a made picture; the printed
density is the density of the mask that the engine found. Nothing is timed before both agree. Times are of the
product's own runtime: a replayed CUDA graph with the copies of a picture to the GPU and back, between events on its
stream. No GPU with TensorRT was at hand, so this has run on an emulated GPU only.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.arguments import parse_size
from benchmarks.common.measuring import write_json
from benchmarks.gpu.harness.engines import build_bundle, find_bundle, find_reason, open_alone, open_sparse
from benchmarks.gpu.harness.pictures import draw_rain
from spair.export.engines.options import EngineOptions
from spair.plugins.errors import PluginError
from spair.runtime import Bundle
from spair.runtime.engine.errors import EngineError
from spair.runtime.engine.graph import EngineGraph
from spair.runtime.engine.slot import SlotOptions
from spair.runtime.errors import GateError, UserError
from spair.runtime.machine.gpu import find_device

PARTS = (0.0, 0.05, 0.2, 0.5, 1.0)
"""Shares of the picture that it rains on."""
TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2, "int8": 5e-2}
"""Largest mean error of sparse against dense; masks may differ where a logit lies at the threshold."""
WARM_UP = 4
"""Runs before the timed ones: two with new shapes, the one that is captured, and a replay."""


def time_replays(engine: EngineGraph, picture: np.ndarray, repeat: int) -> dict[str, float]:
    """Measure the milliseconds of a picture [H,W,3] uint8.

    Returns:
        {"p50", "p90", "p99"}.

    Raises:
        EngineError: the engine cannot be captured as a CUDA graph, or does not run.
    """
    with engine.own_slot(SlotOptions(spin=True)) as slot:
        slot.prepare(engine.convert({"image": picture[None]}))
        for _ in range(WARM_UP):
            slot.repeat()
        if not slot.captured:
            raise EngineError(f"the engine was not captured as a CUDA graph: {slot.refused}")
        with closing(slot.make_marks()) as marks:
            taken = []
            for _ in range(repeat):
                slot.repeat(marks)
                start, end = marks.read().total
                taken.append(end - start)
    ranks = statistics.quantiles(taken, n=100, method="inclusive")
    return {"p50": ranks[49], "p90": ranks[89], "p99": ranks[98]}


def measure(sparse: EngineGraph, dense: EngineGraph, precision: str, size: tuple[int, int], repeat: int) -> list[Any]:
    """Measure one precision, a row a picture.

    A row has the density, the milliseconds sparse and dense, and the speed-up.

    Raises:
        GateError: sparse and dense disagree.
    """
    rows = []
    for part in PARTS:
        picture = draw_rain(*size, part)
        ours, theirs = (engine.run({"image": picture[None]}) for engine in (sparse, dense))
        error = float(np.abs(ours["restored"].astype(float) - theirs["restored"]).mean()) / 255
        if not error <= TOLERANCE[precision]:
            raise GateError(f"{precision}: sparse and dense differ by {error:.2e} in the mean; nothing was timed")
        times = {"sparse_ms": time_replays(sparse, picture, repeat), "dense_ms": time_replays(dense, picture, repeat)}
        speedup = times["dense_ms"]["p50"] / times["sparse_ms"]["p50"]
        density = float(ours["mask"].mean())
        rows.append({"precision": precision, "density": density, **times, "speedup": speedup, "mean_error": error})
    return rows


def measure_all(source: Path, size: tuple[int, int], repeat: int) -> list[Any]:
    """Build and measure every precision of a bundle, see `measure`."""
    options = EngineOptions(size, size)
    precisions = Bundle.open(source).precisions
    rows = []
    with tempfile.TemporaryDirectory(prefix="spair-gpu-") as name:
        bundle = build_bundle(Path(name), precisions, options, source)
        for precision in precisions:
            with open_sparse(bundle, precision) as sparse, open_alone(bundle, precision, options) as dense:
                rows += measure(sparse, dense, precision, size, repeat)
    return rows


def parse_arguments() -> argparse.Namespace:
    """Parse the command line.

    Where nothing can be measured, it says why and stops.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="an exported bundle; the shipped weights when left out")
    parser.add_argument("--size", type=parse_size, default="1920x1080", help="WxH")
    parser.add_argument("--repeat", type=int, default=100, help="timings per picture, 2 at least")
    parser.add_argument("--json", type=Path, help="write the rows to a file as well")
    options = parser.parse_args()
    if options.repeat < 2:
        parser.error(f"--repeat must be 2 at least, got {options.repeat}")
    reason = find_reason()
    if reason is not None:
        parser.exit(0, f"nothing measured: {reason}\n")
    return options


def main() -> None:
    """Print the table, or the reason why nothing is measured."""
    options = parse_arguments()
    width, height = options.size
    device = str(find_device())
    print(f"{device}, {width}x{height}")
    try:
        rows = measure_all(options.bundle or find_bundle(), options.size, options.repeat)
    except (UserError, PluginError, GateError, EngineError, MemoryError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(getattr(error, "exit_code", 1)) from None  # a MemoryError has none
    for row in rows:
        print(
            f"{row['precision']}  {row['density']:6.1%}  sparse {row['sparse_ms']['p50']:8.3f} ms  "
            f"dense {row['dense_ms']['p50']:8.3f} ms  {row['speedup']:5.2f} times as fast"
        )
    if options.json:
        write_json(options.json, {"device": device, "size": [width, height], "rows": rows})


if __name__ == "__main__":
    main()
