"""Library of kernels for the processor."""

from .loading import Library, ThreadPool, load_library, unavailable

__all__ = ["Library", "ThreadPool", "load_library", "unavailable"]
