"""Folder of this machine's cached measurements."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """Return the folder that keeps measurements of this machine.

    It is $SPAIR_CACHE where that is set, else spair-rt in the user's cache folder.
    """
    chosen = os.environ.get("SPAIR_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "spair-rt"


def cache_file(kind: str, facts: Mapping[str, Any]) -> Path:
    """Return the file that keeps measurements made under given facts.

    Args:
        kind: beginning of the file's name, "tuning" or "calibration".
        facts: all that the measurements depend on, as JSON values; other facts give another file.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return cache_folder() / f"{kind}-{digest[:24]}.json"
