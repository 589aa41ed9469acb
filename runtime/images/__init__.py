"""Picture files, read upright with their metadata and written atomically."""

from .claims import MAX_PIXELS, LargePictureError
from .picture import Picture
from .reader import decode_image, read_image
from .writer import (
    FORMATS,
    FileFormat,
    check_encodable,
    encode_image,
    find_format_of,
    list_dropped,
    writable_suffixes,
    write_image,
)

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "FileFormat",
    "LargePictureError",
    "Picture",
    "check_encodable",
    "decode_image",
    "encode_image",
    "find_format_of",
    "list_dropped",
    "read_image",
    "writable_suffixes",
    "write_image",
]
