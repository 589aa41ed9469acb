"""Other people's networks: a factory builds the module, the checkpoint is loaded strictly, the graph runs dense."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from ..network.checkpoint import load_strictly, read_state
from ..runtime.errors import UserError
from .graphs import GraphSpec

PROBE = 192
"""Side in pixels of the picture on which the reach of a network is measured."""
VISIBLE = 0.1 / 255
"""A change below a tenth of an 8-bit step is no change."""


@dataclasses.dataclass(frozen=True)
class ForeignInterface:
    """What the graph of a foreign network looks like from outside."""

    inputs: tuple[tuple[str, int], ...] = (("image", 3),)
    """Name and channels of each input [N,C,H,W], in the order of the module's forward."""
    outputs: tuple[str, ...] = ("restored",)
    """Names of the first outputs; further ones are called output_1, output_2, …"""
    multiple: int = 1
    """Height and width must be multiples of this inside; the graph pads and crops."""

    def __post_init__(self) -> None:
        names = [name for name, _ in self.inputs] + list(self.outputs)
        if not self.inputs or len(set(names)) != len(names):
            raise UserError(f"inputs and outputs need at least one input and distinct names, got {', '.join(names)}")
        if self.multiple < 1 or any(channels < 1 for _, channels in self.inputs):
            raise UserError("the multiple and every input's channels must be 1 or more")


def load_foreign(factory: str, checkpoint: Path) -> nn.Module:
    """Build a network and load its checkpoint.

    Args:
        factory: "package.module:function", importable from the current folder or the environment; the function
            takes no arguments and returns the nn.Module.
        checkpoint: a state dict in any form that `read_state` takes.

    Raises:
        UserError: the factory is ill-formed, does not import, fails, or returns no module.
        CheckpointError: the checkpoint is unusable, or its keys and shapes differ (the first ones are named).
    """
    module = _build(factory)
    state, _ = read_state(checkpoint)
    load_strictly(module, state, checkpoint)
    return module.eval()


def foreign_spec(module: nn.Module, interface: ForeignInterface) -> GraphSpec:
    """The graph to export for a foreign network.

    Raises:
        UserError: the module fails on a sample picture, returns no tensors, or fewer outputs than named.
    """
    side = 8 * interface.multiple
    samples = {
        name: (torch.rand(2, channels, side, side + interface.multiple), 1) for name, channels in interface.inputs
    }
    outputs = _run(module, [tensor for tensor, _ in samples.values()])
    if len(outputs) < len(interface.outputs):
        raise UserError(
            f"{type(module).__name__} returns {len(outputs)} tensors, but there are "
            f"{len(interface.outputs)} --output names"
        )
    names = (*interface.outputs, *(f"output_{i}" for i in range(len(interface.outputs), len(outputs))))
    flat = _Flat(module)
    return GraphSpec(flat.eval(), samples, names, interface.multiple, any_size=interface.multiple > 1)


def measure_reach(module: nn.Module, interface: ForeignInterface) -> int:
    """How far, in pixels, a change of one pixel visibly reaches in the first output; tiles overlap by this much.

    Measured on noise, with one pixel inverted: the mathematical receptive field of a recurrent network is many
    times larger than what moves a picture. At most half the probe's side.
    """
    side = PROBE // interface.multiple * interface.multiple
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.rand(1, channels, side, side, generator=generator) for _, channels in interface.inputs]
    changed = [value.clone() for value in inputs]
    centre = side // 2
    changed[0][..., centre, centre] = 1.0 - changed[0][..., centre, centre].round()
    difference = (_run(module, changed)[0] - _run(module, inputs)[0]).abs().amax((0, 1))
    rows, columns = torch.nonzero(difference > VISIBLE, as_tuple=True)
    if rows.numel() == 0:
        return 0
    return int(torch.maximum((rows - centre).abs(), (columns - centre).abs()).max())


class _Flat(nn.Module):
    """Returns the tensors of a module's output, however nested, as one tuple."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        leaves = torch.utils._pytree.tree_leaves(self.module(*inputs))
        return tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))


def _run(module: nn.Module, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    shapes = ", ".join("x".join(map(str, value.shape)) for value in inputs)
    try:
        with torch.no_grad():
            outputs = _Flat(module)(*inputs)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{type(module).__name__} fails on inputs of {shapes}: {first}; "
            "describe its inputs with --input NAME:CHANNELS, and its size rule with --multiple"
        ) from error
    if not outputs:
        raise UserError(f"{type(module).__name__} returned no tensor; its forward must return the restored picture")
    return outputs


def _build(factory: str) -> nn.Module:
    name, separator, function = factory.partition(":")
    if not separator or not name or not function:
        raise UserError(f"--factory {factory!r} is not of the form package.module:function")
    here = str(Path.cwd())
    if here not in sys.path:  # a console script does not look in the current folder by itself
        sys.path.insert(0, here)
    try:
        make = getattr(importlib.import_module(name), function)
    except ImportError as error:
        raise UserError(f"--factory {factory!r} does not import: {error}; run from its folder or install it") from error
    except AttributeError as error:
        raise UserError(f"--factory {factory!r}: module {name} has no {function!r}; correct the name") from error
    try:
        module = make()
    except Exception as error:  # whatever somebody's constructor raises
        raise UserError(
            f"--factory {factory!r} failed: {type(error).__name__}: {error}; it is called without arguments"
        ) from error
    if not isinstance(module, nn.Module):
        raise UserError(f"--factory {factory!r} returned {type(module).__name__}, expected a torch.nn.Module")
    return module
