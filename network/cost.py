"""Parameters and multiply-adds per block.

Counted as work are the products of convolutions and of matrix products, one multiply-add each: all layers of Net_L and
Net_R, the attention of the non-local module, and, outside of both networks and so in the total alone, the pooling of
the clean keys (a matrix product). Biases, activations, residual sums, pooling, up-sampling, softmax and the statistics
of the modulation are element-wise work and not counted. Parameters are all weights and biases.
"""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from .presets import Preset
from .spair import SPAIR

BLOCKS = ("net_l", "net_r.fuse", "net_r.scm.0", "net_r.scm.1", "net_r.scm.2", "net_r.snl", "net_r")


def parameters(model: torch.nn.Module) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in model.parameters())


def parameters_by_block(model: SPAIR) -> dict[str, int]:
    """Number of trainable values of each block; a block's figure includes the blocks inside it, `total` is all."""
    return {**{block: parameters(model.get_submodule(block)) for block in BLOCKS}, "total": parameters(model)}


def multiply_adds(preset: Preset, height: int = 256, width: int = 256) -> dict[str, int]:
    """Dense multiply-adds of each block for one picture of that size, every pixel distorted.

    Counted by PyTorch's flop counter on shapes alone (no memory, no arithmetic).
    A block's figure includes the blocks inside it; `total` is everything.
    """
    with torch.device("meta"):
        model = SPAIR(preset).eval()
        image = torch.zeros(1, 3, height, width)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    counts = {name: sum(ops.values()) // 2 for name, ops in counter.get_flop_counts().items()}
    return {**{block: _inside(counts, block) for block in BLOCKS}, "total": counts["Global"]}


def _inside(counts: dict[str, int], block: str) -> int:
    exact = counts.get(f"SPAIR.{block}")
    if exact is not None:
        return exact
    # A ModuleList is never called, so its children are counted in its place.
    depth = len(f"SPAIR.{block}".split(".")) + 1
    return sum(
        count for name, count in counts.items() if name.startswith(f"SPAIR.{block}.") and len(name.split(".")) == depth
    )
