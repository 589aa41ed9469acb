"""Digest that stands for a whole bundle.

It is the SHA-256 of the manifest. The manifest lists the SHA-256 of every file, which is checked before the file is
used, so one digest fixes the numbers of the manifest, the graphs, the engines and the libraries. It is what `sha256sum
manifest.json` prints. Files that are models by themselves have their own SHA-256 as digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from ...errors import UserError
from ...files import sha256

_DIGEST = re.compile(r"[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Tell whether a text is a SHA-256 in lower-case hexadecimal."""
    return _DIGEST.fullmatch(text) is not None


def compute_digest(content: bytes) -> str:
    """Compute the SHA-256 of bytes in lower-case hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def read_digests(texts: Iterable[str]) -> tuple[str, ...]:
    """Read digests that a user gives.

    Returns:
        The digests in lower case.

    Raises:
        UserError: a text is no SHA-256.
    """
    digests = tuple(text.strip().lower() for text in texts)
    for digest in digests:
        if not is_digest(digest):
            raise UserError(
                f"{digest!r} is no digest, expected the 64 hexadecimal digits that spair inspect shows as digest"
            )
    return digests


def check_digest(found: str, expected: Collection[str], path: Path) -> None:
    """Refuse a model with another digest than expected.

    Args:
        found: the model's digest.
        expected: digests of which it must have one; empty where any will do.
        path: the model, for the message.

    Raises:
        UserError: it has none of them.
    """
    if expected and found not in expected:
        wanted = " or ".join(expected)
        raise UserError(
            f"{path} has the digest {found}, expected {wanted}; it is another model or was changed, and nothing of it "
            "was used: take the one that you mean, or give its digest"
        )


def check_file_digest(path: Path, expected: Collection[str]) -> None:
    """Refuse a model's file with another digest than expected.

    Raises:
        UserError: see `check_digest`.
        OSError: the file cannot be read.
    """
    if expected:
        check_digest(sha256(path), expected, path)
