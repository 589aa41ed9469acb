"""Folder of this machine's cached measurements."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import UserError


def cache_folder() -> Path:
    """Return the folder that keeps measurements of this machine.

    It is $SPAIR_CACHE where that is set, else spair-rt in the user's cache folder.

    Raises:
        UserError: SPAIR_CACHE is not set, and the user has no home folder.
    """
    chosen = os.environ.get("SPAIR_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "spair-rt"
    except RuntimeError as error:
        reason = str(error).rstrip(".")
        raise UserError(
            f"cannot find the cache folder: {reason}; set SPAIR_CACHE to a folder that can be written"
        ) from error


def models_folder() -> Path:
    """Return the folder of bundles made of shipped weights.

    Raises:
        UserError: see `cache_folder`.
    """
    return cache_folder() / "models"


def is_shared_bundle(path: Path) -> bool:
    """Tell whether a bundle is that of shipped weights."""
    try:
        return path.resolve().is_relative_to(models_folder().resolve())
    except UserError:  # without a cache there are none
        return False


def cache_file(kind: str, facts: Mapping[str, Any]) -> Path:
    """Return the file that keeps measurements made under given facts.

    Args:
        kind: beginning of the file's name, "tuning" or "calibration".
        facts: all that the measurements depend on, as JSON values; other facts give another file.

    Raises:
        UserError: see `cache_folder`.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return cache_folder() / f"{kind}-{digest[:24]}.json"
