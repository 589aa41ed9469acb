"""Restoration of many files.

A bad file is reported, and the rest goes on. An interrupted batch can resume.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ..clock import CountProgress
from ..errors import GateError, UserError
from ..images import Picture, read_image, write_image
from ..restorer import Result
from ..tiling.network import TileCounts
from .planning import Job


class RestoreFunction(Protocol):
    """Part of a `Restorer` that a batch needs."""

    def __call__(self, image: np.ndarray) -> Result:
        """Restore one array."""
        ...


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


@dataclass(frozen=True)
class FailureRecord:
    """Record of a file that could not be restored."""

    input: str
    error: str
    """Sentence that says why."""


@dataclass
class BatchReport:
    """Results of a batch, file by file."""

    images: list[ImageRecord] = field(default_factory=list)
    failed: list[FailureRecord] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Inputs that a resumed batch left alone, because their results existed."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    def to_json(self) -> dict[str, Any]:
        """The JSON object of `spair restore --json`."""
        return asdict(self)


def run_jobs(
    restorer: RestoreFunction, jobs: Sequence[Job], *, resume: bool = False, progress: CountProgress | None = None
) -> BatchReport:
    """Run planned jobs in order.

    Bad files and failed gates are recorded; any other error is a bug and is raised.

    Args:
        restorer: a `Restorer`, or any function with its signature.
        jobs: what to read and where to write it.
        resume: leave jobs alone whose results all exist; otherwise results are replaced.
        progress: called after each job.
    """
    report = BatchReport()
    for done, job in enumerate(jobs, start=1):
        if resume and all(target.is_file() for target in job.targets):
            report.skipped.append(str(job.source))
        else:
            try:
                report.images.append(_restore_one(restorer, job))
            except (UserError, GateError, MemoryError, OSError) as error:
                report.failed.append(FailureRecord(str(job.source), str(error) or type(error).__name__))
        if progress is not None:
            progress(done, len(jobs), str(job.source))
    return report


def _restore_one(restorer: RestoreFunction, job: Job) -> ImageRecord:
    start = time.perf_counter()
    picture = read_image(job.source)
    decoded = time.perf_counter()
    result = restorer(picture.pixels)
    restored = time.perf_counter()
    job.output.parent.mkdir(parents=True, exist_ok=True)
    if job.mask is not None:  # first, so that an interrupted job never looks complete to a resumed batch
        _write_mask(job, result)
    write_image(job.output, replace(picture, pixels=result.image))
    end = time.perf_counter()
    return ImageRecord(
        input=str(job.source),
        output=str(job.output),
        width=picture.width,
        height=picture.height,
        density=result.density,
        seconds=end - start,
        tiles=result.tiles,
        timings={"decode": decoded - start, **result.timings, "encode": end - restored},
        mask=None if job.mask is None else str(job.mask),
    )


def _write_mask(job: Job, result: Result) -> None:
    if job.mask is None or result.mask is None:
        raise UserError(f"cannot save the mask of {job.source}: this network has no mask; leave out --save-mask")
    write_image(job.mask, Picture(result.mask[..., None].astype(np.uint8) * np.uint8(255)))
