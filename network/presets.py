"""Network sizes, which every checkpoint stores."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from .errors import CheckpointError
from .files.bounds import parse_metadata


@dataclasses.dataclass(frozen=True)
class Preset:
    """Size of the network and meaning of its mask.

    A preset fixes the shapes of all weights. Tuples have one entry per scale of Net_R, from the finest to the
    coarsest: full, half and quarter size.
    """

    name: str
    """Name in the list of presets; a custom size may have any name."""
    local_channels: tuple[int, int, int] = (24, 32, 48)
    """Channels of Net_L at half, quarter and eighth size."""
    detail_channels: int = 8
    """Channels of Net_L's feature map at full size."""
    channels: tuple[int, int, int] = (48, 64, 64)
    """Channels of Net_R's sparse convolutions at full, half and quarter size."""
    pairs: tuple[int, int, int] = (2, 2, 2)
    """Residual pairs of 3x3 sparse convolutions per scale."""
    attention_channels: int = 32
    """Channels of queries and keys in the sparse non-local module."""
    grid: int = 16
    """Cells per side of the raster over the whole picture that pools the clean keys of the non-local module."""
    mask_threshold: float = 0.35
    """Probability (0..1) above which a pixel of Net_L counts as distorted."""
    gate_output: bool = True
    """Whether clean pixels keep their exact bits; if False, the last convolution changes pixels next to the mask."""

    def __post_init__(self) -> None:
        counts, triples = ("detail_channels", "attention_channels", "grid"), ("local_channels", "channels", "pairs")
        self._require(counts, _is_count, "a positive count")
        self._require(triples, _is_triple, "three positive counts")
        self._require(("name",), lambda value: isinstance(value, str), "text")
        self._require(("gate_output",), lambda value: isinstance(value, bool), "true or false")
        self._require(("mask_threshold",), lambda value: isinstance(value, float), "a number")
        if not 0.0 < self.mask_threshold < 1.0:
            raise CheckpointError(
                f"preset {self.name!r} has mask_threshold {self.mask_threshold}; it must lie in (0, 1)"
            )

    def _require(self, fields: tuple[str, ...], holds: Callable[[Any], bool], expected: str) -> None:
        for field in fields:
            value = getattr(self, field)
            if not holds(value):
                raise CheckpointError(f"preset {self.name!r} has {field} {value!r}; it must be {expected}")

    @property
    def feature_channels(self) -> tuple[int, int, int]:
        """Channels of Net_L's features at full, half and quarter size."""
        return (self.detail_channels, self.local_channels[0], self.local_channels[1])

    def to_json(self) -> str:
        """Return the canonical JSON for the metadata of a checkpoint."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Preset:
        """Rebuild a preset from the text of `to_json`.

        A field that the text lacks, other than the name, takes its default.

        Raises:
            CheckpointError: the text is not JSON, has unknown fields or no name, or has a value out of range.
        """
        try:
            fields: dict[str, Any] = parse_metadata(text)
            return cls(**{key: _frozen(value) for key, value in fields.items()})
        except CheckpointError:
            raise
        except (ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"the preset in the metadata cannot be read ({error}); save it with spair.network.save_checkpoint"
            ) from error


MAX_COUNT = 1024
"""Largest count of channels, pairs or cells in a preset; a larger one, over five times LARGE's, is damaged metadata."""


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_COUNT


def _is_triple(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and all(map(_is_count, value))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


TINY = Preset("tiny")
BASE = Preset("base", (40, 56, 80), 12, (80, 112, 112), (3, 3, 3), 48)
LARGE = Preset("large", (56, 80, 112), 16, (112, 160, 192), (4, 4, 4), 64)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in (TINY, BASE, LARGE)}


def find_preset(name: str) -> Preset:
    """Return the preset called `name`.

    Raises:
        CheckpointError: no preset has that name.
    """
    if name not in PRESETS:
        raise CheckpointError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
