"""Nothing grows: calls of changing sizes, and restorers that are opened and closed.

The default run is short; with $SPAIR_SOAK, as `make emulated` sets it, it takes ten thousand calls and a hundred
openings.
"""

import gc
import os
import resource
from pathlib import Path

import numpy as np

from spair.runtime import Restorer
from tests.runtime.engine.pictures import draw

CALLS, OPENINGS = (10_000, 100) if os.environ.get("SPAIR_SOAK") else (100, 10)


def read_memory() -> float:
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def test_calls_of_changing_sizes_leave_nothing(gpu, engine_bundle):
    sizes = [(8, 8), (17, 23), (24, 32), (24, 32), (24, 32), (40, 30), (48, 64), (1, 60), (33, 47), (24, 32)]
    with Restorer.open(engine_bundle.path, backend="tensorrt") as restorer:

        def run_all(turns):
            for turn in range(turns):
                for index, size in enumerate(sizes):
                    restorer(draw(*size, seed=turn % 5 + index))

        run_all(10)
        gc.collect()
        held, memory = gpu.live(), read_memory()
        run_all(CALLS // len(sizes))
        gc.collect()
        after = gpu.live()
        for kind in ("device", "pinned", "streams", "events"):  # graphs come and go with the shapes
            assert after[kind] == held[kind]
        grown = read_memory() - memory
        assert grown < 30, f"{grown:.1f} MB more after {CALLS} calls"  # 3 kB a call would be found in the long run


def test_openings_leave_nothing(gpu, engine_bundle):
    picture, mask = draw(24, 32), np.ones((24, 32), bool)
    for _ in range(OPENINGS):
        with Restorer.open(engine_bundle.path, backend="tensorrt") as restorer:
            for _ in range(4):
                restorer(picture)
            restorer(picture, mask=mask)
        del restorer
        gc.collect()
        assert gpu.live() == {}
