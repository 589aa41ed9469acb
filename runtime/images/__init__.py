"""Picture files: read them upright with their metadata, write them atomically."""

from .picture import Picture
from .reader import MAX_PIXELS, read_image
from .writer import FORMATS, FileFormat, writable_suffixes, write_atomically, write_image

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "FileFormat",
    "Picture",
    "read_image",
    "writable_suffixes",
    "write_atomically",
    "write_image",
]
