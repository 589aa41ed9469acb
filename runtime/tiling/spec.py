"""Descriptions of the networks that the runtime can run."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

WHOLE_PICTURE = 1 << 30
"""Side of a tile in pixels that no picture exceeds."""


@dataclass(frozen=True)
class SpairNetwork:
    """Description of a two-stage network, whose kind is "spair".

    Lengths are in pixels of the full-size picture.
    """

    has_mask: ClassVar[bool] = True
    """Whether the network says which pixels are distorted."""
    takes_mask: ClassVar[bool] = True
    """Whether the caller may say which pixels are distorted."""
    default_tile: ClassVar[int] = 2048
    """Largest side of a piece in pixels, unless the user gives one."""
    scale: ClassVar[int] = 1
    """Factor from the height and width of a picture to those of the restored one."""

    halo_l: int
    """Pixels around a pixel that Net_L has to see, the radius of its receptive field."""
    halo_r: int
    """Pixels around a pixel that Net_R has to see, the radius of its receptive field."""
    multiple: int = 8
    """Number of pixels that divides height and width of every input of the graphs."""
    grid: int = 16
    """Number of cells per side of the grid of clean keys."""
    scales: tuple[int, ...] = (0, 1, 2)
    """Scales of the feature maps; the map of scale s is 2**s times smaller than the picture."""
    modulated: tuple[int, ...] = (1, 2)
    """Scales whose distorted features are normalised to the statistics of the clean ones."""
    key_scale: int = 2
    """Scale from which the clean keys are averaged."""
    eps: float = 1e-5
    """Number added to both variances before their ratio is taken."""
    mask_threshold: float = 0.35
    """Probability above which a pixel counts as distorted, unless the caller says another one."""
    gate_output: bool = True
    """Whether clean pixels are the input's own; if not, the network may change any pixel, and no tile is skipped."""
    channels: tuple[int, ...] = ()
    """Numbers of channels of the feature maps; empty if the bundle does not say."""
    work: tuple[float, ...] = (1.0, 0.0, 0.0)
    """Share of each scale in the multiply-adds of Net_R where all pixels are distorted; the sum is 1."""
    crossover: float | None = None
    """Share of the work below which the packed graph is assumed to be cheaper if nothing was measured, see `Tuning`.
    None if the bundle does not say; it is then predicted from the processor."""

    def __post_init__(self) -> None:
        _check_numbers(self, _WHOLE_OF_SPAIR)
        _check_numbers(self, _OTHERS_OF_SPAIR)
        if min(self.halo_l, self.halo_r) < 0 or self.multiple < 1 or self.grid < 1 or self.eps <= 0:
            raise ValueError(f"halos must be >= 0, multiple and grid >= 1 and eps > 0, got {self}")
        given = self.crossover is not None
        if given and not (isinstance(self.crossover, (int, float)) and 0.0 <= self.crossover <= 10.0):  # nor NaN
            raise ValueError(f"crossover must be a number from 0 to 10, got {self.crossover!r}")
        used = {*self.modulated, self.key_scale}
        if not used <= set(self.scales) or self.multiple % 2 ** max(self.scales):
            raise ValueError(
                f"scales must include {sorted(used)}, and 2**scale must divide {self.multiple}, got {self.scales}"
            )
        if len(self.work) != len(self.scales) or min(self.work) < 0 or abs(sum(self.work) - 1.0) > 1e-3:
            raise ValueError(
                f"work must hold a share for each of the scales {self.scales}, with the sum 1, got {self.work}"
            )


