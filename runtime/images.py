"""Picture files: read them upright with their metadata, write them atomically."""

from .image_reader import MAX_PIXELS, read_image
from .image_writer import FORMATS, FileFormat, writable_suffixes, write_atomically, write_image
from .picture import Picture

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
