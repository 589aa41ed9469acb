"""Restoration of pictures with exported networks, without PyTorch."""

from .bundle.reader import Bundle
from .errors import GateError, UserError
from .images import Picture, read_image, write_image
from .restorer import Restorer, Result

__all__ = [
    "Bundle",
    "GateError",
    "Picture",
    "Restorer",
    "Result",
    "UserError",
    "read_image",
    "write_image",
]
