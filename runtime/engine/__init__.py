"""TensorRT engines behind a restorer."""

from .choice import open_on_backend
from .opening import unavailable

__all__ = ["open_on_backend", "unavailable"]
