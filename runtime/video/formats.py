"""Formats of samples, decoded and in results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import UserError

_PLANAR = re.compile(r"(?P<family>yuva|yuvj|yuv)(?P<sampling>4\d\d)p(?P<depth>\d+)?(?:le)?")
_GRAY = re.compile(r"gray(?P<depth>\d+)?(?:le)?")
_SAMPLINGS = {
    "420": ("420", "422", "444"),
    "422": ("422", "444", "420"),
    "444": ("444", "422", "420"),
    "440": ("440", "444", "420"),
    "411": ("411", "422", "444", "420"),
    "410": ("410", "420", "422", "444"),
}
"""Sampling of colour differences -> samplings that keep it, and then the nearest that does not."""
_DEPTHS = (8, 10, 12)
"""Bits of a sample in results."""


class SampleFormat(NamedTuple):
    """Format of the samples of decoded frames."""

    name: str
    """FFmpeg's name."""
    sampling: str
    """Sampling of the colour differences, such as "420"; "444" for RGB and gray."""
    depth: int
    """Bits of a sample."""
    kind: str = "yuv"
    """"yuv", "gray" or "rgb"."""
    full: bool = False
    """Whether the name itself says that black is 0."""
    alpha: bool = False


def parse_format(name: str, depth: int, is_rgb: bool, has_alpha: bool) -> SampleFormat:
    """Read the name of a format.

    Args:
        name: FFmpeg's name.
        depth: bits of a sample.
        is_rgb: whether samples are red, green and blue, or numbers in a palette.
        has_alpha: whether there is an alpha channel.
    """
    if is_rgb:
        return SampleFormat(name, "444", depth, "rgb", True, has_alpha)
    gray = _GRAY.fullmatch(name)
    if gray:
        return SampleFormat(name, "444", depth, "gray")
    planar = _PLANAR.fullmatch(name)
    if planar:
        family = planar["family"]
        return SampleFormat(name, planar["sampling"], depth, "yuv", family == "yuvj", family == "yuva")
    return SampleFormat(name, "422" if "422" in name else "420", depth, "yuv", False, has_alpha)  # packed, as yuyv422


def choose_format(found: SampleFormat, taken: Sequence[str], encoder: str) -> str:
    """Choose the format of a result's frames.

    It is that of the input wherever the encoder takes it. Alpha is left out.

    Args:
        found: format of the input.
        taken: FFmpeg's names of the formats that the encoder takes.
        encoder: its name, for the message.

    Raises:
        UserError: the encoder takes no planar format.
    """
    if found.name in taken and found.kind == "yuv" and not found.alpha and _PLANAR.fullmatch(found.name):
        return found.name
    sampling = "420" if found.kind == "gray" else found.sampling
    depths = sorted(_DEPTHS, key=lambda depth: (depth < found.depth, abs(depth - found.depth)))
    for one in _SAMPLINGS.get(sampling, ("444", "422", "420")):
        for depth in depths:
            name = f"yuv{one}p" if depth == 8 else f"yuv{one}p{depth}le"
            if name in taken:
                return name
    raise UserError(f"the encoder {encoder} takes no format that a result could have; give another --codec")


def list_losses(found: SampleFormat, kept: str) -> list[str]:
    """Name what a result's format does not hold."""
    losses = ["alpha"] if found.alpha else []
    planar = _PLANAR.fullmatch(kept)
    assert planar is not None  # `choose_format` gives no other name
    depth = int(planar["depth"] or 8)
    if depth < found.depth:
        losses.append(f"{found.depth - depth} of {found.depth} bits")
    if found.kind == "rgb":
        losses.append("RGB")
    elif found.kind == "yuv" and planar["sampling"] not in _SAMPLINGS.get(found.sampling, ())[:2]:
        losses.append(f"sampling {found.sampling}")
    return losses
