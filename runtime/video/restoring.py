"""Restoration of one video file."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from ..errors import UserError
from ..files import explaining_failure, replace_atomically
from ..restorer import Result
from ..scenes.still import STILLNESS, StillScene
from .encoding import Encoding, RestoredFrame, SegmentWriter, plan_encoding
from .formats import list_losses
from .joining import check_streams, join
from .options import VideoOptions, load_av
from .pipeline import run_stages
from .reading import SourceFrame, VideoFacts, VideoSource, read_facts
from .segments import Segment, SegmentFolder, keep_segments

FrameProgress = Callable[[int, "int | None", str], None]
"""Function that is called after each frame with the number of frames done, the number of all where it is known, and the
name of the video. The first call says how many were done in an earlier run."""
TIMES_NAMED = 10
"""Number of damaged frames whose times are told."""


class RestoreFunction(Protocol):
    """Part of a `Restorer` that pictures and frames need."""

    def __call__(self, image: np.ndarray) -> Result:
        """Restore one array.

        A `Restorer` that `keeps_scenes` takes the scene of a video as well.
        """
        ...


@dataclass(frozen=True)
class VideoRecord:
    """Record of a restored video.

    Its fields are the keys of the command line's JSON.
    """

    input: str
    output: str
    width: int
    height: int
    frames: int
    """Number of frames in the result."""
    fps: float
    """Frames a second of the input on average, as its file says."""
    density: float
    """Mean share of the pixels that were restored, over the restored frames."""
    seconds: float
    """Seconds of wall clock of this run."""
    timings: dict[str, float]
    """Seconds that each stage of this run worked, waiting apart: decode, restore, encode, join."""
    codec: str
    resumed: int = 0
    """Number of frames that an earlier run had finished."""
    damaged: int = 0
    """Number of frames that the decoder calls damaged; they are passed on as they were decoded."""
    damaged_times: list[float] = field(default_factory=list)
    """Times of the first of them, in seconds."""
    lost: int = 0
    """Number of frames that could not be decoded; the one before stands for longer."""
    dropped: list[str] = field(default_factory=list)
    """Names of what the result does not have any more."""
    reused: float = 0.0
    """Share of the distorted pixels of this run that were taken from earlier frames."""
    note: str = ""
    """Words about a result that is not what one would expect; empty for others."""


def restore_video(
    restorer: RestoreFunction,
    source: Path,
    output: Path,
    options: VideoOptions | None = None,
    *,
    causes: Mapping[str, Any] | None = None,
    max_pixels: int,
    progress: FrameProgress | None = None,
) -> VideoRecord:
    """Restore a video file.

    The result is written whole or not at all. A run that ends before leaves its finished segments beside it, and a
    later run of the same input, model and options goes on behind them.

    Args:
        restorer: a `Restorer`, or any function with its signature.
        source: the video.
        output: the result, whose folder exists; its suffix is one of `CONTAINERS`.
        options: codec and quality; None for the defaults.
        causes: what decides results besides them, as JSON values; None keeps no segments.
        max_pixels: largest number of pixels of a frame.
        progress: called after each frame.

    Raises:
        UserError: PyAV is not installed, the video or an option cannot be used, the container cannot hold a stream, or
            the disk is full.
    """
    started = time.perf_counter()
    options = options or VideoOptions()
    suffix = output.suffix.lower()
    facts = read_facts(source, max_pixels)
    encoding = plan_encoding(facts, options, suffix)
    dropped = [*list_losses(facts.samples, encoding.format), *facts.dropped, *check_streams(facts, encoding, suffix)]
    key = None if causes is None else _make_key(facts, encoding, {**causes, "reuse": options.reuse})
    scene = begin_scene(options, restorer)
    with explaining_failure(output), keep_segments(output, key) as folder:
        resumed = folder.frames
        notes, timings = _restore_frames(in_scene(restorer, scene), facts, encoding, folder, progress)
        joining = time.perf_counter()
        with replace_atomically(output) as temporary:
            join(facts, encoding, folder, temporary, suffix)
        timings["join"] = time.perf_counter() - joining
        return _make_record(
            facts, encoding, folder.segments, output=str(output), seconds=time.perf_counter() - started,
            timings=timings, resumed=resumed, dropped=dropped, reused=0.0 if scene is None else scene.reused,
            note="; ".join([*notes, *note_reuse(options, scene)]),
        )  # fmt: skip


def begin_scene(options: VideoOptions, restorer: RestoreFunction) -> StillScene | None:
    """Begin a scene if a video can reuse it."""
    wanted = options.reuse != "off" and getattr(restorer, "keeps_scenes", False)
    return StillScene(STILLNESS[options.reuse]) if wanted else None


def in_scene(restorer: RestoreFunction, scene: StillScene | None) -> RestoreFunction:
    """Let a restorer take what the scene showed."""
    return restorer if scene is None else partial(cast(Any, restorer), scene=scene)


def note_reuse(options: VideoOptions, scene: StillScene | None) -> Iterator[str]:
    """Say where reuse was asked for and cannot be."""
    if options.reuse != "off" and scene is None:
        yield "nothing was reused, since this network or backend does not restore distorted pixels alone"


def _make_key(facts: VideoFacts, encoding: Encoding, causes: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of all that decides a result."""
    stamp = facts.path.stat()
    own = [str(encoding), str(facts), stamp.st_size, stamp.st_mtime_ns, load_av().__version__]
    return hashlib.sha256(json.dumps([dict(causes), own], sort_keys=True).encode()).hexdigest()


