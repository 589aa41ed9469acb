"""Restoration of pictures with exported networks, without PyTorch."""

import os

# ONNX Runtime 1.29 and later keep a number of the user and report to their maker what is run, from the moment they are
# imported, unless this is set before; a value that the user has set stays. Every import of onnxruntime in the toolkit
# comes after one of this package.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

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
