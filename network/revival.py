"""Revival of channels that never fire.

A channel in front of a ReLU may be negative everywhere, on every picture. It adds nothing then, and no gradient
reaches it, so training does not bring it back. A revived channel is a random filter, as a new one of a grown network
is. What reads it inside of a residual pair begins at zero, so a pair computes what it did. The other layers are read
by all that follow: their filters are small at first, and the picture changes little.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from .growth import draw_filters
from .operators import SparseConv2d
from .restoration import ResidualPair
from .spair import SPAIR

SMALL = 0.05
"""Size of a filter that is read at once, as a share of its usual size."""


@torch.no_grad()
def revive(model: SPAIR, images: Tensor, *, seed: int = 0) -> dict[str, int]:
    """Draw the channels of Net_R anew that never fire.

    Args:
        model: the network, which is changed.
        images: [N,3,H,W] float RGB 0..1, H and W multiples of 8, with the distortion that the network knows.
        seed: of the random filters.

    Returns:
        Number of revived channels by layer, of layers that have any.

    Raises:
        ValueError: see `find_silent`.
    """
    generator, revived = torch.Generator().manual_seed(seed), {}
    for name, silent in find_silent(model, images).items():
        if not silent.any():
            continue
        layer = model.get_submodule(name)
        parent = model.get_submodule(name.rpartition(".")[0])
        assert isinstance(layer, SparseConv2d)
        filters = draw_filters(layer.weight[silent].shape, generator)
        layer.bias[silent] = 0.0
        if isinstance(parent, ResidualPair):
            parent.second.weight[:, silent] = 0.0
        else:
            filters *= SMALL
        layer.weight[silent] = filters
        revived[name] = int(silent.sum())
    return revived


@torch.no_grad()
def find_silent(model: SPAIR, images: Tensor) -> dict[str, Tensor]:
    """Find the channels of Net_R that never fire.

    Args:
        model: the network.
        images: see `revive`.

    Returns:
        For each layer with a ReLU, which of its channels never fire: bool [C].

    Raises:
        ValueError: the network finds nothing distorted in the images.
    """
    fired: dict[str, Tensor] = {}

    def see(name: str, layer: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        fires = (result > 0).amax((0, 2, 3))  # on one pixel is enough: what reads it would miss it
        fired[name] = fires | fired[name] if name in fired else fires

    layers = ((name, layer) for name, layer in model.named_modules() if isinstance(layer, SparseConv2d))
    hooks = [
        layer.register_forward_hook(partial(see, name))
        for name, layer in layers
        if name.startswith("net_r.") and layer.negative_slope == 0.0
    ]
    try:
        found = [bool(model(image[None]).mask.any()) for image in images]
    finally:
        for hook in hooks:
            hook.remove()
    if not any(found):
        raise ValueError("the network finds no distorted pixel in these images, so that no channel could fire")
    return {name: ~fires for name, fires in fired.items()}
