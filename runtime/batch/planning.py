"""Plan of the files that a batch writes."""

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
    """Picture to restore, with the paths of its results."""

    source: Path
    output: Path
    mask: Path | None = None
    """Path of the mask; None if no mask is wanted."""

    @property
    def targets(self) -> tuple[Path, ...]:
        """Files that the job writes."""
        return (self.output,) if self.mask is None else (self.output, self.mask)


def plan_jobs(inputs: Sequence[InputFile], out: Path, *, save_mask: bool = False) -> list[Job]:
    """Choose the paths of all results.

    The output is `out / relative`, with the suffix .png where the input's format cannot be written. The mask is
    `<stem>.mask.png` beside it.

    Args:
        inputs: pictures to restore.
        out: folder of the results.
        save_mask: whether to write the masks too.

    Raises:
        UserError: two results have the same path, or a result would overwrite an input.
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
                raise UserError(
                    f"{owner} and {job.source} would both be written to {target}; restore them into different folders"
                )
    return jobs


def _job(item: InputFile, out: Path, save_mask: bool) -> Job:
    output = out / item.relative
    if output.suffix.lower() not in writable_suffixes():
        output = output.with_suffix(".png")
    return Job(item.path, output, output.with_name(f"{output.stem}.mask.png") if save_mask else None)


def _same_file(target: Path, source: Path) -> bool:
    return target.exists() and source.exists() and target.samefile(source)  # hard links
