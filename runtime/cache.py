"""Folder of this machine's cached measurements."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder that keeps measurements of this machine.

    It is $SPAIR_CACHE where that is set, else spair-rt in the user's cache folder.
    """
    chosen = os.environ.get("SPAIR_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "spair-rt"
