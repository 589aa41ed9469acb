"""Segments of an unfinished video.

A later run goes on with them.

They lie in a hidden folder beside the result, `.NAME.OWNER.part`, with a line in a journal for each. A process that is
killed loses the segment at hand.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ...temporary.leftovers import list_temporary, remove
from ...temporary.names import PARTIAL, name_beside, stem_of
from ..bounds.files import read_bounded
from ..errors import UserError

JOURNAL = "journal.jsonl"
"""Name of the file with a line for each segment, after one for the run."""
MOST_BYTES = 64 * 1024**2
"""Bytes of the longest journal that is read; a segment takes about 200."""


@dataclass(frozen=True)
class Segment:
    """Encoded frames in a file of their own."""

    file: str
    """Name in the folder."""
    size: int
    """Bytes of the file."""
    frames: int
    start: int
    """Time of its first frame in ticks."""
    duration: int
    """Ticks that its last frame is shown for."""
    delay: int
    """Number of frames that a frame is decoded before it is shown, at most."""
    density: float
    """Sum of the restored shares of its frames."""
    restored: int
    """Number of frames that were restored; damaged ones were passed on."""
    damaged: list[int]
    """Times of its damaged frames in ticks."""
    lost: int
    """Number of frames that could not be decoded."""


class SegmentFolder:
    """Folder of the segments of one result."""

    def __init__(self, place: Path, key: str, segments: list[Segment]) -> None:
        self.place = place
        self.segments = segments
        """The finished segments, in order."""
        self._journal = place / JOURNAL
        self._key = key

    @property
    def frames(self) -> int:
        """Number of frames in finished segments."""
        return sum(segment.frames for segment in self.segments)

    def next_file(self) -> Path:
        """Return the path of the next segment."""
        return self.place / f"{len(self.segments):06d}.nut"

    def add(self, segment: Segment) -> None:
        """Record a finished segment."""
        self.segments.append(segment)
        with self._journal.open("a", encoding="ascii") as file:
            file.write(json.dumps(asdict(segment), separators=(",", ":")) + "\n")

    def begin(self) -> None:
        """Write the journal anew, with the segments that are there."""
        lines = [json.dumps({"key": self._key}), *(json.dumps(asdict(one)) for one in self.segments)]
        self._journal.write_text("\n".join(lines) + "\n", encoding="ascii")


@contextlib.contextmanager
def keep_segments(target: Path, key: str | None) -> Iterator[SegmentFolder]:
    """Find or make the folder of a result's segments.

    It is removed when the block ends well, and when it holds no finished segment. Otherwise it stays for a later run.

    Args:
        target: the result, whose folder exists.
        key: what decides the result; segments with another key are removed. None keeps and takes none.

    Raises:
        UserError: another process writes this result.
        OSError: the folder cannot be made.
    """
    place, segments = _adopt(target, key)
    folder = SegmentFolder(place, key or "", segments)
    try:
        place.mkdir(exist_ok=True)
        folder.begin()
        yield folder
    except BaseException:
        if not folder.segments or key is None:
            remove(place)
        raise
    remove(place)


def _adopt(target: Path, key: str | None) -> tuple[Path, list[Segment]]:
    """Take over the folder of a run that has ended.

    Returns:
        Path of this process's folder, and the segments that are in it already.
    """
    place, stem = name_beside(target, PARTIAL), stem_of(target)
    segments: list[Segment] = []
    for one in list_temporary(target.parent):
        if one.target_stem != stem or one.name.kind != PARTIAL:
            continue
        # One of another machine, or from before a restart, is taken too; whoever still writes there fails.
        if one.alive and one.name.owner.process != os.getpid():
            raise UserError(
                f"another process, {one.name.owner.process}, is writing {target}; wait for it, or choose another --out"
            )
        found = [] if key is None or segments else _read(one.path, key)
        if not found:
            remove(one.path)
            continue
        with contextlib.suppress(OSError):  # another process was faster
            one.path.rename(place)
            segments = found
    return place, segments


def _read(place: Path, key: str) -> list[Segment]:
    """Read the segments up to the first that is damaged."""
    try:
        first, *lines = read_bounded(place / JOURNAL, MOST_BYTES).decode("ascii", "replace").splitlines()
        if json.loads(first) != {"key": key}:
            return []
    except (OSError, ValueError, RecursionError):
        return []
    segments: list[Segment] = []
    for line in lines:
        try:
            segment = Segment(**json.loads(line))
            whole = (place / segment.file).stat().st_size == segment.size
        except (OSError, ValueError, TypeError, RecursionError):  # a line that a kill cut short
            break
        if not whole or segment.file != f"{len(segments):06d}.nut":
            break
        segments.append(segment)
    return segments
