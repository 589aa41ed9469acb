"""Networks that are known by their weights."""

from .known import Known
from .recognition import recognise_network

__all__ = ["Known", "recognise_network"]