def _restore_frames(
    restorer: RestoreFunction,
    facts: VideoFacts,
    encoding: Encoding,
    folder: SegmentFolder,
    progress: FrameProgress | None,
) -> tuple[list[str], dict[str, float]]:
    """Fill a folder with segments.

    Returns:
        Notes on the result, and seconds by stage.
    """
    done = folder.frames

    def report(frames: int) -> None:
        if progress is not None:
            progress(frames, None if facts.frames is None else max(facts.frames, frames), str(facts.path))

    def restore(one: SourceFrame) -> RestoredFrame:
        restored = _restore_frame(restorer, one)
        report(one.number + 1)
        return restored

    report(done)
    with (
        VideoSource(facts, encoding.format, encoding.depth, encoding.colour) as source,
        SegmentWriter(folder, encoding) as writer,
    ):
        seconds = run_stages(source.frames(done), restore, writer.write)
        writer.finish()
        notes = list(_note_frames(facts, encoding, source, folder.frames))
    if not folder.segments:
        raise UserError(f"cannot read {facts.path}: no frame of its video can be decoded any more")
    return notes, seconds


def _restore_frame(restorer: RestoreFunction, one: SourceFrame) -> RestoredFrame:
    if one.damaged:
        return RestoredFrame(one, None)
    result = restorer(one.pixels)
    return RestoredFrame(one, result.image, result.density)


def _note_frames(facts: VideoFacts, encoding: Encoding, source: VideoSource, frames: int) -> Iterator[str]:
    """Say what is unusual about the frames of a result."""
    padded = encoding.pad(facts.width, True), encoding.pad(facts.height, False)
    if padded != (facts.width, facts.height):
        yield (
            f"{facts.width}x{facts.height} became {padded[0]}x{padded[1]} by repeating the edge, since "
            f"{encoding.codec.name} takes even sides alone; --codec vp9 keeps the size"
        )
    if facts.counted and facts.frames is not None and frames < facts.frames:
        yield f"the file says that it has {facts.frames} frames, and {frames} were found"
    if source.lost_after:
        yield f"{source.lost_after} frames at the end could not be decoded"
    if source.retimed:
        yield f"{source.retimed} frames had no time of their own, and were given one"
    if source.interlaced:
        yield f"{source.interlaced} frames are interlaced, and were restored as whole frames"


def _make_record(facts: VideoFacts, encoding: Encoding, segments: list[Segment], **given: Any) -> VideoRecord:
    times = [time for segment in segments for time in segment.damaged]
    restored = sum(segment.restored for segment in segments)
    return VideoRecord(
        input=str(facts.path),
        width=facts.width,
        height=facts.height,
        frames=sum(segment.frames for segment in segments),
        fps=float(facts.rate),
        density=sum(segment.density for segment in segments) / restored if restored else 0.0,
        codec=encoding.codec.name,
        damaged=len(times),
        damaged_times=[float(time * facts.time_base) for time in times[:TIMES_NAMED]],
        lost=sum(segment.lost for segment in segments),
        **given,
    )
