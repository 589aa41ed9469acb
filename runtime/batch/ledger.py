"""Record of the results in a folder.

A batch resumes by it. It is a hidden file in the folder of the results, with a line for each result: what it was made
from, and how. A result without a line is made anew, since nobody knows how it was made.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..bounds.files import read_bounded
from ..files import write_atomically
from .planning import Job

NAME = ".spair-results.jsonl"
"""Name of the file."""
MOST_BYTES = 256 * 1024**2
"""Bytes of the largest file that is read; a result takes about 200."""
_SPARE = 1000
"""Number of outdated lines that the file may hold before it is written anew."""

Stamp = list[int]
"""Size in bytes and time of change in nanoseconds, of a picture that is read."""


class Ledger:
    """Record of how the results in a folder were made.

    A line is added after each result, so that a batch that was killed resumes too. Where the file cannot be written,
    the batch goes on, and a later one makes the results anew.
    """

    def __init__(self, folder: Path, model: Mapping[str, Any]) -> None:
        """Read the record of a folder.

        Args:
            folder: folder of the results.
            model: facts that decide the results, as JSON values: the digest of the model, its precision and its
                options. Those of a job are added to them.
        """
        self._folder, self._file, self._model = folder, folder / NAME, dict(model)
        self._entries, lines = _read(self._file)
        if lines > len(self._entries) + _SPARE:
            self._shorten()

    def is_done(self, job: Job) -> bool:
        """Tell whether a job would give its results again.

        They are there. The picture, the model and the options are those of the record, and so are the sizes of the
        files.
        """
        entry = self._entries.get(self._key(job))
        if job.obstacle is not None or not isinstance(entry, dict) or entry.get("settings") != self._digest(job):
            return False
        files = entry.get("files")
        if not isinstance(files, dict) or not files or entry.get("input") != read_stamp(job.source):
            return False
        if job.mask is not None and job.mask.name not in files:
            return False
        return all(_has_size(job.output.with_name(name), size) for name, size in files.items())

    @property
    def model(self) -> dict[str, Any]:
        """Facts of the model that decide results."""
        return dict(self._model)

    def begin(self, job: Job) -> Stamp | None:
        """Take back what is recorded of a job.

        Its results are about to be replaced.

        Returns:
            Stamp of its picture, for `add`; None where it cannot be read.
        """
        if self._entries.pop(self._key(job), None) is not None:
            self._append(self._key(job), None)
        return read_stamp(job.source)

    def add(self, job: Job, stamp: Stamp | None, output: Path) -> None:
        """Record the results of a job.

        Args:
            job: the job.
            stamp: what `begin` returned, from before the picture was read.
            output: the restored file, whose format may not be the planned one.
        """
        if stamp is None:
            return
        written = [output.name] if job.mask is None else [output.name, job.mask.name]
        with contextlib.suppress(OSError):  # of a result that was removed at once
            files = {name: job.output.with_name(name).stat().st_size for name in written}
            entry = {"settings": self._digest(job), "input": stamp, "files": files}
            self._entries[self._key(job)] = entry
            self._append(self._key(job), entry)

    def _key(self, job: Job) -> str:
        return os.path.relpath(job.output, self._folder)

    def _digest(self, job: Job) -> str:
        """Compute the SHA-256 of model and options."""
        own: dict[str, Any] = {
            "quality": job.quality, "strict": job.strict, "damaged": job.accept_damaged,
            "range": None if job.range is None else list(job.range),
        }  # fmt: skip
        if job.video is not None:
            own["video"] = job.video.to_json()
        return hashlib.sha256(json.dumps([self._model, own], sort_keys=True).encode()).hexdigest()

    def _append(self, key: str, entry: dict[str, Any] | None) -> None:
        with contextlib.suppress(OSError), self._file.open("a", encoding="ascii") as file:
            file.write(_to_line(key, entry))

    def _shorten(self) -> None:
        """Write the file without outdated lines."""
        with contextlib.suppress(OSError, ValueError):
            write_atomically(self._file, "".join(_to_line(*pair) for pair in self._entries.items()).encode())


def read_stamp(path: Path) -> Stamp | None:
    """Read size and time of a picture.

    None where there is no such file.
    """
    try:
        facts = path.stat()
    except OSError:
        return None
    return [facts.st_size, facts.st_mtime_ns]


def _has_size(path: Path, size: Any) -> bool:
    try:
        return path.is_file() and path.stat().st_size == size > 0
    except (OSError, TypeError):
        return False


def _to_line(key: str, entry: dict[str, Any] | None) -> str:
    return json.dumps([key, entry], separators=(",", ":")) + "\n"


def _read(file: Path) -> tuple[dict[str, Any], int]:
    """Read entries by result, and count the lines.

    A line that cannot be read, such as one that a kill cut short, is left out.
    """
    entries: dict[str, Any] = {}
    try:
        lines = read_bounded(file, MOST_BYTES).decode("utf-8", "replace").splitlines()
    except (OSError, ValueError):
        return {}, 0
    for line in lines:
        try:
            key, entry = json.loads(line)
        except (ValueError, TypeError, RecursionError):
            continue
        if isinstance(key, str):
            entries.pop(key, None)
            if entry is not None:
                entries[key] = entry
    return entries, len(lines)
