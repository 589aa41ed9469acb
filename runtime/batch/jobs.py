"""Restoration of many files.

A bad file is reported, and the rest goes on. An interrupted batch can resume.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..clock import CountProgress
from ..errors import GateError, UserError
from ..files import DiskFullError, write_atomically
from ..images import Picture, find_format_of, list_dropped, read_image, write_image
from ..restorer import Result
from ..tiling.network import TileCounts
from ..video.restoring import FrameProgress, RestoreFunction, VideoRecord, restore_video
from .ledger import Ledger
from .planning import Job
from .ranges import from_unit, to_unit
from .saving import choose_output


@dataclass(frozen=True)
class ImageRecord:
    """Record of a restored file.

    Its fields are the keys of the command line's JSON.
    """

    input: str
    output: str
    width: int
    height: int
    density: float
    seconds: float
    """Seconds of wall clock from reading the file to the end of writing the result."""
    tiles: TileCounts
    timings: dict[str, float]
    """Seconds by stage: decode, the stages of the restorer, encode."""
    mask: str | None = None
    """Path of the mask file; None if no mask was asked for."""
    copied: bool = False
    """Whether the result is the very file of the input, since no pixel changed."""
    dropped: list[str] = field(default_factory=list)
    """Names of metadata that the result does not have any more."""
    note: str = ""
    """Words about a result that is not what its name would be; empty for others."""


@dataclass(frozen=True)
class FailureRecord:
    """Record of a file that could not be restored."""

    input: str
    error: str
    """Sentence that says why."""
    disk_full: bool = False
    """Whether nothing else could be written either."""


@dataclass(frozen=True)
class SkipRecord:
    """Record of a file that a resumed batch left alone.

    Its results existed.
    """

    input: str


Outcome: TypeAlias = ImageRecord | VideoRecord | FailureRecord | SkipRecord
"""Record of what became of a job."""


@dataclass
class BatchReport:
    """Results of a batch, file by file."""

    images: list[ImageRecord] = field(default_factory=list)
    failed: list[FailureRecord] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Inputs that a resumed batch left alone, because their results existed."""
    stopped: str = ""
    """Reason why the batch ended early, "interrupted" or "disk full"; empty if it did not."""
    left: list[str] = field(default_factory=list)
    """Inputs that a stopped batch did not come to."""
    videos: list[VideoRecord] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing failed and nothing is left."""
        return not self.failed and not self.stopped

    def add(self, outcome: Outcome) -> None:
        """Take in what became of a job."""
        if isinstance(outcome, ImageRecord):
            self.images.append(outcome)
        elif isinstance(outcome, VideoRecord):
            self.videos.append(outcome)
        elif isinstance(outcome, FailureRecord):
            self.failed.append(outcome)
        else:
            self.skipped.append(outcome.input)

    def stop(self, reason: str, jobs: Sequence[Job]) -> None:
        """Record that the batch ends before these jobs."""
        self.stopped, self.left = reason, [str(job.source) for job in jobs]

    def to_json(self) -> dict[str, Any]:
        """The JSON object of `spair restore --json`."""
        return asdict(self)


def run_jobs(
    restorer: RestoreFunction,
    jobs: Sequence[Job],
    *,
    resume: bool = False,
    ledger: Ledger | None = None,
    progress: CountProgress | None = None,
    frames: FrameProgress | None = None,
    announce: Callable[[FailureRecord], None] = lambda failure: None,
) -> BatchReport:
    """Run planned jobs in order.

    A picture that fails is recorded, and the rest goes on. A full disk and Ctrl-C end the batch; the report then says
    what was done and what is left.

    Args:
        restorer: a `Restorer`, or any function with its signature.
        jobs: what to read and where to write it.
        resume: leave jobs alone whose results are complete, see `run_job`; otherwise results are replaced.
        ledger: record of the results, which is kept up to date; None for none.
        progress: called after each job.
        frames: called after each frame of a video.
        announce: called with each failure as it comes.
    """
    report, done = BatchReport(), 0
    try:
        for job in jobs:
            outcome = run_job(restorer, job, resume=resume, ledger=ledger, frames=frames)
            report.add(outcome)
            done += 1
            if isinstance(outcome, FailureRecord):
                announce(outcome)
                if outcome.disk_full:
                    report.stop("disk full", jobs[done:])
                    break
            if progress is not None:
                progress(done, len(jobs), str(job.source))
    except KeyboardInterrupt:
        report.stop("interrupted", jobs[done:])
    return report


def run_job(
    restorer: RestoreFunction,
    job: Job,
    *,
    resume: bool = False,
    ledger: Ledger | None = None,
    frames: FrameProgress | None = None,
) -> Outcome:
    """Run one job.

    Whatever one picture makes fail is recorded, so that the others are not lost.

    Args:
        restorer: a `Restorer`, or any function with its signature.
        job: what to read and where to write it.
        resume: leave the job alone if its results are complete: by the ledger, see `Ledger.is_done`, or without one by
            their files, see `Job.is_done`.
        ledger: record of the results, to which this one is added; None for none.
        frames: called after each frame of a video.
    """
    if job.obstacle is not None:
        return FailureRecord(str(job.source), job.obstacle)
    if resume and (job.is_done if ledger is None else ledger.is_done(job)):
        return SkipRecord(str(job.source))
    stamp = None if ledger is None else ledger.begin(job)
    try:
        if job.video is None:
            record: ImageRecord | VideoRecord = _restore_one(restorer, job)
        else:
            record = _restore_video(restorer, job, ledger, frames)
    except DiskFullError as error:
        return FailureRecord(str(job.source), str(error), disk_full=True)
    except (UserError, GateError, MemoryError, OSError) as error:
        return FailureRecord(str(job.source), str(error) or type(error).__name__)
    except Exception as error:  # a fault of this toolkit or of a library, which may concern this picture alone
        return FailureRecord(str(job.source), _describe_fault(error))
    if ledger is not None:
        ledger.add(job, stamp, Path(record.output))
    return record


def _restore_one(restorer: RestoreFunction, job: Job) -> ImageRecord:
    start = time.perf_counter()
    picture = read_image(job.source, max_pixels=job.max_pixels, accept_damaged=job.accept_damaged)
    output, note = choose_output(job.output, picture, job.strict)
    decoded = time.perf_counter()
    pixels = to_unit(picture.pixels, job.range, str(job.source))
    result = restorer(pixels)
    result = replace(result, image=from_unit(result.image, pixels, picture.pixels, job.range))
    restored = time.perf_counter()
    job.output.parent.mkdir(parents=True, exist_ok=True)
    if job.mask is not None:  # first, so that an interrupted job never looks complete to a resumed batch
        _write_mask(job, result)
    copied = _may_copy(job, picture, result, output)
    if copied:
        write_atomically(output, job.source.read_bytes())
    else:
        write_image(output, replace(picture, pixels=result.image), quality=job.quality)
    end = time.perf_counter()
    return ImageRecord(
        input=str(job.source),
        output=str(output),
        width=picture.width,
        height=picture.height,
        density=result.density,
        seconds=end - start,
        tiles=result.tiles,
        timings={"decode": decoded - start, **result.timings, "encode": end - restored},
        mask=None if job.mask is None else str(job.mask),
        copied=copied,
        dropped=[] if copied else _list_dropped(picture, output),
        note=note,
    )


def _restore_video(
    restorer: RestoreFunction, job: Job, ledger: Ledger | None, frames: FrameProgress | None
) -> VideoRecord:
    job.output.parent.mkdir(parents=True, exist_ok=True)
    causes = None if ledger is None else ledger.model
    return restore_video(
        restorer, job.source, job.output, job.video, causes=causes, max_pixels=job.max_pixels, progress=frames
    )


def _may_copy(job: Job, picture: Picture, result: Result, output: Path) -> bool:
    """Tell whether the result is the input's file itself.

    A clean picture would lose by being encoded anew.
    """
    form = find_format_of(output.suffix)
    same_format = form is not None and form.name == picture.format and job.quality is None
    return same_format and np.array_equal(result.image, picture.pixels)


def _list_dropped(picture: Picture, output: Path) -> list[str]:
    form = find_format_of(output.suffix)
    return [] if form is None else list_dropped(picture, form.name)


def _describe_fault(error: Exception) -> str:
    """Describe an unexpected error by its type, words and place."""
    words = " ".join(str(error).split())
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
        f"{f': {words}' if words else ''}; please report it with the picture"
    )


def _write_mask(job: Job, result: Result) -> None:
    if job.mask is None or result.mask is None:
        raise UserError(f"cannot save the mask of {job.source}: this network has no mask; leave out --save-mask")
    write_image(job.mask, Picture(result.mask[..., None].astype(np.uint8) * np.uint8(255)))
