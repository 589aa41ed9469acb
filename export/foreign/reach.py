"""Reach of a foreign network."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from ...runtime.tiling.geometry import round_up
from .probing import Adaptation

VISIBLE = 0.1 / 255
"""Smallest difference that counts as a change, on pictures of 0..1: a tenth of an 8-bit step."""
CUT = 64
"""Place in pixels of the edge beyond which a picture is changed or missing."""
SEEN = 160
"""Pixels on the near side of that edge in which changes are looked for."""
THICKNESS = 64
"""Width in pixels of the strips."""
MARGIN = 24
"""Pixels at the far end of a strip that no change may reach, or the reach counts as unlimited."""
OVERLAP = 64
"""Overlap in pixels of tiles of a network whose reach is unlimited, which makes them better but not right."""
ALIGNMENTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 24, 32, 64)
"""Numbers, in multiples, that the first pixel of a tile is tried at."""


@dataclasses.dataclass(frozen=True)
class Reach:
    """Distance over which a network sees."""

    halo: int
    """Pixels around a pixel that visibly change it; for an unlimited reach the overlap of tiles."""
    align: int
    """Number of pixels that the first row and column of every tile must be a multiple of."""
    error: float
    """Largest difference that was measured between tiles with this overlap and the whole picture, in 8-bit steps."""
    unlimited: str = ""
    """Words that say why no tile can be right; empty where tiles are right."""

    @property
    def whole(self) -> bool:
        """Whether the network must see the picture whole."""
        return bool(self.unlimited)


def measure_reach(adaptation: Adaptation, reason: str = "", size: tuple[int, int] | None = None) -> Reach:
    """Measure how far a network sees.

    Strips of a picture, upright and lying, are restored thrice: as they are, with everything beyond an edge black and
    then white, and without what lies beyond it. The farthest visible change on this side of the edge is the reach. So
    averages over wide areas show as well as single pixels do. A cut at a place that the network's inner grid does not
    divide moves everything; the smallest step whose cuts move little is the alignment.

    The receptive field of a recurrent network would be many times larger than the visible reach.

    Args:
        adaptation: the network.
        reason: words that say why its graph needs the picture whole, or empty.
        size: height and width in pixels of a network that takes no others, whose tiles cannot be cut for a trial.
    """
    if size is not None:
        return _measure_fixed(adaptation, size)
    strips = [_Strip(adaptation, axis) for axis in (2, 3)]
    changed = max((strip.measure_changed() for strip in strips), key=lambda profile: profile.reach)
    if not reason and not changed.ends:
        far = len(changed.values) - MARGIN
        reason = f"a change {far} pixels away moves its values by {_steps(changed.largest_beyond(far))}"
    for align in () if reason else ALIGNMENTS:
        cuts = [strip.measure_cut(align) for strip in strips]
        if all(cut.ends for cut in cuts):
            halo = max(*(cut.reach for cut in cuts), changed.reach)
            return Reach(halo, align, 255 * max(cut.largest_beyond(halo) for cut in cuts))
    cuts = [changed, *(strip.measure_cut(1) for strip in strips)]
    halo = min(OVERLAP, max(cut.reach for cut in cuts))
    error = max(cut.largest_beyond(halo) for cut in cuts)
    return Reach(halo, 1, 255 * error, reason or f"its values depend on where a piece begins, by {_steps(error)}")


def _measure_fixed(adaptation: Adaptation, size: tuple[int, int]) -> Reach:
    """Measure the reach of a network of fixed size.

    Two windows of that size, some pixels apart, are restored and compared where they overlap.
    """
    most = min(size) // 4
    units = [align for align in ALIGNMENTS if align * adaptation.interface.multiple <= most] or [1]
    profiles: list[_Profile] = []
    for align in units:
        profiles = [_shift(adaptation, size, axis, align * adaptation.interface.multiple) for axis in (2, 3)]
        halo = max(profile.reach for profile in profiles)
        if halo <= most:
            return Reach(halo, align, 255 * max(profile.largest_beyond(halo) for profile in profiles))
    error = max(profile.largest_beyond(most) for profile in profiles)
    where = f"{size[0]}x{size[1]}"
    return Reach(most, 1, 255 * error, f"pieces of {where} differ by {_steps(error)} in their middle when they move")


def _shift(adaptation: Adaptation, size: tuple[int, int], axis: int, distance: int) -> _Profile:
    """Compare two windows that lie some pixels apart.

    Returns:
        The largest difference at each distance from the nearer end of their overlap.
    """
    sides = [side + distance * (axis == 2 + place) for place, side in enumerate(size)]
    picture = _make_picture((1, adaptation.interface.channels, sides[0], sides[1]), axis)
    length, scale = size[axis - 2], adaptation.scale
    with torch.no_grad():
        first, second = (
            adaptation.module(picture.narrow(axis, start, length).contiguous())[0] for start in (0, distance)
        )
    overlap = length - distance
    near = first.narrow(axis, scale * distance, scale * overlap) - second.narrow(axis, 0, scale * overlap)
    across = tuple(other for other in range(4) if other != axis)
    values = near.abs().amax(across).reshape(-1, scale).amax(1)
    both = torch.maximum(values, values.flip(0))
    return _Profile(both[: (overlap + 1) // 2])


def _steps(difference: float) -> str:
    return f"{255 * difference:.2g} of 255 steps"


@dataclasses.dataclass(frozen=True)
class _Profile:
    """Largest change at each distance from an edge."""

    values: Tensor
    """[distances], from 1 pixel on."""

    @property
    def reach(self) -> int:
        """Largest distance of a visible change in pixels, or 0."""
        found = torch.nonzero(~(self.values <= VISIBLE))  # NaN counts as visible
        return int(found.max()) + 1 if found.numel() else 0

    @property
    def ends(self) -> bool:
        """Whether visible changes end inside the strip."""
        return self.reach <= len(self.values) - MARGIN

    def largest_beyond(self, distance: int) -> float:
        """Return the largest change farther away than a distance."""
        rest = self.values[distance:]
        return float(rest.max()) if rest.numel() else 0.0


class _Strip:
    """Strip of a picture along one axis.

    It is restored once as it is.
    """

    def __init__(self, adaptation: Adaptation, axis: int) -> None:
        interface = adaptation.interface
        self._adaptation, self._axis = adaptation, axis
        self._step = interface.multiple
        self._edge = round_up(CUT, self._step)
        length = round_up(self._edge + max(SEEN, interface.smallest), self._step)
        thickness = length if adaptation.square else max(round_up(THICKNESS, self._step), interface.smallest)
        sides = (length, thickness) if axis == 2 else (thickness, length)
        self._picture = _make_picture((1, interface.channels, *sides), axis)
        self._restored = self._run(self._picture)

    def measure_changed(self) -> _Profile:
        """Measure what other pixels beyond the edge change."""
        profiles = []
        for value in (0.0, 1.0):
            other = self._picture.clone()
            other.narrow(self._axis, 0, self._edge).fill_(value)
            profiles.append(self._compare(self._run(other), self._edge).values)
        return _Profile(torch.stack(profiles).amax(0))

    def measure_cut(self, align: int) -> _Profile:
        """Measure what missing pixels beyond an edge change.

        The edge is an odd multiple of `align` multiples.
        """
        unit = align * self._step
        count = max(math.ceil(self._edge / unit), 1)
        edge = unit * (count + (count + 1) % 2)
        length = self._picture.shape[self._axis] - edge
        if length < self._adaptation.interface.smallest:
            return _Profile(torch.full((MARGIN,), torch.inf))
        piece = self._picture.narrow(self._axis, edge, length)
        if self._adaptation.square:  # the other axis is as long
            across = self._picture.shape[5 - self._axis]
            piece = piece.narrow(5 - self._axis, 0, min(length, across))
        return self._compare(self._run(piece.contiguous()), edge)

    def _run(self, picture: Tensor) -> Tensor:
        with torch.no_grad():
            return self._adaptation.module(picture)[0]

    def _compare(self, other: Tensor, edge: int) -> _Profile:
        """Return the largest difference at each distance from an edge."""
        scale = self._adaptation.scale
        size = self._picture.shape[self._axis] - edge
        near = [
            value.narrow(self._axis, value.shape[self._axis] - scale * size, scale * size)
            for value in (self._restored, other)
        ]
        if near[0].shape != near[1].shape:  # a square piece, which is cut along the other axis as well, at its end
            keep = other.shape[5 - self._axis]
            near = [value.narrow(5 - self._axis, 0, keep // 4) for value in near]
        across = tuple(axis for axis in range(4) if axis != self._axis)
        return _Profile((near[0] - near[1]).abs().amax(across).reshape(-1, scale).amax(1))


def _make_picture(shape: tuple[int, int, int, int], axis: int) -> Tensor:
    """Make a picture of noise and wide areas.

    It is darker on one side than on the other.
    """
    generator = torch.Generator().manual_seed(axis)
    noise = torch.rand(shape, generator=generator)
    coarse = torch.rand(*shape[:2], *(max(1, side // 16) for side in shape[2:]), generator=generator)
    areas = torch.nn.functional.interpolate(coarse, size=shape[2:], mode="nearest")
    ramp = torch.linspace(0.2, 1.0, shape[axis]).reshape([-1 if place == axis else 1 for place in range(4)])
    return (0.5 * noise + 0.5 * areas) * ramp
