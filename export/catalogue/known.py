"""Records of networks that are known by their weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...runtime.errors import UserError
from ..foreign import ForeignInterface

State = Mapping[str, Tensor]
"""Weights by name."""

NOISE = "noise"
"""Name of the input that says how strong the noise is."""


@dataclasses.dataclass(frozen=True)
class Known:
    """Network that was recognised and filled."""

    name: str
    """Name of the architecture."""
    module: nn.Module
    """Network with its weights, in float32 and in the mode of evaluation."""
    channels: int
    """Channels of the picture."""
    scale: int
    """Factor from the height and width of the input to those of the picture."""
    source: str
    """Program that has the architecture: "spair", or "spandrel" with its version."""
    multiple: int = 1
    """Number that must divide height and width, in pixels."""
    min_size: int = 1
    """Smallest height and width that it takes, in pixels."""
    noise: bool = False
    """Whether it takes a level of noise as second input."""
    details: tuple[str, ...] = ()
    """Facts that were read from the weights, such as "64nf"."""
    notes: tuple[str, ...] = ()
    """Sentences about what the weights do not say."""

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    def make_interface(self, **said: Any) -> ForeignInterface:
        """Describe the network for the export.

        Args:
            said: fields of `ForeignInterface` that the user gave; they replace what is known.

        Raises:
            UserError: the fields are wrong, or the level of noise is missing.
        """
        sides = dict(said.get("sides", ()))
        if self.noise and NOISE not in sides and "inputs" not in said:
            raise UserError(
                f"{self.name} takes a level of noise beside the picture, and none was given; give it in 0..1, for "
                f"example --side-input {NOISE}=25/255"
            )
        inputs = (("image", self.channels), *(((NOISE, 1),) if self.noise else ()))
        return ForeignInterface(**{"inputs": inputs, "multiple": self.multiple, "min_size": self.min_size, **said})

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of what was recognised."""
        names = ("name", "source", "scale", "channels", "parameters")
        return {**{name: getattr(self, name) for name in names}, "details": list(self.details)}


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Architecture that is recognised by its weights."""

    name: str
    tells: tuple[str, ...]
    """Names of weights by which it is recognised; a network may have another form, with others."""
    detect: Callable[[State], bool]
    """Function that tells whether weights are of the architecture."""
    build: Callable[[State], Known]
    """Function that makes the network of the weights' shapes, and loads them strictly."""


def own_architecture(
    name: str, tells: tuple[str, ...], fits: Callable[[State], bool], build: Callable[[State], Known]
) -> Architecture:
    """Make the record of an architecture of our own.

    Args:
        name: its name.
        tells: names of weights that every network of it has.
        fits: tells whether the shapes of weights with these names are its own.
        build: see `Architecture`.
    """
    return Architecture(name, tells, lambda state: all(tell in state for tell in tells) and fits(state), build)


class WithNoise(nn.Module):
    """Network that takes the noise as a channel."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:
        """Restore image [N,C,H,W] under noise [N,1,H,W], both in 0..1."""
        restored: Tensor = self.module(torch.cat((image, noise), 1))
        return restored


def count_blocks(state: State, prefix: str) -> int:
    """Count the modules of a sequence.

    Args:
        state: weights by name.
        prefix: name of the sequence with the dot at its end, as in "body.".

    Returns:
        The number of different names after the prefix, which modules without weights do not have.
    """
    return len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})
