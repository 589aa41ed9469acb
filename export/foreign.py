"""Networks other than SPAIR.

A factory function builds the module, and the checkpoint must fit it exactly. The graph of such a network runs dense.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from ..network.checkpoint import load_strictly, read_state
from ..runtime.errors import UserError
from ..runtime.tiling.geometry import round_up
from .graphs import GraphSpec

PROBE = 192
"""Side in pixels of the picture on which the reach of a network is measured."""
VISIBLE = 0.1 / 255
"""Smallest difference that counts as a change, on pictures of 0..1: a tenth of an 8-bit step."""


@dataclasses.dataclass(frozen=True)
class ForeignInterface:
    """Inputs, outputs and sizes of a foreign network's graph."""

    inputs: tuple[tuple[str, int], ...] = (("image", 3),)
    """Name and channels of each input [N,C,H,W], in the order of the module's forward."""
    outputs: tuple[str, ...] = ("restored",)
    """Names of the first outputs. Further outputs are called output_1, output_2 and so on."""
    multiple: int = 1
    """Number that must divide height and width inside, in pixels; the graph pads and crops."""
    min_size: int = 1
    """Smallest height and width that the module takes, in pixels; the graph repeats the edge of smaller pictures."""

    @property
    def smallest(self) -> int:
        """Smallest side in pixels that the module ever gets."""
        return round_up(self.min_size, self.multiple)

    @property
    def pads(self) -> bool:
        """Whether the graph pads and crops.

        Every output must then have the inputs' size.
        """
        return self.smallest > 1

    def __post_init__(self) -> None:
        names = [name for name, _ in self.inputs] + list(self.outputs)
        if not self.inputs or len(set(names)) != len(names):
            raise UserError(f"inputs and outputs need at least one input and distinct names, got {', '.join(names)}")
        if min(self.multiple, self.min_size, *(channels for _, channels in self.inputs)) < 1:
            raise UserError("the multiple, the smallest size and every input's channels must be 1 or more")


def load_foreign(factory: str, checkpoint: Path) -> nn.Module:
    """Build a network and load its checkpoint.

    Args:
        factory: "package.module:function", importable from the current folder or the environment. The function takes
            no arguments and returns the nn.Module.
        checkpoint: a state dict in any form that `read_state` takes.

    Raises:
        UserError: the factory is ill-formed, does not import, fails, or returns no module.
        CheckpointError: the checkpoint is unusable, or its keys and shapes differ (the first ones are named).
    """
    module = _build(factory)
    state, _ = read_state(checkpoint, module.state_dict().keys())
    load_strictly(module, state, checkpoint)
    return module.eval()


def foreign_spec(module: nn.Module, interface: ForeignInterface) -> GraphSpec:
    """Describe the graph to export for a foreign network.

    Raises:
        UserError: the module fails on a sample picture or on the smallest picture, returns no tensors or fewer outputs
            than named, or gives an output of another size than the inputs. The size is checked for all outputs where
            the graph pads, else for the first one.
    """
    multiple = interface.multiple
    count = max(min(8, max(2, 64 // multiple)), interface.smallest // multiple + 1)
    size = (count * multiple, (count + 1) * multiple)
    samples = {name: (torch.rand(2, channels, *size), 1) for name, channels in interface.inputs}
    outputs = _run(module, [tensor for tensor, _ in samples.values()])
    if len(outputs) < len(interface.outputs):
        raise UserError(
            f"{type(module).__name__} returns {len(outputs)} tensors, but there are "
            f"{len(interface.outputs)} --output names"
        )
    names = (*interface.outputs, *(f"output_{i}" for i in range(len(interface.outputs), len(outputs))))
    for name, output in zip(names if interface.pads else names[:1], outputs, strict=False):
        _require_size(module, name, output, size)
    _require_smallest(module, interface)
    flat = _Flat(module)
    return GraphSpec(flat.eval(), samples, names, multiple, interface.pads, interface.min_size)


def measure_reach(module: nn.Module, interface: ForeignInterface) -> int:
    """Measure how far one pixel changes the output, in pixels.

    Tiles overlap by this much. One pixel of a noise picture is inverted, and the farthest visible change in the first
    output is found. The mathematical receptive field of a recurrent network would be many times larger. The result is
    at most half the probe's side.
    """
    side = max(round_up(PROBE, interface.multiple), interface.smallest)
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
    """Module whose output is a flat tuple of another's tensors."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        leaves = torch.utils._pytree.tree_leaves(self.module(*inputs))
        return tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))


def _require_size(module: nn.Module, name: str, output: Tensor, size: tuple[int, int]) -> None:
    if output.ndim != 4 or tuple(output.shape[2:]) != size:
        raise UserError(
            f"output {name!r} of {type(module).__name__} has the shape {_shape(output)} for pictures of "
            f"{size[0]}x{size[1]}, expected [N,C,H,W] of the pictures' own size, which the restored picture must "
            "have (if the network needs multiples, give --multiple), and with --multiple or --min-size all outputs"
        )


def _require_smallest(module: nn.Module, interface: ForeignInterface) -> None:
    side = interface.smallest
    reason = _failure_at(module, interface, side)
    if reason is None:
        return
    larger = (round_up(side << step, interface.multiple) for step in range(1, 9))
    enough = next((size for size in larger if _failure_at(module, interface, size) is None), None)
    raise UserError(
        f"{type(module).__name__} fails on pictures of {side}x{side}: {reason}; give the smallest size it takes with "
        f"--min-size{f' ({enough} is enough)' if enough else ''}, smaller pictures are then padded"
    )


def _failure_at(module: nn.Module, interface: ForeignInterface, side: int) -> str | None:
    """Return why a module fails on squares, or None.

    It must give a picture of the squares' side.
    """
    try:
        with torch.no_grad():
            first = _Flat(module)(*(torch.zeros(1, channels, side, side) for _, channels in interface.inputs))[0]
    except Exception as error:  # a foreign forward raises any type
        return _first_line(error)
    return None if tuple(first.shape[2:]) == (side, side) else f"its output has the shape {_shape(first)}"


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "scalar"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _run(module: nn.Module, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    shapes = ", ".join(map(_shape, inputs))
    try:
        with torch.no_grad():
            outputs = _Flat(module)(*inputs)
    except Exception as error:  # a foreign forward raises any type
        raise UserError(
            f"{type(module).__name__} fails on inputs of {shapes}: {_first_line(error)}; "
            "describe its inputs with --input NAME:CHANNELS, and its size rule with --multiple and --min-size"
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
        package = importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"--factory {factory!r} does not import: {error}; run from its folder or install it") from error
    except (Exception, SystemExit) as error:  # a foreign module raises any type
        raise UserError(
            f"--factory {factory!r} does not import: {type(error).__name__}: {error}; mend that module"
        ) from error
    if not hasattr(package, function):
        raise UserError(f"--factory {factory!r}: module {name} has no {function!r}; correct the name")
    try:
        module = getattr(package, function)()
    except (Exception, SystemExit) as error:  # a foreign constructor raises any type
        raise UserError(
            f"--factory {factory!r} failed: {type(error).__name__}: {error}; it is called without arguments"
        ) from error
    if not isinstance(module, nn.Module):
        raise UserError(f"--factory {factory!r} returned {type(module).__name__}, expected a torch.nn.Module")
    return module
