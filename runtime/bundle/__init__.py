"""Bundle folders with their manifest, graphs and engines."""

from .manifest import Manifest, parse_manifest
from .reader import Bundle
from .writer import extend_bundle, write_bundle

__all__ = ["Bundle", "Manifest", "extend_bundle", "parse_manifest", "write_bundle"]
