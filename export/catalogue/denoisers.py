"""FFDNet and DnCNN, two denoisers that are chains of convolutions.

Sources: Zhang et al., IEEE Transactions on Image Processing 2017, "Beyond a Gaussian Denoiser", and 2018, "FFDNet:
Toward a Fast and Flexible Solution for CNN-Based Image Denoising". The modules are written from the descriptions of the
networks; the names of the weights are those of published files.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .known import Known, State, count_blocks, own_architecture

FACTOR = 2
"""Factor by which FFDNet makes its pictures smaller inside."""


class FFDNet(nn.Module):
    """Chain of convolutions at half the size.

    Input and output are float32 [N, C, H, W] in 0..1, with H and W multiples of 2.
    """

    def __init__(self, colours: int, features: int, layers: int) -> None:
        """Make the network with fresh weights.

        Args:
            colours: channels of the picture.
            features: channels between the convolutions.
            layers: number of convolutions.
        """
        super().__init__()
        pixels = colours * FACTOR**2
        chain: list[nn.Module] = [nn.Conv2d(pixels + 1, features, 3, padding=1), nn.ReLU()]
        for _ in range(layers - 2):
            chain += [nn.Conv2d(features, features, 3, padding=1), nn.ReLU()]
        self.model = nn.Sequential(*chain, nn.Conv2d(features, pixels, 3, padding=1))

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:
        """Restore image [N,C,H,W] under noise [N,1,H,W], both in 0..1."""
        pixels = nn.functional.pixel_unshuffle(image, FACTOR)
        level = noise[:, :, ::FACTOR, ::FACTOR]
        return nn.functional.pixel_shuffle(self.model(torch.cat((pixels, level), 1)), FACTOR)


class DnCNN(nn.Module):
    """Chain of convolutions that finds the noise.

    The noise is then subtracted from the picture.

    Input and output are float32 [N, C, H, W] in 0..1, any H and W >= 1.
    """

    def __init__(self, colours: int, features: int, layers: int) -> None:
        """Make the network with fresh weights.

        Args:
            colours: channels of the picture.
            features: channels between the convolutions.
            layers: number of convolutions.
        """
        super().__init__()
        chain: list[nn.Module] = [nn.Conv2d(colours, features, 3, padding=1, bias=False), nn.ReLU()]
        for _ in range(layers - 2):
            middle = nn.Conv2d(features, features, 3, padding=1, bias=False)
            chain += [middle, nn.BatchNorm2d(features), nn.ReLU()]
        self.dncnn = nn.Sequential(*chain, nn.Conv2d(features, colours, 3, padding=1, bias=False))

    def forward(self, image: Tensor) -> Tensor:
        """Restore pictures [N, C, H, W], float32 in 0..1."""
        result: Tensor = image - self.dncnn(image)
        return result


def _last(state: State, prefix: str) -> Tensor:
    """Return the weight of the last module of a sequence."""
    places = [int(name.removeprefix(prefix).split(".")[0]) for name in state if name.startswith(prefix)]
    return state[f"{prefix}{max(places)}.weight"]


def _fits_ffdnet(state: State) -> bool:
    pixels = _last(state, "model.").shape[0]
    return pixels % FACTOR**2 == 0 and state["model.0.weight"].shape[1] == pixels + 1


def _build_ffdnet(state: State) -> Known:
    features, layers = state["model.0.weight"].shape[0], count_blocks(state, "model.")
    colours = _last(state, "model.").shape[0] // FACTOR**2
    module = FFDNet(colours, features, layers)
    module.load_state_dict(dict(state))
    details = (f"{features} features", f"{layers} convolutions")
    return Known("FFDNet", module, colours, 1, "spair", multiple=FACTOR, noise=True, details=details)


def _fits_dncnn(state: State) -> bool:
    return state["dncnn.0.weight"].shape[1] == _last(state, "dncnn.").shape[0]


def _build_dncnn(state: State) -> Known:
    features, colours = state["dncnn.0.weight"].shape[:2]
    layers = (count_blocks(state, "dncnn.") - 2) // 2 + 2
    module = DnCNN(colours, features, layers)
    module.load_state_dict(dict(state))
    return Known("DnCNN", module, colours, 1, "spair", details=(f"{features} features", f"{layers} convolutions"))


FFDNET = own_architecture(
    "FFDNet", ("model.0.weight", "model.0.bias", "model.2.weight", "model.2.bias"), _fits_ffdnet, _build_ffdnet
)
DNCNN = own_architecture(
    "DnCNN", ("dncnn.0.weight", "dncnn.2.weight", "dncnn.3.running_mean"), _fits_dncnn, _build_dncnn
)
