"""Plan of the files that a batch writes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..images import MAX_PIXELS
from ..images.finding import InputFile
from ..video.options import CONTAINERS, VideoOptions
from .names import check_inside, refuse_twins, say_too_long
from .saving import Saving, list_candidates


@dataclass(frozen=True)
class Job:
    """Picture or video to restore, with its results."""

    source: Path
    output: Path
    mask: Path | None = None
    """Path of the mask; None if no mask is wanted."""
    obstacle: str | None = None
    """Sentence why the job cannot be done, known before any work."""
    max_pixels: int = MAX_PIXELS
    """Largest number of pixels of the picture; a larger one is refused before it is decoded."""
    quality: int | None = None
    """Quality of JPEG and WebP; None for the default."""
    strict: bool = False
    """Whether no other format is taken where the planned one does not hold the picture."""
    accept_damaged: bool = False
    """Whether a picture is restored of which the decoder says that bytes are lost."""
    range: tuple[float, float] | None = None
    """Lowest and highest value of float samples; None for 0 and 1."""
    video: VideoOptions | None = None
    """Codec and quality of a video; None for a picture."""

    @property
    def targets(self) -> tuple[Path, ...]:
        """Files that the job writes."""
        return (self.output,) if self.mask is None else (self.output, self.mask)

    @property
    def is_done(self) -> bool:
        """Whether all its results are complete.

        They exist, are not empty, and are not older than the input.
        """
        if self.obstacle is not None:
            return False
        if not any(_is_newer(path, self.source) for path in list_candidates(self.output)):
            return False
        return self.mask is None or _is_newer(self.mask, self.source)


def plan_jobs(
    inputs: Sequence[InputFile],
    out: Path,
    *,
    save_mask: bool = False,
    saving: Saving | None = None,
    max_pixels: int = MAX_PIXELS,
) -> list[Job]:
    """Choose the paths of all results.

    The output is `out / relative`, renamed by `Saving.rename`. Where that is the result of another picture too, the
    input's suffix stays in the name: `a.gif` beside `a.png` becomes `a.gif.png`. The mask is `<stem>.mask.png` beside
    the output, or `<name>.mask.png` where two pictures have the same stem.

    Args:
        inputs: pictures and videos to restore.
        out: folder of the results, or the result itself of a single video.
        save_mask: whether to write the masks too.
        saving: formats and names of the results; None for those of the inputs.
        max_pixels: largest number of pixels of a picture.

    Raises:
        UserError: two results have the same path all the same, or names that the folder's file system takes for one; a
            result would overwrite an input or lie outside of `out`.
    """
    saving = saving or Saving()
    named = _name_file(inputs, out) if is_file(out) else _name_results(inputs, out, save_mask, saving)
    jobs = [
        Job(
            *(item.path, output, mask, item.obstacle or say_too_long(output, mask), max_pixels),
            *(saving.quality, saving.format is not None, saving.accept_damaged, saving.range),
            saving.video if item.video else None,
        )
        for item, output, mask in named
    ]
    _check_targets(jobs, inputs)
    refuse_twins(
        [(target, job.source) for job in jobs if job.obstacle is None for target in job.targets], find_folder(out)
    )
    return jobs


def is_file(out: Path) -> bool:
    """Tell whether a place for results is one video file."""
    return out.suffix.lower() in CONTAINERS and not out.is_dir()


def find_folder(out: Path) -> Path:
    """Return the folder that results lie in."""
    return out.parent if is_file(out) else out


def _check_targets(jobs: Sequence[Job], inputs: Sequence[InputFile]) -> None:
    """Refuse results that overwrite an input or each other."""
    sources = {Path(os.path.realpath(item.path)) for item in inputs}
    owners: dict[Path, Path] = {}
    for job in jobs:
        for target in job.targets if job.obstacle is None else ():
            resolved = Path(os.path.realpath(target))  # unlike Path.resolve, does not raise on a loop of links
            if resolved in sources or _same_file(target, job.source):
                raise UserError(f"the result {target} would overwrite an input; choose another --out folder")
            owner = owners.setdefault(resolved, job.source)
            if owner != job.source:
                raise UserError(
                    f"{owner} and {job.source} would both be written to {target}; restore them into different folders"
                )


def _name_file(inputs: Sequence[InputFile], out: Path) -> list[tuple[InputFile, Path, Path | None]]:
    """Name the result of a single video."""
    if len(inputs) != 1 or not inputs[0].video:
        found = f"{len(inputs)} inputs" if len(inputs) != 1 else f"{inputs[0].path}, which is no video"
        raise UserError(f"{out} is the name of one video, and the input is {found}; give a folder with --out")
    return [(inputs[0], out, None)]


def _name_results(
    inputs: Sequence[InputFile], out: Path, save_mask: bool, saving: Saving
) -> list[tuple[InputFile, Path, Path | None]]:
    """Name the output and the mask of each picture."""
    for item in inputs:
        check_inside(item.relative, out)
    plain = [saving.rename_video(item.relative) if item.video else saving.rename(item.relative) for item in inputs]
    count = Counter(plain)
    outputs = [
        name if count[name] == 1 or name.suffix == item.relative.suffix else _keep_suffix(item.relative, name)
        for item, name in zip(inputs, plain, strict=True)
    ]
    if not save_mask:
        return [(item, out / name, None) for item, name in zip(inputs, outputs, strict=True)]
    masks = [name.with_name(f"{name.stem}.mask.png") for name in outputs]
    taken = Counter([*masks, *outputs])
    clear = [
        mask if taken[mask] == 1 else name.with_name(f"{name.name}.mask.png")
        for name, mask in zip(outputs, masks, strict=True)
    ]
    return [
        (item, out / name, None if item.video else out / mask)
        for item, name, mask in zip(inputs, outputs, clear, strict=True)
    ]


def _keep_suffix(relative: Path, renamed: Path) -> Path:
    """Keep an input's suffix in the name of its result."""
    return renamed.with_name(f"{renamed.stem}{relative.suffix}{renamed.suffix}")


def _is_newer(result: Path, source: Path) -> bool:
    """Tell whether a result is complete and not outdated."""
    try:
        made = result.stat()
        return result.is_file() and made.st_size > 0 and made.st_mtime_ns >= source.stat().st_mtime_ns
    except OSError:
        return False


def _same_file(target: Path, source: Path) -> bool:
    return target.exists() and source.exists() and target.samefile(source)  # hard links
