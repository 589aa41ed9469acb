"""Estimate of how long engines take to build."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...runtime.bounds.files import read_text
from ...runtime.bounds.values import parse_json
from ...runtime.bundle.engine_key import EngineKey
from ...runtime.clock import format_seconds
from ...runtime.files import write_atomically


@dataclass(frozen=True)
class Estimate:
    """Number of engines to build, with their expected seconds."""

    engines: int
    """Number of engines to build."""
    cached: int
    """Number of engines that are in the cache already."""
    measured: int
    """Number of engines to build of which an earlier build was measured here."""
    seconds: float
    """Sum of the seconds of these earlier builds."""

    def __str__(self) -> str:
        words = f"{self.engines} engines to build, {self.cached} from the cache"
        if not self.engines:
            return words
        if not self.measured:
            return f"{words}; no engine was built here before, so how long it takes is not known"
        least = "" if self.measured == self.engines else "at least "
        return f"{words}; {least}{format_seconds(self.seconds)} by earlier builds of {self.measured} of them here"

    def to_json(self) -> dict[str, Any]:
        """Return the entry "estimate" of the report.

        Seconds are None where nothing was measured.
        """
        known = round(self.seconds, 1) if self.measured else None
        return {"engines": self.engines, "cached": self.cached, "measured": self.measured, "seconds": known}


class BuildTimes:
    """Seconds of earlier builds, in a file of the cache."""

    def __init__(self, file: Path | None) -> None:
        """Read the file.

        A file that cannot be read counts as empty.

        Args:
            file: the file; None keeps nothing.
        """
        self._file = file
        self._seconds = _read(file)

    def find(self, name: str) -> float | None:
        """Return the seconds kept under a name, or None."""
        return self._seconds.get(name)

    def keep(self, name: str, seconds: float) -> None:
        """Keep what a build took.

        Args:
            name: the same for all builds that take about as long, such as `name_build` makes.
            seconds: what it took.

        Raises:
            UserError: the file cannot be written.
        """
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._seconds = {**_read(self._file), name: round(seconds, 2)}
        write_atomically(self._file, (json.dumps(self._seconds, indent=1, sort_keys=True) + "\n").encode())

    def estimate(self, to_build: Sequence[EngineKey], cached: int) -> Estimate:
        """Estimate the seconds of builds.

        Args:
            to_build: keys of the engines to build.
            cached: number of further engines that need no build.
        """
        known = [self._seconds[name_build(key)] for key in to_build if name_build(key) in self._seconds]
        return Estimate(len(to_build), cached, len(known), sum(known))


def name_build(key: EngineKey) -> str:
    """Name all builds that take about as long as one."""
    place = key.device or f"sm {', '.join(map(str, key.architectures))}"
    level = key.options.get("level")
    return f"{key.builder} {key.version}, {place}: {key.precision} {key.part}, level {level}"


def _read(file: Path | None) -> dict[str, float]:
    if file is None:
        return {}
    try:
        found = parse_json(read_text(file))
        return {str(name): float(seconds) for name, seconds in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
