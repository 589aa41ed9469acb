"""Script of the process that times an engine's layers."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ....runtime.cuda import open_cuda
from ....runtime.engine.errors import EngineError
from ....runtime.engine.graph import EngineGraph
from ....runtime.engine.pool import SlotPool
from ....runtime.engine.slot import SlotOptions
from ....runtime.engine.tensorrt import TensorRT
from ....runtime.errors import UserError
from ....runtime.profiling.engines.layers import measure_layers
from .scenes import SEED


def time_layers(job: dict[str, Any], plan: bytes, masks: list[np.ndarray], tell: Any) -> list[dict[str, float]]:
    """Time the layers of an engine under each mask.

    All other inputs are noise, which takes a layer as long as real values.

    Args:
        job: "package" that runs the engine, "library" of plugins, "mask" (the input's name) and "inputs" (shapes by
            the input's name).
        plan: content of the engine's file.
        masks: [H, W] bool.
        tell: called with the number of each mask before it is timed.

    Returns:
        Median milliseconds by the layer's name, for each mask.

    Raises:
        UserError, EngineError, MemoryError: the engine does not load, or does not run.
    """
    cuda = open_cuda()
    with cuda.current():
        runtime = TensorRT(job["package"]).open_runtime(Path(job["library"]))
        engine = runtime.load_engine(plan, "the engine that is tuned")
        graph = EngineGraph(engine.tensors, SlotPool(cuda, engine, lead=job["mask"], slots=1, options=SlotOptions()))
        del engine  # the graph lets it go when it is closed
    random = np.random.default_rng(SEED)
    feeds = {name: random.random(shape, np.float32) for name, shape in job["inputs"].items()}
    try:
        with closing(graph):
            return [
                _time(graph, {**feeds, job["mask"]: mask[None, None].astype(np.float32)})
                for number, mask in enumerate(masks)
                if tell(number) is None
            ]
    finally:
        with cuda.current():  # after its engine
            del runtime


def _time(graph: EngineGraph, feeds: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the median milliseconds of each layer."""
    return {layer["name"]: layer["median_ms"] for layer in measure_layers(graph, feeds)["layers"]}


def main() -> None:
    """Time the engine of a folder.

    The first argument is the folder. It has "job.json", see `time_layers`, "engine" and "masks.npz"; the times are
    written beside them as "times.json". The second argument is the number of a pipe, which gets the number of each
    mask before it is timed. What the runtime, TensorRT or the GPU refuses goes to the file "error".
    """
    folder, pipe = Path(sys.argv[1]), int(sys.argv[2])
    job = json.loads((folder / "job.json").read_text())
    with np.load(folder / "masks.npz") as stored:
        masks = [stored[name] for name in stored]
    try:
        times = time_layers(
            job, (folder / "engine").read_bytes(), masks, lambda number: os.write(pipe, f"{number}\n".encode()) and None
        )
        (folder / "times.json").write_text(json.dumps(times))
    except (UserError, EngineError, MemoryError) as error:
        words = str(error) or "there is not enough memory"  # Python's own MemoryError has no words
        (folder / "error").write_text(words)


if __name__ == "__main__":
    main()
