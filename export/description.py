"""Description of a foreign network for the manifest."""

from __future__ import annotations

import math
from typing import Any

from ..runtime.tiling.geometry import round_up
from .foreign import Adaptation, ForeignInterface, measure_reach
from .foreign.reach import Reach
from .foreign.spatial import Space, read_space
from .forms import FIXED, FREE, Form


def describe_network(adaptation: Adaptation, form: Form) -> tuple[dict[str, Any], Reach]:
    """Measure what a foreign network needs.

    Args:
        adaptation: the network.
        form: the form in which it was exported.

    Returns:
        The manifest's entry on the network, and what each pixel of the result depends on.
    """
    interface = adaptation.interface
    space, reach = _measure_space(adaptation, form)
    entry = {
        "multiple": interface.multiple,
        "min_size": interface.min_size,
        "halo": reach.halo,
        "align": reach.align * interface.multiple,
        "reach": "whole" if reach.whole else "local",
        "reason": reach.unlimited,
        "tile_error": round(reach.error, 3),
        "scale": adaptation.scale,
        "picture_channels": interface.channels,
        "colour": interface.colour,
        "one_picture": form.name != FREE,
        "sizes": [list(size) for size in interface.sizes] if form.name == FIXED else [],
        **space.to_json(),
    }
    return entry, reach


def _measure_space(adaptation: Adaptation, form: Form) -> tuple[Space, Reach]:
    """Find what each pixel of the result depends on."""
    interface = adaptation.interface
    size = max(interface.sizes, key=math.prod) if form.name == FIXED else None
    space = Space("", 0.0, 0.0) if size else read_space(form.graphs["model"], _two_sizes(interface))
    return space, measure_reach(adaptation, space.reason, size)


def _two_sizes(interface: ForeignInterface) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return two sizes at which axes over space differ."""
    sides = ((48, 64), (64, 96))  # the second has twice the pixels of the first
    step = max(1, round_up(interface.smallest, 16) // 16) if interface.smallest > 48 else 1
    first, second = (tuple(round_up(side * step, interface.multiple) for side in pair) for pair in sides)
    if first[0] == second[0] or first[1] == second[1]:  # the multiple is large
        first, second = ((interface.smallest, 2 * interface.smallest), (2 * interface.smallest, 3 * interface.smallest))
    return (first[0], first[1]), (second[0], second[1])
