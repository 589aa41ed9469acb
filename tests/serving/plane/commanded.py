"""A restorer that does what the first pixel of a picture of 1x1 says, for tests of processes.

Child processes import it by its path. Any other picture is inverted, with a mask of its upper half.
"""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import ClassVar

import numpy as np

from spair.runtime import GateError, Result, UserError
from spair.runtime.engine.errors import LostGpuError
from spair.runtime.tiling.network import TileCounts
from spair.serving.options import ModelOptions

KILL, KILL_ONCE, HANG, LOSE_GPU_ONCE, LOSE_CUDA_ONCE, MISS_GATE, FAIL, RUN_OUT, WAIT, HOLD = range(101, 111)
OPENER = f"{__name__}:open_commanded"
SLOTS_OPENER = f"{__name__}:open_with_slots"


class Commanded:
    """What the data plane needs of a restorer."""

    scale = 1
    facts: ClassVar[dict[str, str]] = {"task": "rain", "preset": "tiny", "precision": "fp32"}

    def __init__(self, folder: Path, backend: str) -> None:
        self._folder, self.backend = folder, backend

    def __call__(self, image: np.ndarray) -> Result:
        first = int(image.flat[0])
        if image.shape[:2] != (41, 97) and image.shape[:2] != (64, 64):  # those of the warm-up
            with (self._folder / "calls").open("a") as calls:
                calls.write(f"{os.getpid()} {first}\n")
        if image.shape[:2] == (1, 1):
            self._obey(first)
        mask = np.zeros(image.shape[:2], bool)
        mask[: (len(mask) + 1) // 2] = True
        return Result(255 - image, mask, float(mask.mean()), {"net_l": 0.25}, TileCounts(1, 2, 3))

    def _obey(self, command: int) -> None:
        if command == KILL or (command == KILL_ONCE and self._is_first()):
            os.kill(os.getpid(), signal.SIGKILL)
        elif command == HANG:
            time.sleep(600)
        elif command == HOLD:
            re.match(r"(a+)+$", "a" * 64 + "b")  # for ever, and no other thread runs meanwhile
        elif command == LOSE_GPU_ONCE and self._is_first():
            raise LostGpuError("the GPU was lost (made up)")
        elif command == LOSE_CUDA_ONCE and self._is_first():
            raise RuntimeError("CUDA failure 700: an illegal memory access was encountered ; GPU=0")
        elif command == MISS_GATE:
            raise GateError("the network gave values that are not finite")
        elif command == FAIL:
            raise KeyError("a bug")
        elif command == RUN_OUT:
            raise MemoryError("5 GiB")
        elif command == WAIT:
            while not (self._folder / "go").exists():
                time.sleep(0.002)

    def _is_first(self) -> bool:
        mark = self._folder / "done"
        if mark.exists():
            return False
        mark.touch()
        return True


def open_commanded(path: str, options: ModelOptions) -> Commanded:
    """Open it; files in the folder make that fail."""
    folder = Path(path)
    if (folder / "refuse").exists():
        raise UserError(f"cannot open {path}: a file says so")
    if (folder / "crash").exists():
        os.kill(os.getpid(), signal.SIGSEGV)
    if (folder / "stall").exists():
        time.sleep(600)
    if (folder / "bug").exists():
        raise KeyError("a bug")
    return Commanded(folder, "onnxruntime")


def open_with_slots(path: str, options: ModelOptions) -> Commanded:
    """Open it as engines, which have slots."""
    return Commanded(Path(path), "tensorrt")
