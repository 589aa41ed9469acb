"""Networks in PyTorch behind the runtime's protocols.

A checkpoint is restored and measured with them without an export.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..network import SPAIR
from ..network.spair import MODULATED
from ..runtime.bounds.memory import find_free_memory as find_in_main_memory
from ..runtime.tiling.context import Context
from ..runtime.tiling.costs import Tuning
from ..runtime.tiling.planning import TilePath
from ..runtime.tiling.spec import ForeignNetwork, spair_network
from ..runtime.tiling.two_stage import Localization, TwoStageNetwork
from ..runtime.tiling.whole import WholeNetwork


class TorchTwoStage(TwoStageNetwork):
    """`TwoStageNetwork` over a SPAIR model on the CPU, float32.

    Its weights lie in channels-last memory. A picture of 640x360 took a third less of one core's time so.
    """

    in_main_memory = True
    takes_threshold = True

    def __init__(self, model: SPAIR) -> None:
        self.model = model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.spec = spair_network(model.geometry())
        self.paths = ("dense",)  # torch computes every pixel
        self.tuning = Tuning.assumed(self.spec.crossover)

    def localize(self, image: np.ndarray, logit: float | None = None) -> Localization:
        """Run Net_L on a picture.

        `image` is [1, 3, H, W] float32 in 0..1, with H and W multiples of 8.
        """
        with torch.inference_mode():
            found = self.model.localize(torch.from_numpy(image), logit)
        features = {scale: feature.numpy() for scale, feature in enumerate(found.features)}
        return Localization(found.mask.numpy(), features)

    def restore_window(self, image: np.ndarray, located: Localization, context: Context, path: TilePath) -> np.ndarray:
        """Run Net_R on a window with whole-picture statistics.

        `path` is always "dense".
        """
        one, two = MODULATED
        arrays = (context.scale[one], context.shift[one], context.scale[two], context.shift[two])
        with torch.inference_mode():
            restored = self.model.restore_tile(
                torch.from_numpy(image),
                torch.from_numpy(located.mask),
                tuple(torch.from_numpy(located.features[scale]) for scale in self.spec.scales),
                tuple(torch.from_numpy(array) for array in arrays),
                torch.from_numpy(context.keys),
                torch.from_numpy(context.key_mask),
            )
        return restored.numpy()

    def close(self) -> None:
        """Release nothing."""


class TorchWhole(WholeNetwork):
    """`WholeNetwork` over any PyTorch module.

    The module takes [1, 3, H, W], and its first output tensor is the restored picture.
    """

    restored_name = "restored"

    find_free_memory = staticmethod(find_in_main_memory)

    def __init__(self, module: nn.Module, multiple: int, halo: int, **facts: Any) -> None:
        """Take a module and its needs, in pixels.

        Args:
            module: the network.
            multiple: number that must divide height and width.
            halo: width of the border that the module must see around a tile.
            facts: further fields of `ForeignNetwork`.
        """
        self.module = module.eval()
        self.spec = ForeignNetwork(multiple, halo, **facts)

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Restore a picture [1, 3, H, W], float32 in 0..1.

        Returns:
            {"restored": a picture of the same shape}.
        """
        with torch.inference_mode():
            output = _first_tensor(self.module(torch.from_numpy(image)))
        return {self.restored_name: output.numpy()}

    def close(self) -> None:
        """Release nothing."""


def _first_tensor(output: object) -> Tensor:
    leaves = torch.utils._pytree.tree_leaves(output)
    return next(leaf for leaf in leaves if isinstance(leaf, Tensor))
