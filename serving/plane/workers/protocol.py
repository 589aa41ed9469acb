"""Messages between the data plane and a child process.

Each is one line of JSON on a socket; pixels and files lie in shared memory. A lane is a socket with its memory: the
plane writes one task on it and reads one reply, so no answer can be taken for another's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

PIXELS_TASK = "pixels"
"""Task on RGB pictures of one size."""
FILE_TASK = "file"
"""Task on one picture file."""


@dataclass(frozen=True)
class Opening:
    """Order to open a model, a child's first message."""

    name: str
    path: str
    opener: str
    """Import path of the function that opens it, as "package.module:function"; see `open_restorer`."""
    options: Mapping[str, Any]
    """Fields of `ModelOptions`."""


@dataclass(frozen=True)
class Opened:
    """Outcome of an opening."""

    lanes: int = 0
    """Number of tasks that the child computes at a time."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Task, preset, precision and backend of the model."""
    failure: str = ""
    """Sentence that says why the model cannot be opened; empty if it was."""


@dataclass(frozen=True)
class Task:
    """Order to restore what lies in a lane's memory."""

    kind: str
    """`PIXELS_TASK` or `FILE_TASK`."""
    shape: tuple[int, ...]
    """[N, 3, H, W] of the uint8 pixels, or [length] of the file."""
    wanted: tuple[str, ...]
    """Names of the outputs to give back."""
    format: str = "png"
    """"png", or "input" for the format of the file that came."""
    max_pixels: int = 0
    """Largest number of pixels of the picture in a file."""
    threshold: float | str | None = None
    """Threshold of the mask, see `Restorer.open`; None for the model's own."""


@dataclass(frozen=True)
class Report:
    """Report on one picture."""

    density: float = 0.0
    tiles: tuple[int, int, int] = (0, 0, 0)
    """Numbers of tiles that were skipped, computed packed and computed dense."""
    stages: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage of the restorer."""
    seconds: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Seconds of taking the picture in, of restoring it, and of giving the results out."""
    failure: str = ""
    """Sentence that says why the picture was not restored; empty if it was."""
    status: int = 200
    """HTTP status of the failure."""


@dataclass(frozen=True)
class Reply:
    """Answer to a task."""

    reports: tuple[Report, ...] = ()
    """A report for each picture."""
    places: Mapping[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    """Place in the lane's memory and shape of each output, as uint8; for a file [length]."""
    lost: str = ""
    """Sentence that says why the child can compute nothing any more; empty if it can."""


T = TypeVar("T", Opening, Opened, Task)


def pack(message: Opening | Opened | Task | Reply) -> bytes:
    """Make the line of a message."""
    return json.dumps(asdict(message), separators=(",", ":")).encode() + b"\n"


def unpack(kind: type[T], line: bytes) -> T:
    """Read the line of a message of a known kind.

    Raises:
        ValueError, TypeError: it is no such message.
    """
    return kind(**json.loads(line))


def unpack_reply(line: bytes) -> Reply:
    """Read the line of a reply.

    Raises:
        ValueError, TypeError, KeyError: it is no reply.
    """
    raw = json.loads(line)
    reports = tuple(
        Report(**{**report, "tiles": tuple(report["tiles"]), "seconds": tuple(report["seconds"])})
        for report in raw["reports"]
    )
    places = {name: (int(place), tuple(shape)) for name, (place, shape) in raw["places"].items()}
    return Reply(reports, places, raw["lost"])
