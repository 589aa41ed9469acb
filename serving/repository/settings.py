"""Choices that a model repository is written with."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ...runtime.errors import UserError
from .releases import Release, find_release

DEVICES = ("cpu", "cuda", "tensorrt")
"""Kinds of repositories: ONNX Runtime on the CPU, ONNX Runtime on CUDA, TensorRT engines."""
LARGEST = 2**31 - 1
"""Largest number that every field of Triton's configuration holds."""


@dataclass(frozen=True)
class Settings:
    """Way in which models are served."""

    device: str = "cpu"
    """One of `DEVICES`."""
    release: Release = field(default_factory=lambda: find_release(None))
    """Container that the repository is for."""
    precision: str = "fp32"
    """Precision of graphs or engines."""
    target: str = "local"
    """Target whose engines are taken; of use for "tensorrt" only."""
    tensorrt: str = ""
    """TensorRT of the container where the table does not have it; empty: as the table says."""
    instances: int = 1
    """Number of copies of each model that compute at a time."""
    threads: int = 0
    """CPU threads of each copy on the CPU; 0 leaves it to ONNX Runtime."""
    batch: int = 1
    """Largest number of pictures that are computed at a time; several requests are put together from 2 on. An engine
    brings its own."""
    delay: int = 2000
    """Microseconds that a request waits for others, where several are put together."""
    queue: int = 32
    """Largest number of requests that wait for a model; more are refused."""
    seconds: float = 60.0
    """Longest time that a request waits for a model; then it is refused."""
    usual: tuple[int, int] = (1280, 720)
    """Width and height in pixels that models are warmed up with."""
    pixels: int = 8_388_608
    """Largest number of pixels of a picture file; the graph is not cut into tiles, so memory grows with it."""

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise UserError(f"the device is {self.device!r}, expected one of {', '.join(DEVICES)}")
        numbers = (self.instances, self.batch, self.queue, self.pixels, *self.usual)
        if min(numbers) < 1 or min(self.threads, self.delay) < 0 or not self.seconds > 0:
            raise UserError(f"settings of a repository must be positive, got {self}")
        if max(*numbers, self.threads, self.delay, self.seconds) > LARGEST:
            raise UserError(f"settings of a repository must be at most {LARGEST}, got {self}")
        if self.tensorrt and not re.fullmatch(r"\d+\.\d+\.\d+(\.\d+)?", self.tensorrt):
            raise UserError(f"the version of TensorRT is {self.tensorrt!r}, expected one like 10.5.0.18")

    @property
    def batches(self) -> bool:
        """Whether requests are put together."""
        return self.device != "cpu" and self.batch > 1

    @property
    def container_tensorrt(self) -> str:
        """Version of the container's TensorRT, or empty."""
        return self.tensorrt or self.release.tensorrt
