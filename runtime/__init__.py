"""SPAIR-RT runtime: bundles, engines, tiling and the `Restorer`; never imports torch."""

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
