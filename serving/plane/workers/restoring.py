"""Restoring of the pictures of a task."""

from __future__ import annotations

import math
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ....runtime import GateError, Picture, Result, UserError
from ....runtime.cuda import CudaError
from ....runtime.engine.errors import EngineError, LostGpuError
from ....runtime.images import check_encodable, decode_image, encode_image
from .memory import Arena, align
from .opening import Restoring
from .protocol import PIXELS_TASK, Reply, Report, Task

PICTURE = "the picture"
"""Words that messages call the picture of a request by, which has no name."""


def run_task(restorer: Restoring, task: Task, arena: Arena) -> Reply:
    """Restore the pictures in an arena.

    Results are written behind them. A picture that fails does not hinder the others.

    Returns:
        The reply; its `lost` says that nothing will succeed any more in this process.
    """
    try:
        if task.kind == PIXELS_TASK:
            return _restore_pixels(restorer, task, arena)
        return _restore_file(restorer, task, arena)
    except Exception as error:
        if is_lost(error):
            return Reply(lost=str(error))
        raise


def is_lost(error: Exception) -> bool:
    """Tell whether an error means a lost GPU.

    Nothing runs on it any more until the process ends. ONNX Runtime passes the driver's refusals on as words alone.
    """
    if isinstance(error, LostGpuError):
        return True
    if isinstance(error, UserError | GateError | EngineError | MemoryError | OSError):
        return False
    if isinstance(error, CudaError):
        return error.fatal
    return "CUDA" in str(error) and CudaError(str(error)).fatal


def _restore_pixels(restorer: Restoring, task: Task, arena: Arena) -> Reply:
    places = _place_outputs(task, restorer.scale)
    ends = {name: place + math.prod(shape) for name, (place, shape) in places.items()}
    memory = arena.map(max([task_size(task), *ends.values()]))
    pictures = memory[: task_size(task)].reshape(task.shape)
    outputs = {name: memory[place : ends[name]].reshape(shape) for name, (place, shape) in places.items()}
    reports = []
    for index in range(len(pictures)):
        start = time.perf_counter()
        image = np.ascontiguousarray(pictures[index].transpose(1, 2, 0))
        taken = time.perf_counter()
        try:
            result = restorer(image, **_choose_options(task))
        except Exception as error:
            reports.append(_report_failure(error))
            continue
        restored = time.perf_counter()
        if "restored" in outputs:
            outputs["restored"][index] = result.image.transpose(2, 0, 1)
        if "mask" in outputs:
            outputs["mask"][index, 0] = 1 if result.mask is None else result.mask
        reports.append(_report(result, (start, taken, restored, time.perf_counter())))
    return Reply(tuple(reports), places)


def task_size(task: Task) -> int:
    """Return the number of bytes of a task."""
    return math.prod(task.shape)


def _place_outputs(task: Task, scale: int) -> dict[str, tuple[int, tuple[int, ...]]]:
    count, _, height, width = task.shape
    places: dict[str, tuple[int, tuple[int, ...]]] = {}
    place = align(task_size(task))
    for name, channels, factor in (("restored", 3, scale), ("mask", 1, 1)):
        if name in task.wanted:
            shape = (count, channels, factor * height, factor * width)
            places[name] = (place, shape)
            place = align(place + math.prod(shape))
    return places


def _restore_file(restorer: Restoring, task: Task, arena: Arena) -> Reply:
    start = time.perf_counter()
    try:
        picture = decode_image(arena.read(0, task.shape).tobytes(), name=PICTURE, max_pixels=task.max_pixels)
        form = picture.format or "PNG" if task.format == "input" else "PNG"
        if "restored" in task.wanted:  # refused before the work, not after it
            check_encodable(picture, form, name=PICTURE)
        taken = time.perf_counter()
        result = restorer(picture.pixels, **_choose_options(task))
        restored = time.perf_counter()
        files = _encode(task.wanted, picture, result, form)
    except Exception as error:
        return Reply((_report_failure(error),))
    places, place = {}, align(task_size(task))
    for name, data in files.items():
        places[name] = (place, (len(data),))
        place = align(arena.write(place, data))
    return Reply((_report(result, (start, taken, restored, time.perf_counter())),), places)


def _choose_options(task: Task) -> dict[str, float | str]:
    """Return the options that a task asks for."""
    return {} if task.threshold is None else {"threshold": task.threshold}


def _encode(wanted: Sequence[str], picture: Picture, result: Result, form: str) -> dict[str, bytes]:
    files = {}
    if "restored" in wanted:
        files["restored"] = encode_image(replace(picture, pixels=result.image), form, name=PICTURE)
    if "mask" in wanted:
        found = np.ones(picture.pixels.shape[:2], bool) if result.mask is None else result.mask
        files["mask"] = encode_image(Picture(found[..., None].astype(np.uint8) * np.uint8(255)), name="the mask")
    return files


def _report(result: Result, times: tuple[float, float, float, float]) -> Report:
    start, taken, restored, end = times
    return Report(
        density=result.density,
        tiles=(result.tiles.skipped, result.tiles.packed, result.tiles.dense),
        stages=dict(result.timings),
        seconds=(taken - start, restored - taken, end - restored),
    )


def _report_failure(error: Exception) -> Report:
    """Say why a picture was not restored.

    Raises:
        Exception: the same error, where the GPU was lost.
    """
    if is_lost(error):
        raise error
    if isinstance(error, UserError | GateError | EngineError):
        return Report(failure=str(error), status=error.http_status)
    if isinstance(error, MemoryError):
        words = f" ({error})" if str(error) else ""
        return Report(failure=f"memory ran out{words}; send smaller pictures", status=500)
    traceback.print_exception(error, file=sys.stderr)
    words = f"an internal error ({type(error).__name__}); its traceback is in the log of the server"
    return Report(failure=f"restoring {PICTURE} failed with {words}", status=500)
