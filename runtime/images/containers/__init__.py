"""Metadata in files that libvips leaves out."""

from .extras import CONTAINERS, Extras, read_extras, write_extras

__all__ = ["CONTAINERS", "Extras", "read_extras", "write_extras"]
