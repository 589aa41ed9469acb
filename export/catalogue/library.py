"""Architectures of the package spandrel.

The package imports torchvision for two architectures that are refused here anyway (one takes a mask, the other finds
faces first), so empty stand-ins take the place of that package, which is large and must fit torch exactly.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import math
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from torch import nn

from .known import Architecture, Known, State, WithNoise

PACKAGE = "spandrel"
MISSING = "torchvision"
"""Package that spandrel imports."""
MISSING_NAMES = {f"{MISSING}.transforms.functional": ("InterpolationMode", "rotate", "normalize")}
"""Names that spandrel imports, by module."""
PADDED_INSIDE = {"SCUNet": 64, "FBCNN": 8}
"""Multiples to which networks pad their pictures by themselves, with Python numbers; the graph pads instead."""
NOISY = ("DRUNet", "DnCNN")
"""Architectures that may take the level of noise as a channel of the picture."""


def has_library() -> bool:
    """Tell whether the package is installed."""
    return importlib.util.find_spec(PACKAGE) is not None


def list_library() -> tuple[Architecture, ...]:
    """List the architectures of the package.

    Returns:
        Architectures in the order in which they are tried; none where the package is not installed.
    """
    if not has_library():
        return ()
    with _stand_in():
        import spandrel
    return tuple(
        Architecture(
            one.architecture.name,
            _list_tells(one),
            one.detect,
            functools.partial(_build, one),
        )
        for one in spandrel.MAIN_REGISTRY.architectures("detection")
    )


@contextlib.contextmanager
def _stand_in() -> Iterator[None]:
    """Put empty modules in the place of an absent package.

    One that was imported before stays.
    """
    if PACKAGE in sys.modules or MISSING in sys.modules:
        yield
        return
    made: dict[str, ModuleType] = {}
    for name, names in MISSING_NAMES.items():
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            made.setdefault(".".join(parts[:length]), ModuleType(".".join(parts[:length])))
        for one in names:
            setattr(made[name], one, None)
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in made:
            sys.modules.pop(name, None)


class _Asked(Mapping[str, Any]):
    """State dict that has every name it is asked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __contains__(self, name: object) -> bool:
        self.names.append(str(name))
        return True

    def __getitem__(self, name: str) -> Any:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _list_tells(one: Any) -> tuple[str, ...]:
    """List the names by which an architecture is recognised.

    Where several forms are recognised, they are those of the first.
    """
    asked = _Asked()
    with contextlib.suppress(Exception):  # some look at shapes as well
        one.detect(asked)
    return tuple(dict.fromkeys(asked.names))


def _build(one: Any, state: State) -> Known:
    """Build a network and load its weights strictly.

    Raises:
        ValueError: it takes a mask beside the picture.
        Exception: the weights do not fit; the package raises any type.
    """
    import spandrel

    found = one.architecture.load(dict(state))
    if not isinstance(found, spandrel.ImageModelDescriptor):
        raise ValueError("it takes a mask beside the picture, which no graph of ours gives it")
    module, sizes = found.model, found.size_requirements
    channels, noise = found.input_channels, False
    if one.architecture.id in NOISY:  # the package counts the level of noise as no channel even where there is none
        given = next(layer for layer in module.modules() if isinstance(layer, nn.Conv2d)).in_channels
        channels, noise = found.output_channels, given == found.output_channels + 1
        named = type(one.architecture.id, (WithNoise,), {})  # messages name the class
        module = named(module) if noise else module
    multiple = math.lcm(sizes.multiple_of, _find_window(one.architecture.id, found.model))
    return Known(
        one.architecture.name,
        module,
        channels,
        found.scale,
        f"{PACKAGE} {importlib.metadata.version(PACKAGE)}",
        multiple,
        max(1, sizes.minimum),
        noise,
        tuple(found.tags),
    )


def _find_window(name: str, module: nn.Module) -> int:
    """Return the multiple in pixels to which a network pads."""
    if name in PADDED_INSIDE:
        return PADDED_INSIDE[name]
    window = getattr(module, "window_size", 1)
    return window if isinstance(window, int) else 1
