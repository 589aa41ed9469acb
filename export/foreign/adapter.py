"""Module over a foreign network, for pictures in 0..1."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn


@dataclasses.dataclass(frozen=True)
class Side:
    """Constant input beside the picture."""

    name: str
    value: float
    form: str
    """Shape of the input: "Nx1x1x1", "Nx1", "N", "plane" for [N,C,H,W], or "number" for a Python number."""
    channels: int = 1
    """Channels of a plane."""
    keyword: bool = False
    """Whether the module's forward has a parameter of this name."""

    def make(self, image: Tensor) -> Tensor | float:
        """Make the input for pictures [N,C,H,W]."""
        if self.form == "number":
            return self.value
        if self.form == "plane":
            return torch.full_like(image[:, :1], self.value).expand(-1, self.channels, -1, -1)
        column = torch.full_like(image[:, :1, :1, :1], self.value)
        return {"Nx1x1x1": column, "Nx1": column.flatten(1), "N": column.flatten()}[self.form]


SIDE_FORMS = ("Nx1x1x1", "plane", "Nx1", "N", "number")
"""Forms of a constant input in the order in which they are tried."""


class Adapted(nn.Module):
    """Module over a foreign one.

    It takes the picture alone, [N,C,H,W] in 0..1, and returns a flat tuple of tensors whose first is the restored
    picture in 0..1. Inputs are cloned, because some modules change theirs in place.
    """

    def __init__(self, module: nn.Module, sides: tuple[Side, ...] = ()) -> None:
        super().__init__()
        self.module = module
        self.sides = sides
        self.chosen: tuple[int, ...] | None = None
        """Places of the outputs to return, the picture's first; None returns all."""
        self.to_unit = (1.0, 0.0)
        """Factor and summand that bring the picture to 0..1."""

    def call(self, image: Tensor) -> Any:
        """Run the module and return its own output."""
        made = [(side, side.make(image)) for side in self.sides]
        given = [value for side, value in made if not side.keyword]
        return self.module(image.clone(), *given, **{side.name: value for side, value in made if side.keyword})

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Run the module and return its tensors, the picture first."""
        leaves = tensors_of(self.call(image))
        if self.chosen is None:
            return leaves
        first, *others = (leaves[place] for place in self.chosen)
        return (self._in_unit(first), *others)

    def _in_unit(self, picture: Tensor) -> Tensor:
        factor, summand = self.to_unit
        if not picture.is_floating_point():
            picture = picture.float()
        if factor != 1.0:
            picture = picture * factor
        return picture + summand if summand else picture


def tensors_of(output: Any) -> tuple[Tensor, ...]:
    """Return the tensors of a nested output, in order."""
    leaves = torch.utils._pytree.tree_leaves(output)
    return tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))


def keys_of(output: Any) -> tuple[str, ...]:
    """Return the last key of each tensor of an output.

    In a list it is the tensor's place.
    """
    paths, _ = torch.utils._pytree.tree_flatten_with_path(output)
    return tuple(_last(path) for path, leaf in paths if isinstance(leaf, Tensor))


def _last(path: tuple[Any, ...]) -> str:
    if not path:
        return ""
    entry = path[-1]
    return str(getattr(entry, "key", getattr(entry, "name", getattr(entry, "idx", ""))))
