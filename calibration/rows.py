"""Speed of a precision on the kernels of the processor."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..runtime import Bundle, Restorer
from ..runtime.bundle.precision import ROWS
from ..runtime.bundle.reader import DERIVED_FROM
from ..runtime.cpu.choice import refuse_machine
from ..runtime.cpu.comparison import RowProgramError
from ..runtime.cpu.opening import BACKEND
from ..runtime.machine.processor import count_cores, read_cpu_name
from ..runtime.profiling.timing import Repeats, take_turns
from .speed import FEWEST_RUNS, LONGEST, RUNS, WORTH
from .statistics.pictures import CalibrationPicture

GRAPHS = "onnxruntime"


def time_rows(
    bundle: Bundle, precision: str, picture: CalibrationPicture, threads: int | None
) -> dict[str, Any] | None:
    """Time whole pictures in FP32 and in a precision.

    The backend cpu takes turns with itself, and with ONNX Runtime where that has the precision as well. Times are
    medians in ms from an 8-bit picture to the restored one.

    Args:
        bundle: a bundle with row programs.
        precision: one of its row programs, or one that is derived from them.
        picture: what is restored.
        threads: number of threads; None takes all cores.

    Returns:
        {"fp32_ms", "ms", "kept", "graphs_ms"}: "kept" says whether the precision is worth it, and "graphs_ms" is None
        without ONNX Runtime; None where the kernels do not work, or the bundle has no row program in the precision that
        computes what its graphs do.
    """
    if (
        refuse_machine() is not None
        or not {"fp32", DERIVED_FROM.get(precision, precision)} <= bundle.manifest.rows.keys()
    ):
        return None
    image = np.rint(255 * picture.pixels).astype(np.uint8)
    wanted = {"fp32_ms": (BACKEND, "fp32"), "ms": (BACKEND, precision)}
    if precision in bundle.manifest.graphs:
        wanted["graphs_ms"] = (GRAPHS, precision)
    with contextlib.ExitStack() as stack:
        runs: dict[str, Callable[[], Any]] = {}
        for name, (backend, one) in wanted.items():
            try:
                opened = Restorer.open(bundle.path, backend=backend, precision=one, threads=threads)
            except RowProgramError:
                return None  # whoever opens it is told, and the graphs of the precision are as good as ever
            runs[name] = partial(stack.enter_context(opened), image)
        repeats = Repeats(RUNS, seconds=LONGEST / len(runs), least=FEWEST_RUNS)
        seconds = take_turns(runs, lambda name: repeats, warm_first=True)
    times: dict[str, Any] = {name: 1e3 * float(np.median(values)) for name, values in seconds.items()}
    return {"graphs_ms": None, **times, "kept": times["ms"] < WORTH * times["fp32_ms"]}


def describe_speed(times: dict[str, Any], picture: CalibrationPicture, threads: int | None) -> dict[str, Any]:
    """Return the report's entry "speed" for rows alone."""
    here = {"machine": read_cpu_name(), "cores": count_cores(), "threads": threads}
    return {**here, "picture": picture.name, "parts": {ROWS: times}}
