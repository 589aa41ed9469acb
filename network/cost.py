"""Parameters and multiply-adds per block.

Work is counted in multiply-adds. One product in a convolution or a matrix product is one multiply-add. The count
covers all layers of Net_L and Net_R, and the attention of the non-local module. The pooling of the clean keys is a
matrix product outside of both networks, so only the total contains it. Element-wise work is not counted: biases,
activations, residual sums, pooling, up-sampling, softmax and the statistics of the modulation. Parameters are all
weights and biases.
"""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from .presets import Preset
from .spair import SPAIR

BLOCKS = ("net_l", "net_r.fuse", "net_r.scm.0", "net_r.scm.1", "net_r.scm.2", "net_r.snl", "net_r")
"""Names of the counted submodules of `SPAIR`."""


def parameters(model: torch.nn.Module) -> int:
    """Count the trainable values."""
    return sum(parameter.numel() for parameter in model.parameters())


def parameters_by_block(model: SPAIR) -> dict[str, int]:
    """Count the trainable values of each block.

    Returns:
        A count for each name in BLOCKS, which includes the blocks inside it, and the count of the whole network as
        "total".
    """
    return {**{block: parameters(model.get_submodule(block)) for block in BLOCKS}, "total": parameters(model)}


def multiply_adds(preset: Preset, height: int = 256, width: int = 256) -> dict[str, int]:
    """Count the multiply-adds of each block for one picture.

    Every pixel counts as distorted. PyTorch's flop counter works on shapes alone, without memory for values and
    without arithmetic.

    Args:
        preset: size of the network.
        height: rows of the picture in pixels.
        width: columns of the picture in pixels.

    Returns:
        A count for each name in BLOCKS, which includes the blocks inside it, and the count of the whole network as
        "total".
    """
    with torch.device("meta"):
        model = SPAIR(preset).eval()
        image = torch.zeros(1, 3, height, width)
    counter = _count(model, image)
    counts = {name: sum(ops.values()) // 2 for name, ops in counter.get_flop_counts().items()}
    return {**{block: _inside(counts, block) for block in BLOCKS}, "total": counts["Global"]}


def count_run(module: torch.nn.Module, image: torch.Tensor) -> int:
    """Count the multiply-adds of any module for one input."""
    return int(_count(module, image).get_total_flops()) // 2


def _count(module: torch.nn.Module, image: torch.Tensor) -> FlopCounterMode:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(image)
    return counter


def _inside(counts: dict[str, int], block: str) -> int:
    exact = counts.get(f"SPAIR.{block}")
    if exact is not None:
        return exact
    # PyTorch never calls a ModuleList itself, so the counts of its children are summed.
    depth = len(f"SPAIR.{block}".split(".")) + 1
    return sum(
        count for name, count in counts.items() if name.startswith(f"SPAIR.{block}.") and len(name.split(".")) == depth
    )
