"""Cache of compiled kernels and libraries, by content.

A key is a hash of everything that decides a result, so a stale result is never found.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...temporary.places import place_beside
from ..errors import PluginError

_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Cache:
    """Folder with one archive for each key.

    Without a folder nothing is kept.
    """

    folder: Path | None = None

    def load(self, key: str) -> dict[str, bytes] | None:
        """Read the parts kept under a key.

        Returns None where nothing is kept, or where the archive is damaged; the caller then makes the parts again.
        """
        if self.folder is None:
            return None
        try:
            with zipfile.ZipFile(self.folder / f"{key}.zip") as archive:
                return {name: archive.read(name) for name in archive.namelist()}  # checks each part's CRC
        except (OSError, zipfile.BadZipFile, ValueError, EOFError):
            return None

    def store(self, key: str, parts: Mapping[str, bytes]) -> None:
        """Keep the parts of a result under a key.

        A failure leaves what was kept before.

        Raises:
            PluginError: the folder cannot be written.
        """
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            target = self.folder / f"{key}.zip"
            with place_beside(target) as temporary:
                with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
                    for part, data in parts.items():
                        archive.writestr(zipfile.ZipInfo(part, _DATE), data, zipfile.ZIP_DEFLATED)
                temporary.replace(target)
        except OSError as error:
            raise PluginError(
                f"cannot keep compiled kernels in {self.folder}: {error.strerror or error}; "
                "set SPAIR_CACHE to a folder that can be written, or build with --no-cache"
            ) from error

    def drop(self, key: str) -> None:
        """Forget what is kept under a key, if anything is.

        Raises:
            PluginError: the file cannot be removed.
        """
        if self.folder is None:
            return
        path = self.folder / f"{key}.zip"
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise PluginError(f"cannot remove {path}: {error.strerror or error}; remove it yourself") from error


def make_key(facts: Mapping[str, Any]) -> str:
    """Hash all facts that decide a result.

    Args:
        facts: JSON values, among them the hashes of files.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def hash_files(files: Mapping[str, Path]) -> dict[str, str]:
    """Compute the SHA-256 of files by their names."""
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sorted(files.items())}
