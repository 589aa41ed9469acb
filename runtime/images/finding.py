"""From what the user typed (files, folders, globs) to a list of pictures and where each result goes."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from . import writable_suffixes

READABLE_SUFFIXES = (*writable_suffixes(), ".gif", ".avif")
"""Suffixes by which pictures are recognised in folders."""


@dataclass(frozen=True)
class InputFile:
    """A picture to restore."""

    path: Path
    relative: Path
    """Where it lies below the folder or glob it was found by; this layout is kept in the output folder."""


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


def find_inputs(
    specs: Iterable[str | os.PathLike[str]], *, recursive: bool = False, exclude: Path | None = None
) -> list[InputFile]:
    """Find the pictures named by files, folders and glob patterns, each once, in a stable order.

    Args:
        specs: files (any suffix), folders (their pictures, by suffix), patterns with * ? [ ] (** descends).
        recursive: look into the subfolders of folders too.
        exclude: a folder to leave out of searches: the output folder, whose results are no inputs.

    Raises:
        UserError: something that does not exist, or holds or matches no picture.
    """
    found: dict[str, InputFile] = {}
    hidden = Path(os.path.realpath(exclude)) if exclude else None
    for spec in specs:
        for item in _expand(Path(spec), recursive, hidden):
            # A link is a picture of its own, so the key is the absolute path, not what it resolves to.
            found.setdefault(os.path.abspath(item.path), item)  # noqa: PTH100
    return list(found.values())


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


def _expand(spec: Path, recursive: bool, hidden: Path | None) -> list[InputFile]:
    if spec.is_dir():
        return _in_folder(spec, recursive, hidden)
    if spec.exists():
        return [InputFile(spec, Path(spec.name))]
    if glob.has_magic(str(spec)):
        return _matching(spec, hidden)
    raise UserError(f"the input {spec} does not exist; give a picture, a folder or a pattern like 'in/*.png'")


def _in_folder(folder: Path, recursive: bool, hidden: Path | None) -> list[InputFile]:
    candidates = folder.rglob("*") if recursive else folder.iterdir()
    files = [f for f in candidates if _is_picture(f) and not _inside(f, hidden)]
    if not files:
        remedy = "give another" if recursive else "subfolders are not looked into: give one of those, or another"
        raise UserError(f"the folder {folder} holds no picture ({' '.join(READABLE_SUFFIXES)}); {remedy}")
    return [InputFile(file, file.relative_to(folder)) for file in sorted(files)]


def _matching(pattern: Path, hidden: Path | None) -> list[InputFile]:
    base = _until_magic(pattern)
    files = [Path(name) for name in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207 (Path.glob takes no "/")
    kept = sorted(file for file in files if file.is_file() and not _inside(file, hidden))
    if not kept:
        raise UserError(f"no file matches {pattern}; check the pattern and quote it")
    return [InputFile(file, file.relative_to(base)) for file in kept]


def _until_magic(pattern: Path) -> Path:
    """The part of a pattern before its first wildcard: results keep the layout below it."""
    magic = next(i for i, part in enumerate(pattern.parts) if glob.has_magic(part))
    return Path(*pattern.parts[:magic])


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in READABLE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _inside(path: Path, folder: Path | None) -> bool:
    return folder is not None and Path(os.path.realpath(path)).is_relative_to(folder)
