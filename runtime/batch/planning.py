"""Plan of which file becomes which."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..images.finding import InputFile
from ..images.writer import writable_suffixes


@dataclass(frozen=True)
class Job:
    """One picture, and where its results go."""

    source: Path
    output: Path
    mask: Path | None = None
    """Where the mask goes; None when it is not wanted."""

    @property
    def targets(self) -> tuple[Path, ...]:
        """The files this job writes."""
        return (self.output,) if self.mask is None else (self.output, self.mask)


def plan_jobs(inputs: Sequence[InputFile], out: Path, *, save_mask: bool = False) -> list[Job]:
    """Decide where every result goes, and refuse before any work is done.

    The output is `out / relative`, with the suffix .png where the input's format is not written; the mask is
    `<stem>.mask.png` beside it.

    Raises:
        UserError: two results with the same name, or a result that would overwrite an input.
    """
    jobs = [_job(item, out, save_mask) for item in inputs]
    sources = {Path(os.path.realpath(item.path)) for item in inputs}
    owners: dict[Path, Path] = {}
    for job in jobs:
        for target in job.targets:
            resolved = Path(os.path.realpath(target))  # unlike Path.resolve, does not raise on a loop of links
            if resolved in sources or _same_file(target, job.source):
                raise UserError(f"the result {target} would overwrite an input; choose another --out folder")
            owner = owners.setdefault(resolved, job.source)
            if owner != job.source:
                raise UserError(f"{owner} and {job.source} would both be written to {target}; restore them apart")
    return jobs


def _job(item: InputFile, out: Path, save_mask: bool) -> Job:
    output = out / item.relative
    if output.suffix.lower() not in writable_suffixes():
        output = output.with_suffix(".png")
    return Job(item.path, output, output.with_name(f"{output.stem}.mask.png") if save_mask else None)


def _same_file(target: Path, source: Path) -> bool:
    return target.exists() and source.exists() and target.samefile(source)  # hard links
