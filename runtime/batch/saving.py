"""Form of the files that a batch writes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UserError
from ..images import FORMATS, Picture, check_encodable, find_format_of, writable_suffixes
from ..video.options import ANY_CONTAINER, CONTAINERS, VideoOptions

QUALITY_FORMATS = ("JPEG", "WebP")
"""Names of the formats that have a quality."""


@dataclass(frozen=True)
class Saving:
    """Format, quality and names of all results of a batch.

    Raises:
        UserError: the format is not written, the quality is not 1 to 100 or the format has none, or the suffix holds
            a separator of folders.
    """

    format: str | None = None
    """Name of one of `FORMATS` in any case; None for the format of each input."""
    quality: int | None = None
    """Quality 1 to 100 of JPEG, and of WebP, which is lossless without it; None for the default."""
    suffix: str = ""
    """Text put behind the stem of each name, as in "_restored"."""
    accept_damaged: bool = False
    """Whether pictures are restored of which the decoder says that bytes are lost."""
    range: tuple[float, float] | None = None
    """Lowest and highest value of float pictures; None for 0 and 1."""
    video: VideoOptions = field(default_factory=VideoOptions)
    """Codec and quality of videos."""

    def __post_init__(self) -> None:
        names = {form.name.lower(): form.name for form in FORMATS}
        if self.format is not None:
            name = names.get(self.format.lower())
            if name is None:
                raise UserError(f"--format {self.format} is not written, expected one of {', '.join(names)}")
            object.__setattr__(self, "format", name)
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UserError(f"--quality {self.quality} is out of range, expected 1 to 100")
        if self.quality is not None and self.format not in (None, *QUALITY_FORMATS):
            raise UserError(f"--quality is for JPEG and WebP, and {self.format} is lossless; leave it out")
        if self.range is not None and not (math.isfinite(sum(self.range)) and self.range[0] < self.range[1]):
            raise UserError(f"--range {self.range[0]:g}:{self.range[1]:g} is empty, expected LOW:HIGH, as 0:255")
        if any(sign in self.suffix for sign in "/\\\0"):
            raise UserError(f"--suffix {self.suffix!r} holds a separator of folders; give letters, as _restored")

    def rename(self, relative: Path) -> Path:
        """Return the name of a result below the output folder.

        Args:
            relative: name of the input below its folder. A suffix that is not written becomes .png.
        """
        suffix = relative.suffix
        if self.format is not None:
            own = find_format_of(suffix)
            if own is None or own.name != self.format:
                suffix = next(form.suffixes[0] for form in FORMATS if form.name == self.format)
        elif suffix.lower() not in writable_suffixes():
            suffix = ".png"
        return relative.with_name(f"{relative.stem}{self.suffix}{suffix}")

    def rename_video(self, relative: Path) -> Path:
        """Return the name of a video's result.

        It is below the output folder.

        Args:
            relative: name of the input below its folder. A suffix that is not written becomes .mkv.
        """
        suffix = relative.suffix if relative.suffix.lower() in CONTAINERS else ANY_CONTAINER
        return relative.with_name(f"{relative.stem}{self.suffix}{suffix}")


def choose_output(output: Path, picture: Picture, strict: bool) -> tuple[Path, str]:
    """Find a file whose format holds a picture.

    Args:
        output: planned result.
        picture: picture as it was read.
        strict: whether the user chose the format, so that no other is taken.

    Returns:
        The planned result and no words; or a file beside it, `photo.jpg.png`, and why.

    Raises:
        UserError: `strict`, and the format does not hold the picture.
    """
    form = find_format_of(output.suffix)
    assert form is not None  # the plan gives no other suffix
    try:
        check_encodable(picture, form.name, name=str(output))
    except UserError as error:
        if strict:
            raise
        able = next(other for other in FORMATS if other.alpha and picture.pixels.dtype.name in other.types)
        reason = str(error).partition(": ")[2].partition(";")[0]
        return output.with_name(output.name + able.suffixes[0]), f"written as {able.name}, since {reason}"
    return output, ""


def list_candidates(output: Path) -> tuple[Path, ...]:
    """List the files that `choose_output` may choose."""
    return (output, *(output.with_name(output.name + form.suffixes[0]) for form in FORMATS if form.alpha))
