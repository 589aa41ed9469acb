"""Networks of known architectures with random weights, tiny and of the published size."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spair.export.catalogue.denoisers import DnCNN, FFDNet
from spair.export.catalogue.library import list_library
from spair.export.catalogue.prenet import PReNet
from spair.export.catalogue.restormer import Restormer, Sizes


@dataclasses.dataclass(frozen=True)
class Instance:
    """Architecture with sizes to make networks of."""

    name: str
    """Name under which it is recognised."""
    make: Callable[..., nn.Module]
    tiny: Mapping[str, Any]
    """Arguments of a network for tests."""
    published: Mapping[str, Any]
    """Arguments of a network with public weights."""
    said: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Fields of `ForeignInterface` that its user gives."""
    rename: Callable[[str], str] = str
    """Name in the published file for a name of the module."""

    def make_state(self, **sizes: Any) -> dict[str, Tensor]:
        """Make random weights, which do not depend on other tests."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module = self.make(**sizes)
            liven(module)
        return {self.rename(name): value for name, value in module.state_dict().items()}

    def save(self, path: Path, **sizes: Any) -> Path:
        """Write a checkpoint as trainers do."""
        torch.save({"params": self.make_state(**sizes)}, path)
        return path


def liven(module: nn.Module) -> None:
    """Give weights a size under which signals neither vanish nor grow, as in trained networks.

    With PyTorch's own weights a chain of 17 convolutions gives almost nothing, and a pixel would reach no other.
    """
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1 and parameter[0].numel() > 1:
                nn.init.kaiming_normal_(parameter)
            elif not parameter.any() and parameter.ndim > 1:  # NAFNet begins with blocks that do nothing
                parameter.fill_(0.3)
        last = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)][-1]
        image, noise = torch.rand(1, 3, 64, 64), torch.full((1, 1, 64, 64), 0.1)
        first = next(layer for layer in module.modules() if isinstance(layer, nn.Conv2d))
        given = (torch.cat((image, noise), 1),) if first.in_channels == 4 else (image, noise)
        given = given if isinstance(module, FFDNet) else given[:1]
        module.eval()
        full = module(*given)
        weight = last.weight.clone()
        last.weight.zero_()
        last.weight.copy_(weight * (0.1 / (full - module(*given)).std()))


def find_class(room: str, name: str) -> Callable[..., nn.Module]:
    """Return a function that makes a network of the package spandrel."""

    def make(**sizes: Any) -> nn.Module:
        list_library()  # imports the package without torchvision
        return getattr(importlib.import_module(f"spandrel.architectures.{room}"), name)(**sizes)

    return make


def make_restormer(**sizes: Any) -> Restormer:
    return Restormer(Sizes(**sizes))


def name_rrdb(name: str) -> str:
    """Return the published name of a weight of Real-ESRGAN for its place in the older form."""
    parts = name.split(".")
    if parts[1] == "1":
        if parts[4].startswith("RDB"):
            return f"body.{parts[3]}.{parts[4].lower()}.{parts[5]}.{parts[7]}"
        return f"conv_body.{parts[4]}"
    place = {"0": "conv_first", "3": "conv_up1", "6": "conv_up2", "8": "conv_hr", "10": "conv_last"}[parts[1]]
    return f"{place}.{parts[2]}"


NOISE = {"sides": (("noise", 25 / 255),)}
RESTORMER = {"colours": 3, "width": 48, "heads": (1, 2, 4, 8), "hidden": (127, 255, 510, 1021, 255), "bias": False}
SWINIR = {
    "embed_dim": 180,
    "depths": [6] * 6,
    "num_heads": [6] * 6,
    "window_size": 8,
    "mlp_ratio": 2.0,
    "img_size": 128,
}
INSTANCES = (
    Instance("DnCNN", DnCNN, {"colours": 3, "features": 8, "layers": 5}, {"colours": 3, "features": 64, "layers": 17}),
    Instance(
        "DnCNN",
        find_class("DnCNN", "DnCNN"),
        {"in_nc": 3, "out_nc": 3, "nc": 8, "nb": 8, "act_mode": "R"},
        {"in_nc": 3, "out_nc": 3, "nc": 64, "nb": 20, "act_mode": "R"},
    ),
    Instance(
        "FFDNet",
        FFDNet,
        {"colours": 3, "features": 8, "layers": 4},
        {"colours": 3, "features": 96, "layers": 12},
        NOISE,
    ),
    Instance(
        "DRUNet",
        find_class("DRUNet", "DRUNet"),
        {"in_nc": 4, "out_nc": 3, "nc": [8, 8, 16, 16], "nb": 2},
        {"in_nc": 4, "out_nc": 3, "nc": [64, 128, 256, 512], "nb": 4},
        NOISE,
    ),
    Instance("PReNet", PReNet, {"channels": 8, "blocks": 2}, {}),
    Instance("PReNet_r", PReNet, {"channels": 8, "shared": True}, {"shared": True}),
    Instance(
        "NAFNet",
        find_class("NAFNet", "NAFNet"),
        {"width": 8, "middle_blk_num": 1, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]},
        {"width": 32, "middle_blk_num": 12, "enc_blk_nums": [2, 2, 4, 8], "dec_blk_nums": [2, 2, 2, 2]},
    ),
    Instance(
        "Restormer",
        make_restormer,
        {"colours": 3, "width": 8, "blocks": (1, 2, 1, 1), "heads": (1, 2, 4, 8), "hidden": (21, 42, 85, 170, 42),
         "refinement": 1, "bias": False, "centred": True},
        {**RESTORMER, "blocks": (4, 6, 6, 8), "refinement": 4, "centred": True},
    ),
    Instance(
        "SwinIR",
        find_class("SwinIR", "SwinIR"),
        {"embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 8, "mlp_ratio": 2.0, "img_size": 16,
         "upscale": 1},
        {**SWINIR, "upscale": 1},
    ),
    Instance(
        "SCUNet",
        find_class("SCUNet", "SCUNet"),
        {"config": [1] * 7, "dim": 64},
        {"config": [4] * 7, "dim": 64},
    ),
    Instance(
        "ESRGAN",
        find_class("ESRGAN", "ESRGAN"),
        {"num_filters": 8, "num_blocks": 1},
        {"num_filters": 64, "num_blocks": 23},
        rename=name_rrdb,
    ),
    Instance(
        "RealESRGAN Compact",
        find_class("Compact", "Compact"),
        {"num_feat": 8, "num_conv": 2, "upscale": 2},
        {"num_feat": 64, "num_conv": 32, "upscale": 4},
    ),
)  # fmt: skip
"""Networks in the order of the page, those of the same kind beside each other."""
