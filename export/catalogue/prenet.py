"""PReNet, which removes rain in passes of one recurrent network.

Source: Ren et al., CVPR 2019, "Progressive Image Deraining Networks". The modules are written from the description of
the network; the names of the weights are those of the published files.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .known import Known, State, own_architecture

PASSES = 6
"""Passes of the published networks, which no weight tells."""
BLOCKS = 5
"""Residual blocks of a pass, where they share their weights and none tells."""


class PReNet(nn.Module):
    """Passes of one recurrent residual network.

    Each pass refines the picture of the pass before. Input and output are float32 [N, C, H, W], 0..1, any H and W >= 1;
    the output is clamped to 0..1.
    """

    def __init__(self, *, channels: int = 32, blocks: int = BLOCKS, shared: bool = False, colours: int = 3) -> None:
        """Make the network with fresh weights.

        Args:
            channels: width of the features.
            blocks: residual blocks of a pass.
            shared: whether one residual block is applied so many times, as in PReNet_r.
            colours: channels of the picture.
        """
        super().__init__()
        self.channels, self.blocks, self.shared = channels, blocks, shared
        self.conv0 = _conv(2 * colours, channels, nn.ReLU())
        for i in range(1, 2 if shared else blocks + 1):
            self.add_module(f"res_conv{i}", _block(channels))
        self.conv_i = _conv(2 * channels, channels, nn.Sigmoid())
        self.conv_f = _conv(2 * channels, channels, nn.Sigmoid())
        self.conv_g = _conv(2 * channels, channels, nn.Tanh())
        self.conv_o = _conv(2 * channels, channels, nn.Sigmoid())
        self.conv = _conv(channels, colours)

    def _refine(self, x: Tensor) -> Tensor:
        """Apply the residual blocks to features [N, channels, H, W]."""
        for i in range(1, self.blocks + 1):
            block = self.get_submodule("res_conv1" if self.shared else f"res_conv{i}")
            x = torch.relu(block(x) + x)
        return x

    def forward(self, image: Tensor) -> Tensor:
        """Restore rainy pictures [N, C, H, W], float32 in 0..1."""
        current = image
        # new_zeros with the input's own sizes keeps N, H and W symbolic in an exported graph.
        hidden = image.new_zeros(image.shape[0], self.channels, image.shape[2], image.shape[3])
        cell = hidden
        for _ in range(PASSES):
            x = self.conv0(torch.cat((image, current), 1))
            both = torch.cat((x, hidden), 1)
            cell = self.conv_f(both) * cell + self.conv_i(both) * self.conv_g(both)
            hidden = self.conv_o(both) * torch.tanh(cell)
            current = self.conv(self._refine(hidden)) + image
        return current.clamp(0, 1)


def _conv(inputs: int, outputs: int, *activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), *activation)


def _block(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(),
    )


def _fits(state: State) -> bool:
    width, inputs = state["conv0.0.weight"].shape[:2]
    return inputs == 2 * state["conv.0.weight"].shape[0] and state["conv_i.0.weight"].shape[1] == 2 * width


def _build(state: State) -> Known:
    channels = state["conv0.0.weight"].shape[0]
    colours = state["conv.0.weight"].shape[0]
    own = len({name.split(".")[0] for name in state if name.startswith("res_conv")})
    shared = own == 1
    blocks = BLOCKS if shared else own
    module = PReNet(channels=channels, blocks=blocks, shared=shared, colours=colours)
    module.load_state_dict(dict(state))
    notes = [f"its weights do not say how many passes it makes; the published {PASSES} are taken"]
    if shared:
        notes.append(f"its weights do not say how often its block is applied; the published {BLOCKS} are taken")
    details = (f"{channels} features", f"{'one shared block' if shared else f'{blocks} blocks'}")
    return Known("PReNet_r" if shared else "PReNet", module, colours, 1, "spair", details=details, notes=tuple(notes))


PRENET = own_architecture(
    "PReNet",
    ("conv0.0.weight", "res_conv1.0.weight", "conv_i.0.weight", "conv_f.0.weight", "conv_g.0.weight", "conv_o.0.weight",
     "conv.0.weight"),
    _fits,
    _build,
)  # fmt: skip