@dataclass(frozen=True)
class ForeignNetwork:
    """Description of any other network, whose kind is "foreign".

    Lengths are in pixels.
    """

    has_mask: ClassVar[bool] = False
    """Whether the network says which pixels are distorted."""
    takes_mask: ClassVar[bool] = False
    """Whether the caller may say which pixels are distorted."""
    gate_output: ClassVar[bool] = False
    """Whether clean pixels are the input's own; a foreign network may change any pixel."""
    multiple: int = 1
    """Number of pixels that divides height and width of every input of the graph."""
    halo: int = 0
    """Pixels around a pixel that the network has to see; 0 if that is not known. For a network that sees the whole
    picture, the overlap of tiles."""
    align: int = 0
    """Number of pixels that divides the first row and column of every tile; 0 for `multiple`."""
    reach: str = "local"
    """"local" if tiles can be right, "whole" if the network must see a picture whole."""
    tile_error: float = 0.0
    """Largest difference between tiles and the whole picture that the export measured, in 8-bit steps."""
    scale: int = 1
    """Factor from the height and width of a picture to those of the restored one."""
    picture_channels: int = 3
    """Channels of the pictures that the network takes and gives, 3 (RGB) or 1 (gray)."""
    colour: str = "channels"
    """Way in which a network of one channel restores colours: "channels" one after the other, or "luma" alone."""
    sizes: tuple[tuple[int, int], ...] = ()
    """Heights and widths in pixels that the network takes; empty if it takes any."""
    bytes_per_pixel: float = 0.0
    """Estimated memory of a run in bytes for each pixel of the picture; 0 if that is not known."""
    bytes_per_pair: float = 0.0
    """Estimated memory of a run in bytes for each pair of pixels."""

    def __post_init__(self) -> None:
        _check_numbers(self, _NUMBERS_OF_FOREIGN)
        object.__setattr__(self, "sizes", tuple((int(height), int(width)) for height, width in self.sizes))
        if self.multiple < 1 or self.halo < 0 or self.align < 0:
            raise ValueError(f"multiple must be >= 1, halo and align >= 0, got {self}")
        if self.reach not in ("local", "whole") or self.colour not in ("channels", "luma"):
            raise ValueError(f"reach must be local or whole, and colour channels or luma, got {self}")
        if (
            self.picture_channels not in (1, 3)
            or not 1 <= self.scale <= 16
            or any(min(size) < 1 for size in self.sizes)
        ):
            raise ValueError(f"picture_channels must be 1 or 3, scale 1 to 16, and sizes positive, got {self}")
        if min(self.bytes_per_pixel, self.bytes_per_pair, self.tile_error) < 0:
            raise ValueError(f"memory and tile_error must be >= 0, got {self}")

    @property
    def default_tile(self) -> int:
        """Side of a tile in pixels without --tile.

        It is small, because the memory of a network is often not known. A network that must see the whole picture gets
        it.
        """
        return WHOLE_PICTURE if self.reach == "whole" else 512

    def estimate_bytes(self, pixels: int) -> float:
        """Estimate the bytes of a run; 0 if not known."""
        return self.bytes_per_pixel * pixels + self.bytes_per_pair * pixels * pixels

    def fit_pixels(self, memory: float) -> int:
        """Return the number of pixels that fit into memory."""
        per_pixel, per_pair = self.bytes_per_pixel, self.bytes_per_pair
        if per_pair == 0:
            return int(memory / per_pixel) if per_pixel else 0
        return int((math.sqrt(per_pixel * per_pixel + 4 * per_pair * memory) - per_pixel) / (2 * per_pair))

    def warn_of_tiles(self, tile: int | None) -> tuple[str, ...]:
        """Warn of tiles where the network needs whole pictures.

        Args:
            tile: largest side of the pieces that was asked for; None where that was left open.
        """
        if self.reach != "whole" or (tile is None and not self.sizes):
            return ()
        where = f"in pieces of {tile} pixels" if not self.sizes else "larger than the sizes that the network takes"
        return (
            f"this network must see a picture whole; the result of pictures {where} {self.say_tile_error()}"
            + ("; leave out --tile where memory allows" if tile is not None else ""),
        )

    def say_tile_error(self) -> str:
        """Say how far tiles are from the whole picture."""
        if self.sizes and not self.tile_error:
            return "may differ from that of the whole picture"
        return (
            f"differed by up to {self.tile_error:.3g} of 255 steps from that of the whole picture when it was exported"
        )


@dataclass(frozen=True)
class BytesNetwork:
    """Description of a network that takes 8-bit RGB pictures alone.

    It pads and crops by itself.
    """

    takes_mask: ClassVar[bool] = False
    """Whether the caller may say which pixels are distorted."""
    default_tile: ClassVar[int] = 1
    """Side of a tile in pixels; without effect, because pictures are not cut."""
    multiple: ClassVar[int] = 1
    """Number of pixels that divides height and width of every input."""

    has_mask: bool
    """Whether the network says which pixels are distorted."""
    gate_output: bool
    """Whether clean pixels are the input's own."""
    scale: int = 1
    """Factor from the height and width of a picture to those of the restored one."""
    mask_threshold: float | None = None
    """Probability above which a pixel counts as distorted, as far as the network's constant tells; None if it does not.
    """


