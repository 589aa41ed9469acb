"""Journal of a run on a cluster.

It lies in a folder that all nodes share. Ray repeats work when a process or a node is lost. The journal keeps finished
pictures from being restored again, and a picture that kills processes from being tried for ever.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...runtime.batch.jobs import FailureRecord, ImageRecord, Outcome, SkipRecord
from ...runtime.bounds.files import read_text
from ...runtime.bounds.values import parse_json
from ...runtime.files import write_atomically
from ...runtime.tiling.network import TileCounts
from ...temporary.places import place_beside

NAME = "spair-ray"
"""Word in the names of journals, which are hidden temporary folders among the results."""
MAX_TRIES = 3
"""Number of processes that may die at one picture."""


class Journal:
    """Outcomes and beginnings of jobs by number."""

    def __init__(self, folder: Path) -> None:
        """Open a journal.

        Args:
            folder: existing folder of this run alone.
        """
        self._folder = folder

    def find(self, number: int) -> Outcome | None:
        """Return the outcome of a job.

        None if it was not finished, or its file is damaged.
        """
        try:
            return parse_outcome(read_text(self._folder / f"{number}.json"))
        except (OSError, ValueError, TypeError, LookupError, AttributeError):  # absent or damaged: do the job again
            return None

    def begin(self, number: int) -> bool:
        """Note that a job begins.

        Returns:
            Whether it may; False after `MAX_TRIES` beginnings without an end.
        """
        for attempt in range(MAX_TRIES):
            try:
                (self._folder / f"{number}.{attempt}").touch(exist_ok=False)
            except FileExistsError:
                continue
            return True
        return False

    def finish(self, number: int, outcome: Outcome) -> None:
        """Keep the outcome of a job."""
        write_atomically(self._folder / f"{number}.json", format_outcome(outcome).encode())


@contextmanager
def open_journal(out: Path) -> Iterator[Path]:
    """Make a folder for a journal.

    It is removed in the end.

    Args:
        out: existing folder of the results.
    """
    with place_beside(out / NAME) as folder:
        folder.mkdir()  # with the usual rights: actors may run as another user of the group, as results allow it
        yield folder


def format_outcome(outcome: Outcome) -> str:
    """Write an outcome as JSON."""
    return json.dumps({"kind": type(outcome).__name__, **asdict(outcome)})


def parse_outcome(text: str) -> Outcome:
    """Read an outcome from the JSON of `format_outcome`."""
    fields: dict[str, Any] = parse_json(text)
    kind = fields.pop("kind")
    if kind == ImageRecord.__name__:
        return ImageRecord(**{**fields, "tiles": TileCounts(**fields["tiles"])})
    return SkipRecord(**fields) if kind == SkipRecord.__name__ else FailureRecord(**fields)
