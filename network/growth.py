"""Growth of a trained network to a larger size.

The grown network computes what the trained one does, and its new channels learn from the first steps on (function-
preserving widening and deepening, Chen et al., "Net2Net", 2016). Weights of the trained network keep their places:
new channels come last, in every layer and behind every pixel shuffle.

1. Trained channels do not read new ones: those weights are zero. They are the first that learn, and then the new
   channels get gradients through them.
2. A new channel of a stream is a random filter of the layer that begins the stream. Layers that add to a stream, or
   pass it on, leave a new channel as it is: in Net_R the lateral layer passes it on, and what is added is zero.
3. The kernels of random filters sum to zero. Behind a ReLU such a filter responds wherever its inputs vary; another
   one may give zero everywhere, without a gradient.
4. Attention divides by the root of its channels, so trained queries are multiplied by the root of the ratio. New
   queries are zero and new keys random, so scores stay the same, and queries learn first.
5. A new residual pair adds nothing: its first convolution is random, its second one zero.

Modulation and the raster of clean keys work on each channel by itself.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .errors import CheckpointError
from .presets import Preset
from .spair import SPAIR

SIZES = ("local_channels", "detail_channels", "channels", "pairs", "attention_channels")
"""Fields of a preset that may grow."""
FIXED = ("grid", "gate_output")
"""Fields of a preset that change what the same weights compute."""

FILTERS = frozenset({"stem", "to_quarter", "to_eighth", "head", "fuse", "first", "key", "value"})
"""Layers whose new channels are random filters."""
PASSING = frozenset({"lateral_half", "lateral_full"})
"""Layers that pass on their new channels."""
ADDING = frozenset({"second", "up_quarter", "up_half", "up_full", "query", "out"})
"""Layers whose new channels are zero: what they give is added to a stream, or multiplied with new keys."""


def describe_obstacle(start: Preset, wanted: Preset) -> str:
    """Say why a network cannot grow to a size.

    Returns:
        The sizes that are larger than wanted, or else the fields that have to be equal and are not; "" if it can grow.
    """
    larger = [field for field in SIZES if not _fits(getattr(start, field), getattr(wanted, field))]
    if larger:
        return f"larger in {_compare(start, wanted, larger, 'instead of at most')}"
    other = [field for field in FIXED if getattr(start, field) != getattr(wanted, field)]
    return f"of another {_compare(start, wanted, other, 'instead of')}" if other else ""


def grow(model: SPAIR, preset: Preset, *, seed: int = 0) -> SPAIR:
    """Grow a network to a larger size.

    Args:
        model: the trained network, which stays as it is.
        preset: size of the grown one, with its threshold of the mask.
        seed: of the new random filters.

    Returns:
        A network in eval mode whose logits and pictures are those of `model`, but for rounding.

    Raises:
        CheckpointError: some size of `model` is larger, or its grid or its gate differs; see `describe_obstacle`.
    """
    if obstacle := describe_obstacle(model.preset, preset):
        raise CheckpointError(
            f"a network of the preset {model.preset.name!r} cannot grow to {preset.name!r}: it is {obstacle}; "
            "give a preset that is nowhere smaller, with the same grid and gate_output"
        )
    with torch.device("meta"):
        grown = SPAIR(preset)
    trained, generator = model.state_dict(), torch.Generator().manual_seed(seed)
    like = next(model.parameters())
    state = {
        name: _grow_tensor(name, trained.get(name, like.new_zeros((0,) * value.dim())), value.shape, generator)
        for name, value in grown.state_dict().items()
    }
    factor = math.sqrt(preset.attention_channels / model.preset.attention_channels)
    for part in ("weight", "bias"):
        state[f"net_r.snl.query.{part}"] *= factor
    grown.load_state_dict(state, assign=True)
    return grown.eval()


def _grow_tensor(name: str, trained: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Grow one tensor of weights.

    Args:
        name: its name in the network.
        trained: weights [O,I,k,k] or [O]; empty for a layer that is new as a whole.
        shape: of the grown weights.
        generator: draws random filters.
    """
    grown = trained.new_zeros(shape)
    grown[tuple(slice(count) for count in trained.shape)] = trained
    if len(shape) == 1:
        return grown
    known, layer = len(trained), _name_layer(name)
    if layer in FILTERS:
        grown[known:] = draw_filters(grown[known:].shape, generator)
    elif layer in PASSING:
        grown[known:, trained.shape[1] :, 0, 0] = torch.eye(shape[0] - known)
    elif layer not in ADDING:
        raise ValueError(f"growth knows no layer {layer!r} ({name})")
    return grown


def draw_filters(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Draw random filters [O,I,k,k].

    They keep the variance of what they read (He et al. 2015). Every kernel sums to zero, but for kernels of one pixel.
    """
    fan_in = math.prod(shape[1:])
    filters = torch.randn(shape, generator=generator) * math.sqrt(2.0 / fan_in)
    return filters - filters.mean((2, 3), keepdim=True) if shape[2] > 1 else filters


def _name_layer(name: str) -> str:
    """Return the layer of a weight, as "fuse" of "net_r.fuse.0.weight"."""
    return next(part for part in reversed(name.split(".")[:-1]) if not part.isdigit())


def _fits(size: Any, limit: Any) -> bool:
    """Tell whether one count, or each of three, fits another."""
    if isinstance(size, tuple):
        return all(one <= most for one, most in zip(size, limit, strict=True))
    return bool(size <= limit)


def _compare(start: Preset, wanted: Preset, fields: list[str], words: str) -> str:
    return ", ".join(f"{field} ({getattr(start, field)} {words} {getattr(wanted, field)})" for field in fields)
