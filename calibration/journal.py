"""Measurements of a calibration, kept on disk.

Each number is written as soon as it is measured, so an interrupted calibration continues where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from ..runtime.backends.package import read_version
from ..runtime.bounds.files import read_text
from ..runtime.bounds.values import parse_json
from ..runtime.cache import cache_file
from ..runtime.errors import UserError
from ..runtime.files import write_atomically
from .options import Options
from .statistics.pictures import CalibrationPicture
from .variants import Variant

NO_DIFFERENCE = ("max_loss", "threads", "pictures", "side", "quick")
"""Options that change no number; the tiles in the key stand for the pictures."""
VERSION = 2
"""Version of the measurements; a new one makes all calibrations measure again."""


class Journal:
    """Numbers by name in one file of the cache folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recalled = 0
        """Count of the numbers that were read and not measured."""
        try:
            values = parse_json(read_text(path))
            self._values = {str(name): float(value) for name, value in values.items()}
        except (OSError, ValueError, TypeError, AttributeError):  # the file is absent or damaged: measure again
            self._values = {}

    def get(self, name: str, measure: Callable[[], float]) -> float:
        """Return a number, measured unless it is known.

        Args:
            name: name of the number in the journal.
            measure: called if the journal does not have the number; its result is kept.

        Raises:
            UserError: the cache folder cannot be written.
        """
        if name in self._values:
            self.recalled += 1
            return self._values[name]
        self._values[name] = measure()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json.dumps(self._values).encode())
        except (OSError, UserError) as error:
            raise UserError(
                f"cannot keep what was measured in {self.path}: {error}; set SPAIR_CACHE to a writable folder"
            ) from error
        return self._values[name]

    def forget(self) -> None:
        """Forget all numbers."""
        self._values = {}


def open_journal(network: Variant, tiles: Sequence[CalibrationPicture], options: Options) -> Journal:
    """Open the journal of exactly these graphs, tiles and options.

    Raises:
        UserError: there is no cache folder.
    """
    manifest = network.bundle.manifest
    chosen = {key: value for key, value in asdict(options).items() if key not in NO_DIFFERENCE}
    key = {
        "version": VERSION,
        "graphs": {part: manifest.files[path] for part, path in manifest.graphs["fp32"].items()},
        "options": chosen,
        "tiles": [tile.digest() for tile in tiles],
        "onnxruntime": read_version(),
    }
    return Journal(cache_file("calibration", key))
