"""CUDA driver, as far as running an engine needs it."""

from .driver import open_cuda, unavailable
from .errors import CudaError
from .protocol import CapturedWork, Cuda, Event, Memory, Pinned, Stream

__all__ = ["CapturedWork", "Cuda", "CudaError", "Event", "Memory", "Pinned", "Stream", "open_cuda", "unavailable"]
