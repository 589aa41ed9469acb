"""Trust in files of bundles that run as code."""

from .bundles import CodeFile, list_code, trust_bundle
from .checking import check_trusted, read_trusted, take_library
from .store import describe_trusted, list_trusted, trust_digests, trust_files

__all__ = [
    "CodeFile",
    "check_trusted",
    "describe_trusted",
    "list_code",
    "list_trusted",
    "read_trusted",
    "take_library",
    "trust_bundle",
    "trust_digests",
    "trust_files",
]
