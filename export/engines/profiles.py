"""Shapes that the engines of a bundle take."""

from __future__ import annotations

import re
from collections.abc import Mapping

import onnx

from ...runtime.bundle.engines import SERVED, WHOLE
from ...runtime.errors import UserError
from ...runtime.tiling.geometry import round_up
from ...runtime.tiling.spec import SpairNetwork
from .builder import Profile
from .options import EngineOptions

PARTS = (WHOLE, "net_l", "net_r")
"""Graphs that get engines of their own: the whole network, and its stages for pictures that are cut into pieces."""
_CORE = 256
"""Side in pixels of the pieces that an engine of a stage takes at least, without the halos around them."""
_SIZE = re.compile(r"(batch|height|width)(?:/(\d+))?")
"""Names of free sizes in exported graphs."""


def make_profile(model: onnx.ModelProto, part: str, network: SpairNetwork, options: EngineOptions) -> Profile:
    """Make the least, usual and largest shape of each input.

    Args:
        model: the graph of the part.
        part: name of the part, see `PARTS`, or "served".
        network: sizes and halos of the network.
        options: sizes of pictures.

    Returns:
        Shapes by the input's name. The whole network takes any picture up to the largest size. A stage takes one
        picture, or piece of one, whose sides are multiples of the network's. The largest size of a stage leaves room
        for a piece of 256 pixels with the halos of both stages around it, however small the pictures are.

    Raises:
        UserError: the graph has a free size of another name than exported graphs have.
    """
    if part in (WHOLE, SERVED):
        return {"image": options.shapes(planes=part == SERVED)}
    multiple = network.multiple
    room = round_up(network.halo_l, multiple) + round_up(network.halo_r, multiple)
    least = round_up(2 * room + _CORE, multiple)
    usual = [round_up(side, multiple) for side in options.usual]
    most = [max(round_up(side, multiple), least) for side in options.largest]
    sizes = [
        {"batch": 1, "width": width, "height": height}
        for width, height in ((multiple, multiple), usual, most)
    ]  # fmt: skip
    return {value.name: [_fill(value, size) for size in sizes] for value in model.graph.input}


def _fill(value: onnx.ValueInfoProto, sizes: Mapping[str, int]) -> list[int]:
    """Replace the free sizes of an input's shape."""
    shape = []
    for dim in value.type.tensor_type.shape.dim:
        if dim.HasField("dim_value"):
            shape.append(dim.dim_value)
            continue
        found = _SIZE.fullmatch(dim.dim_param)
        if found is None:
            raise UserError(
                f"the input {value.name} has a free size {dim.dim_param!r}, expected batch, height or width, or a "
                "fraction of them such as height/2; export the bundle again"
            )
        shape.append(sizes[found[1]] // int(found[2] or 1))
    return shape
