"""List of files that may run as code here.

It holds the SHA-256 of each such file, so neither a name nor a place makes a file trusted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..bounds.values import parse_json
from ..bundle.checks.digest import is_digest
from ..bundle.lock import lock_bundle
from ..cache import cache_folder
from ..errors import UserError
from ..files import replace_atomically, sha256
from .ownership import check_ownership

SCHEMA = 1
"""Number of the form of the list."""


def trusted_list() -> Path:
    """Return the place of the list, which need not exist.

    Raises:
        UserError: the user has no cache folder, see `cache_folder`.
    """
    return cache_folder() / "trusted.json"


def list_trusted() -> dict[str, str]:
    """Read the list.

    Returns:
        Names by SHA-256, as they were when the files were trusted; empty without a list.

    Raises:
        UserError: the list is damaged, or another user could have written it; the message says how to mend that.
    """
    path = trusted_list()
    try:
        check_ownership(path.parent, path.parent.stat())
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as stream:
            check_ownership(path, os.fstat(descriptor))  # of the file that is read, whatever is at its place now
            return _parse(stream.read(), path)
    except FileNotFoundError:
        return {}
    except OSError as error:  # a link too
        raise UserError(
            f"cannot read the list of trusted files {path}: {error.strerror or error}; expected a file of your own"
        ) from error


def describe_trusted() -> dict[str, Any]:
    """Describe the list for reports.

    Returns:
        {"list", "files", "reason"}: its place, the number of trusted files, and why it cannot be used; None where it
        can. Without a cache folder the place is None too.
    """
    place = None
    try:
        place = str(trusted_list())
        return {"list": place, "files": len(list_trusted()), "reason": None}
    except UserError as error:
        return {"list": place, "files": 0, "reason": str(error)}


def trust_files(paths: Iterable[str | os.PathLike[str]]) -> dict[str, str]:
    """Trust files by their present content.

    Call it for files that this machine built, or that the user chose.

    Args:
        paths: the files.

    Returns:
        Names by SHA-256 of those that were not trusted before.

    Raises:
        UserError: see `trust_digests`.
        OSError: a file cannot be read.
    """
    return trust_digests({sha256(path): path.name for path in map(Path, paths)})


def trust_digests(names: Mapping[str, str]) -> dict[str, str]:
    """Trust contents by their digests.

    Args:
        names: name by SHA-256 in lower-case hexadecimal; the name is for people alone.

    Returns:
        Those that were not trusted before.

    Raises:
        UserError: the list is damaged, another user could write it, or it cannot be written.
        ValueError: a digest is none.
    """
    wrong = [digest for digest in names if not is_digest(digest)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is not a SHA-256 in lower-case hexadecimal")
    added: dict[str, str] = {}

    def add(old: dict[str, str]) -> dict[str, str]:
        added.update({digest: name for digest, name in names.items() if digest not in old})
        return {**old, **added}

    _change(add)
    return added


def forget_digests(digests: Iterable[str]) -> list[str]:
    """Take digests off the list.

    Returns:
        Those that were on it.

    Raises:
        UserError: see `trust_digests`.
    """
    wanted = set(digests)
    found: list[str] = []

    def remove(old: dict[str, str]) -> dict[str, str]:
        found.extend(digest for digest in old if digest in wanted)
        return {digest: name for digest, name in old.items() if digest not in wanted}

    _change(remove)
    return found


def _change(change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    path = trusted_list()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with lock_bundle(path):
            old = list_trusted()
            new = change(old)
            if new != old:
                _write(path, new)
    except OSError as error:
        raise UserError(
            f"cannot write the list of trusted files {path}: {error.strerror or error}; "
            "set SPAIR_CACHE to a folder that can be written"
        ) from error


def _write(path: Path, names: Mapping[str, str]) -> None:
    text = json.dumps({"schema": SCHEMA, "trusted": names}, indent=1, sort_keys=True) + "\n"
    with replace_atomically(path) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)


def _parse(content: bytes, path: Path) -> dict[str, str]:
    try:
        raw = parse_json(content)
        if raw["schema"] != SCHEMA:
            raise ValueError(f"its schema is {raw['schema']!r}, expected {SCHEMA}")
        return dict(_check_entry(*entry) for entry in raw["trusted"].items())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"the list of trusted files {path} is damaged ({type(error).__name__}: {error}); delete it, and trust "
            "again what you need with: spair trust BUNDLE"
        ) from error


def _check_entry(digest: str, name: Any) -> tuple[str, str]:
    if not is_digest(digest) or not isinstance(name, str):
        raise ValueError(f"{digest!r} is not the SHA-256 of a named file")
    return digest, name
