"""Trials of what a foreign network takes and gives."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ...runtime.errors import UserError
from ...runtime.tiling.geometry import round_up
from ..graphs import GraphSpec
from .adapter import SIDE_FORMS, Adapted, Side, keys_of, tensors_of
from .choosing import choose_outputs
from .interface import PICTURE_CHANNELS, ForeignInterface
from .ranges import find_range


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """Network of pictures in 0..1, made of a foreign one."""

    module: Adapted
    interface: ForeignInterface
    outputs: tuple[str, ...]
    """Names of the outputs, the picture's first."""
    scale: int
    """Factor from the height and width of the input to those of the picture."""
    square: bool
    """Whether the module takes squares alone."""
    notes: tuple[str, ...]
    """Sentences about what was found and decided."""

    @property
    def name(self) -> str:
        """Name of the foreign module's class."""
        return type(self.module.module).__name__


def adapt(module: nn.Module, interface: ForeignInterface) -> Adaptation:
    """Adapt a module to what it takes and gives.

    Raises:
        UserError: the module fails on sample pictures or on the smallest picture; no output or several can be the
            restored picture; its size, its channels or its range of values are not those of a picture.
    """
    if interface.sizes:
        size = interface.sizes[0]
    else:
        count = max(min(8, max(2, 64 // interface.multiple)), interface.smallest // interface.multiple + 1)
        size = (count * interface.multiple, (count + 1) * interface.multiple)
    adapted, size, square = _fit_inputs(module, interface, size)
    notes = [f"{side.name} is {side.value:g} in the form {side.form}" for side in adapted.sides]
    if square:
        notes.append("it takes squares alone, so pictures are padded to squares")
    image = torch.rand(1, interface.channels, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        raw = adapted.call(image)
    choice = choose_outputs(type(module).__name__, tensors_of(raw), keys_of(raw), interface, size)
    adapted.chosen = choice.places
    adapted.to_unit, said = find_range(adapted, interface, size)
    notes += [*choice.notes, *said]
    adaptation = Adaptation(adapted.eval(), interface, choice.names, choice.scale, square, tuple(notes))
    if not interface.sizes:
        _require_smallest(adaptation)
    return adaptation


def foreign_spec(adaptation: Adaptation) -> GraphSpec:
    """Describe the graph to export for a foreign network."""
    interface, multiple = adaptation.interface, adaptation.interface.multiple
    count = max(min(8, max(2, 64 // multiple)), interface.smallest // multiple + 1)
    size = (count * multiple, (count + (not adaptation.square)) * multiple)
    return GraphSpec(
        adaptation.module,
        {interface.inputs[0][0]: (torch.rand(2, interface.channels, *size), 1)},
        adaptation.outputs,
        multiple,
        interface.pads or adaptation.square,
        interface.min_size,
        scale=adaptation.scale,
        square=adaptation.square,
    )


def _fit_inputs(
    module: nn.Module, interface: ForeignInterface, size: tuple[int, int]
) -> tuple[Adapted, tuple[int, int], bool]:
    """Find the forms of the inputs.

    Returns:
        The adapted module, the height and width that it ran on, and whether it takes squares alone.
    """
    first = ""
    for square in (False, True):
        sides = (max(size), max(size)) if square else size
        for forms in _list_forms(module, interface):
            adapted = Adapted(module, forms)
            reason = _failure(adapted, (1, interface.channels, *sides))
            if reason is None:
                return adapted, sides, square
            first = first or reason
        if interface.sizes and size[0] == size[1]:
            break
    shapes = f"1x{interface.channels}x{size[0]}x{size[1]}"
    raise UserError(
        f"{type(module).__name__} fails on inputs of {shapes}: {first}; {_advise(module, interface, max(size))}"
    )


def _advise(module: nn.Module, interface: ForeignInterface, side: int) -> str:
    """Say what inputs a failing module takes."""
    for channels in (1, 3, 2, 4, 6, 9):
        if channels == interface.channels or _failure(Adapted(module), (1, channels, side, side)) is not None:
            continue
        if channels in PICTURE_CHANNELS:
            return f"it takes {channels} channels: give --input {interface.inputs[0][0]}:{channels}"
        return (
            f"it takes {channels} channels, which no picture has; wrap it in a factory whose forward takes RGB and "
            "makes the other channels"
        )
    return (
        "describe its picture with --input NAME:CHANNELS, its other inputs with --side-input NAME=VALUE, and its size "
        "rule with --multiple, --min-size or --sizes"
    )


def _list_forms(module: nn.Module, interface: ForeignInterface) -> Iterator[tuple[Side, ...]]:
    """List the forms that all constant inputs can have together."""
    planes = dict(interface.inputs)
    accepted = inspect.signature(module.forward).parameters
    ways = [
        [
            Side(name, value, form, planes.get(name, 1), name in accepted)
            for form in (("plane",) if name in planes else SIDE_FORMS)
        ]
        for name, value in interface.sides
    ]
    return itertools.product(*ways)


def _failure(adapted: Adapted, shape: tuple[int, ...]) -> str | None:
    """Return why a module fails on a shape, or None."""
    try:
        with torch.no_grad():
            outputs = adapted(torch.rand(shape))
    except Exception as error:  # a foreign forward raises any type
        return first_line(error)
    return None if outputs else "it returned no tensor; its forward must return the restored picture"


def _require_smallest(adaptation: Adaptation) -> None:
    interface, side = adaptation.interface, adaptation.interface.smallest
    reason = _failure_at(adaptation, side)
    if reason is None:
        return
    larger = (round_up(side << step, interface.multiple) for step in range(1, 9))
    enough = next((size for size in larger if _failure_at(adaptation, size) is None), None)
    raise UserError(
        f"{adaptation.name} fails on pictures of {side}x{side}: {reason}; give the smallest size it takes with "
        f"--min-size{f' ({enough} is enough)' if enough else ''}, smaller pictures are then padded"
    )


def _failure_at(adaptation: Adaptation, side: int) -> str | None:
    """Return why a module fails on squares, or None.

    It must give a picture of the squares' side times the scale.
    """
    try:
        with torch.no_grad():
            first = adaptation.module(torch.zeros(1, adaptation.interface.channels, side, side))[0]
    except Exception as error:  # a foreign forward raises any type
        return first_line(error)
    wanted = side * adaptation.scale
    return None if tuple(first.shape[2:]) == (wanted, wanted) else f"its output has the shape {_shape(first)}"


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "scalar"


def first_line(error: Exception) -> str:
    """Return the first line of an error, or its type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
