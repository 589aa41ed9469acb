"""PReNet, a deraining network with published checkpoints.

Source: Ren et al., CVPR 2019, "Progressive Image Deraining Networks". The module is written from the description of the
network; parameter names are those of the published files, so that they load strictly. `spair export CKPT --factory
benchmarks.peers.prenet:prenet` takes it from the repository root.
"""

import torch
from torch import Tensor, nn

CHANNELS = 32
ITERATIONS = 6
BLOCKS = 5


def _conv(inputs: int, outputs: int, *activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), *activation)


def _block() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
        nn.ReLU(),
    )


class PReNet(nn.Module):
    """Six passes of one recurrent residual network.

    Each pass refines the picture of the pass before. Input and output are float32 [N, 3, H, W], RGB, 0..1, any H and W
    >= 1; the output is clamped to 0..1.
    """

    def __init__(self, shared_blocks: bool = False) -> None:
        """Make the network with fresh weights.

        `shared_blocks` makes the variant PReNet_r, which applies one residual block five times.
        """
        super().__init__()
        self.shared_blocks = shared_blocks
        self.conv0 = _conv(6, CHANNELS, nn.ReLU())
        for i in range(1, 2 if shared_blocks else BLOCKS + 1):
            self.add_module(f"res_conv{i}", _block())
        self.conv_i = _conv(2 * CHANNELS, CHANNELS, nn.Sigmoid())
        self.conv_f = _conv(2 * CHANNELS, CHANNELS, nn.Sigmoid())
        self.conv_g = _conv(2 * CHANNELS, CHANNELS, nn.Tanh())
        self.conv_o = _conv(2 * CHANNELS, CHANNELS, nn.Sigmoid())
        self.conv = _conv(CHANNELS, 3)

    def _refine(self, x: Tensor) -> Tensor:
        """Apply the residual blocks to features [N, 32, H, W]."""
        for i in range(1, BLOCKS + 1):
            block = self.get_submodule("res_conv1" if self.shared_blocks else f"res_conv{i}")
            x = torch.relu(block(x) + x)
        return x

    def forward(self, image: Tensor) -> Tensor:
        """Restore rainy pictures [N, 3, H, W], float32 RGB 0..1."""
        current = image
        # new_zeros with the input's own sizes keeps N, H and W symbolic in an exported graph.
        hidden = image.new_zeros(image.shape[0], CHANNELS, image.shape[2], image.shape[3])
        cell = hidden
        for _ in range(ITERATIONS):
            x = self.conv0(torch.cat((image, current), 1))
            both = torch.cat((x, hidden), 1)
            cell = self.conv_f(both) * cell + self.conv_i(both) * self.conv_g(both)
            hidden = self.conv_o(both) * torch.tanh(cell)
            current = self.conv(self._refine(hidden)) + image
        return current.clamp(0, 1)


def prenet() -> PReNet:
    """Make PReNet, whose residual blocks have their own weights.

    It has five residual blocks, and 168,963 parameters in 32 tensors.
    """
    return PReNet(shared_blocks=False)


def prenet_r() -> PReNet:
    """Make PReNet_r, whose residual blocks share their weights.

    It has 94,979 parameters in 16 tensors.
    """
    return PReNet(shared_blocks=True)
