"""Fingerprints of measured pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ..data.pairs import Pair


def fingerprint(pairs: Iterable[Pair]) -> str:
    """Compute the SHA-256 over names and contents of all files.

    Two reports with the same fingerprint measured the same pictures.
    """
    digest = hashlib.sha256()
    for pair in pairs:
        if pair.side:
            digest.update(f"{pair.side}\0".encode())
        for path in (pair.input, None if pair.side else pair.target, pair.mask):
            content = path.read_bytes() if path is not None else b""
            digest.update(f"{pair.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