MOST_PIXELS = 4096
"""Largest multiple and halo, in pixels; a larger one would pad a picture of one pixel to a large one."""
MOST_CELLS = 1024
"""Largest number of cells per side of the grid of clean keys."""
MOST_SCALES = 8
"""Largest number of feature maps."""
MOST_CHANNELS = 65_536
"""Largest number of channels of a feature map."""


class _Bound(NamedTuple):
    """Values that a field may have."""

    holds: Callable[[Any], bool]
    words: str


def _is_whole(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value <= most


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2 and all(_is_whole(one, MOST_PIXELS) for one in value)


def _whole(most: int) -> _Bound:
    return _Bound(lambda value: _is_whole(value, most), f"a whole number of at most {most}")


def _wholes(most: int) -> _Bound:
    return _Bound(
        lambda value: (
            isinstance(value, tuple)
            and len(value) <= MOST_SCALES
            and all(_is_whole(one, most) and one >= 0 for one in value)
        ),
        f"at most {MOST_SCALES} whole numbers from 0 to {most}",
    )


def _check_numbers(network: Any, bounds: Mapping[str, _Bound]) -> None:
    """Check types and sizes, before any is computed with."""
    for name, bound in bounds.items():
        value = getattr(network, name)
        if not bound.holds(value):
            raise ValueError(f"{name} must be {bound.words}, got {repr(value)[:100]}")


_WHOLE_OF_SPAIR = {
    "halo_l": _whole(MOST_PIXELS),
    "halo_r": _whole(MOST_PIXELS),
    "multiple": _whole(MOST_PIXELS),
    "grid": _whole(MOST_CELLS),
    "scales": _wholes(MOST_SCALES - 1),
    "modulated": _wholes(MOST_SCALES - 1),
    "key_scale": _whole(MOST_SCALES - 1),
    "channels": _wholes(MOST_CHANNELS),
}
_OTHERS_OF_SPAIR = {
    "eps": _Bound(_is_number, "a number"),
    "mask_threshold": _Bound(lambda value: _is_number(value) and 0.0 < value < 1.0, "a number between 0 and 1"),
    "gate_output": _Bound(lambda value: isinstance(value, bool), "true or false"),
    "work": _Bound(
        lambda value: isinstance(value, tuple) and len(value) <= MOST_SCALES and all(map(_is_number, value)),
        f"at most {MOST_SCALES} numbers",
    ),
}
_NUMBERS_OF_FOREIGN = {
    **dict.fromkeys(("multiple", "halo", "align"), _whole(MOST_PIXELS)),
    **dict.fromkeys(("picture_channels", "scale"), _whole(MOST_CHANNELS)),
    **dict.fromkeys(("bytes_per_pixel", "bytes_per_pair", "tile_error"), _Bound(_is_number, "a number")),
    "sizes": _Bound(
        lambda value: isinstance(value, (tuple, list)) and all(_is_size(one) for one in value),
        f"pairs of whole numbers from 1 to {MOST_PIXELS}",
    ),
}


def find_logit(threshold: float) -> float:
    """Return the logit of a probability.

    Args:
        threshold: the probability, 0..1.

    Returns:
        The logit, rounded to float32 as in the graphs. It is infinite at 0, above which every pixel lies, and at 1,
        above which none does.
    """
    if threshold in (0.0, 1.0):
        return math.inf if threshold else -math.inf
    rounded: float = struct.unpack("f", struct.pack("f", math.log(threshold / (1.0 - threshold))))[0]
    return rounded


NetworkSpec = SpairNetwork | ForeignNetwork
"""Description of a network of either kind of bundle."""


def spair_network(geometry: Mapping[str, Any]) -> SpairNetwork:
    """Make a `SpairNetwork` from JSON values.

    Unknown keys are left out.

    Raises:
        TypeError, ValueError: a value is missing or out of range.
    """
    return network_from_json(SpairNetwork, geometry)


def network_from_json(network_type: type, raw: Mapping[str, Any]) -> Any:
    """Make a description of a network from JSON values.

    Args:
        network_type: `SpairNetwork` or `ForeignNetwork`.
        raw: values by name; unknown names are left out.

    Raises:
        TypeError, ValueError: a value is missing or out of range.
    """
    if not isinstance(raw, dict):
        raise TypeError(f"network must be a table, not {repr(raw)[:100]}")
    known = {f.name for f in fields(network_type)}
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items() if k in known}
    return network_type(**values)
