"""Check of files before they run as code.

The bytes that are checked are the bytes that run: an engine is handed over in memory, and a library is copied into a
folder that only this user can write.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..bundle.checks.digest import compute_digest
from ..cache import cache_folder
from ..errors import UserError, quote
from ..files import replace_atomically, sha256
from .ownership import check_ownership
from .store import list_trusted


def check_trusted(paths: Iterable[Path], *, bundle: Path) -> None:
    """Refuse files that nobody has trusted.

    Nothing is loaded. A caller that goes on to load a file reads it by `read_trusted` or `take_library`, since the file
    may have been replaced in between.

    Args:
        paths: libraries and engines.
        bundle: folder of the bundle that they belong to, for the message.

    Raises:
        UserError: a file is not on the list of trusted files; the message names all of these files, and says how to
            trust them. The list is damaged, or another user could have written it.
    """
    _refuse_untrusted({path: sha256(path) for path in paths}, bundle)


def read_trusted(path: Path, *, bundle: Path, trust_code: bool = False) -> bytes:
    """Read a trusted file once, and return what was checked.

    Args:
        path: an engine.
        bundle: folder of its bundle, for the message.
        trust_code: take it without a check, because the user said so for this once.

    Raises:
        UserError: see `check_trusted`.
    """
    content = path.read_bytes()
    if not trust_code:
        _refuse_untrusted({path: compute_digest(content)}, bundle)
    return content


def take_library(path: Path, *, bundle: Path, trust_code: bool = False) -> Path:
    """Copy a trusted library to where it can be loaded.

    The system loads a library by its path, so a check of a file in a bundle could be undone by replacing the file. The
    copy lies in a folder of the cache that is named by its digest and that only this user can write. There are no other
    files beside it, so it cannot bring in libraries of the bundle.

    Args:
        path: the library.
        bundle: folder of its bundle, for the message.
        trust_code: take it without a check and a copy, because the user said so for this once.

    Returns:
        Path to load; `path` itself with `trust_code`.

    Raises:
        UserError: see `check_trusted`; the cache cannot be written, or other users can write it.
    """
    if trust_code:
        return path
    content = path.read_bytes()
    digest = compute_digest(content)
    _refuse_untrusted({path: digest}, bundle)
    copy = library_folder(digest) / path.name
    try:
        _make_private(copy.parent)
        if not _holds(copy, digest):
            with replace_atomically(copy) as temporary:
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o500)
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(content)
    except OSError as error:
        raise UserError(
            f"cannot copy the library {path} to {copy}: {error.strerror or error}; "
            "set SPAIR_CACHE to a folder that can be written"
        ) from error
    return copy


def library_folder(digest: str) -> Path:
    """Return the folder for a library's copy.

    Raises:
        UserError: see `cache_folder`.
    """
    return cache_folder() / "libraries" / digest


def _make_private(folder: Path) -> None:
    """Make the private folder of a copy.

    All that leads to it from the cache on is checked.
    """
    for place in (folder.parent.parent, folder.parent, folder):
        place.mkdir(mode=0o700, exist_ok=True)  # `parents` would leave those between to the umask
        check_ownership(place, place.stat())


def _holds(copy: Path, digest: str) -> bool:
    if copy.is_symlink() or not copy.is_file():
        return False
    check_ownership(copy, copy.stat())
    return sha256(copy) == digest


def _refuse_untrusted(digests: Mapping[Path, str], bundle: Path) -> None:
    trusted = list_trusted()
    unknown = {path: digest for path, digest in digests.items() if digest not in trusted}
    if unknown:
        files = ", ".join(f"{_inside(path, bundle)} (SHA-256 {digest[:12]}…)" for path, digest in unknown.items())
        raise UserError(
            f"the bundle {bundle} holds code that was not built on this machine: {files}; it would run with your "
            f"rights, so nothing of it was loaded; if you know where it comes from, run: spair trust {quote(bundle)}, "
            "or give --trust-code (in Python trust_code=True) for this once"
        )


def _inside(path: Path, bundle: Path) -> str:
    return path.relative_to(bundle).as_posix() if path.is_relative_to(bundle) else str(path)
