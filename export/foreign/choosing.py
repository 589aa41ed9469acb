"""Choice of the output that is the restored picture."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ...runtime.errors import UserError
from .interface import ForeignInterface

SCALES = (1, 2, 3, 4, 8)
"""Factors of size that networks may have."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """Outputs to keep."""

    places: tuple[int, ...]
    """Places among all tensors, the picture's first."""
    names: tuple[str, ...]
    scale: int
    """Factor from the height and width of the input to those of the picture."""
    notes: tuple[str, ...] = ()


def choose_outputs(
    name: str, leaves: tuple[Tensor, ...], keys: tuple[str, ...], interface: ForeignInterface, size: tuple[int, int]
) -> Choice:
    """Choose the picture among a module's tensors.

    Args:
        name: name of the module's class.
        leaves: all tensors that it returned for a picture [1,C,H,W].
        keys: the key of each tensor in the module's own output, or its place there.
        interface: what the user said.
        size: height and width of the picture.

    Raises:
        UserError: nothing or more than one can be the picture, or the named output is none.
    """
    if len(leaves) < len(interface.outputs):
        raise UserError(f"{name} returns {len(leaves)} tensors, but there are {len(interface.outputs)} --output names")
    names = (*interface.outputs, *(f"output_{place}" for place in range(len(interface.outputs), len(leaves))))
    if interface.outputs == ("restored",):  # nobody named them, so the picture gets the name
        names = tuple(f"output_{place}" for place in range(len(leaves)))
    scales = [_scale_of(leaf, interface.channels, size) for leaf in leaves]
    if interface.picture is not None:
        place = _find_place(name, interface.picture, names, keys)
        scale = _require_picture(name, names[place], leaves[place], interface, size)
        return Choice((place,), (_name_picture(names[place], interface),), scale)
    fitting = [place for place, scale in enumerate(scales) if scale is not None]
    if not fitting:
        _require_picture(name, _name_picture(names[0], interface), leaves[0], interface, size)
    place = _only_one(name, fitting, leaves, names, keys, interface)
    scale = _require_picture(name, names[place], leaves[place], interface, size)
    others = [other for other in range(len(leaves)) if other != place]
    dropped = [other for other in others if (interface.pads or scale != 1) and _differ(leaves[other], leaves[place])]
    kept = [other for other in others if other not in dropped]
    notes: tuple[str, ...] = (f"its picture is output {place}",) if place or len(fitting) > 1 else ()
    if len(fitting) > 1:
        notes = (f"{notes[0]}, of {len(fitting)} that can be; --picture names another",)
    if dropped:
        notes += (f"{', '.join(names[other] for other in dropped)} are left out, which are not of the picture's size",)
    picture = _name_picture(names[place], interface)
    return Choice((place, *kept), (picture, *(names[other] for other in kept)), scale, notes)


def _name_picture(name: str, interface: ForeignInterface) -> str:
    return "restored" if interface.outputs == ("restored",) else name


def _differ(other: Tensor, picture: Tensor) -> bool:
    """Tell whether two outputs differ in height or width."""
    return other.ndim != 4 or other.shape[2:] != picture.shape[2:]


def _only_one(
    name: str,
    fitting: list[int],
    leaves: tuple[Tensor, ...],
    names: tuple[str, ...],
    keys: tuple[str, ...],
    interface: ForeignInterface,
) -> int:
    """Return the only output that can be the picture.

    Raises:
        UserError: several can be, and differ.
    """
    if len(fitting) == 1:
        return fitting[0]
    if interface.outputs != ("restored",):  # the user named them, the first for the picture unless one is restored
        named = names.index("restored") if "restored" in names else 0
        if named in fitting:
            return named
    first, last = leaves[fitting[0]], leaves[fitting[-1]]
    if first.shape == last.shape and torch.equal(first, last):
        return fitting[0]  # the last of several stages, which is returned first as well
    listed = ", ".join(f"{_say_place(place, keys[place])} ({_shape(leaves[place])})" for place in fitting)
    raise UserError(
        f"{name} returns several tensors that can be the picture: {listed}; name it with --picture, where -1 is the "
        "last, with which stages usually end"
    )


def _find_place(name: str, picture: str | int, names: tuple[str, ...], keys: tuple[str, ...]) -> int:
    if isinstance(picture, int) and -len(names) <= picture < len(names):
        return picture % len(names)
    for known in (names, keys):
        if picture in known:
            return known.index(str(picture))
    own = ", ".join(_say_place(place, key) for place, key in enumerate(keys))
    raise UserError(f"{name} returns no output {picture!r}; --picture takes one of {own}")


def _say_place(place: int, key: str) -> str:
    return f"{place} or {key}" if key and not key.isdecimal() else str(place)


def _scale_of(leaf: Tensor, channels: int, size: tuple[int, int]) -> int | None:
    """Return the factor from picture to output.

    It is None for what cannot be a picture.
    """
    if leaf.ndim != 4 or leaf.shape[1] != channels:
        return None
    return next((scale for scale in SCALES if tuple(leaf.shape[2:]) == (scale * size[0], scale * size[1])), None)


def _require_picture(name: str, output: str, leaf: Tensor, interface: ForeignInterface, size: tuple[int, int]) -> int:
    """Return the scale of an output that is a picture.

    Raises:
        UserError: it is none.
    """
    scale = _scale_of(leaf, interface.channels, size)
    if scale is not None:
        return scale
    if leaf.ndim == 4 and leaf.shape[1] != interface.channels:
        raise UserError(
            f"output {output!r} of {name} has {leaf.shape[1]} channels, expected the {interface.channels} of the "
            "picture that it takes; name the output that is the picture with --picture, or wrap the network in a "
            "factory that returns such a picture"
        )
    _require_size(name, output, leaf, size)
    raise AssertionError("a picture of the input's size has a scale")


def _require_size(name: str, output: str, leaf: Tensor, size: tuple[int, int]) -> None:
    if leaf.ndim != 4 or tuple(leaf.shape[2:]) != size:
        raise UserError(
            f"output {output!r} of {name} has the shape {_shape(leaf)} for pictures of {size[0]}x{size[1]}, expected "
            "[N,C,H,W] of the pictures' own size, or that times 2, 3, 4 or 8, which the restored picture must have (if "
            "the network needs multiples, give --multiple; if it is another output, --picture)"
        )


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "scalar"
