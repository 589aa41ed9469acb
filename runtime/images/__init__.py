"""Picture files, read upright with their metadata and written atomically."""

from .picture import Picture
from .reader import MAX_PIXELS, read_image
from .writer import FORMATS, FileFormat, writable_suffixes, write_image

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "FileFormat",
    "Picture",
    "read_image",
    "writable_suffixes",
    "write_image",
]
