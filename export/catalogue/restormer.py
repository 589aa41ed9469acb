"""Restormer, a transformer whose attention compares channels.

Source: Zamir et al., CVPR 2022, "Restormer: Efficient Transformer for High-Resolution Image Restoration". The modules
are written from the description of the network; the names of the weights are those of the published files.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional

from .known import Known, State, count_blocks, own_architecture

LEVELS = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")
"""Sequences on the way down, each at half the size of the one before."""
EPSILON = 1e-5
"""Summand of the variance in the normalisation."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of a Restormer."""

    colours: int
    """Channels of the picture."""
    width: int
    """Channels of the first level; each further level has twice as many."""
    blocks: tuple[int, ...]
    """Blocks of each level."""
    heads: tuple[int, ...]
    """Heads of the attention of each level."""
    hidden: tuple[int, ...]
    """Hidden channels of the feed-forward networks of each level, and of the decoder at full size."""
    refinement: int
    """Blocks after the decoder."""
    bias: bool
    """Whether convolutions have a bias, apart from the first one and those that change the size."""
    centred: bool
    """Whether the normalisation subtracts the mean and adds a bias."""


class _Norm(nn.Module):
    """Normalisation over the channels of each pixel."""

    def __init__(self, channels: int, centred: bool) -> None:
        super().__init__()
        self.body = nn.Module()
        self.body.weight = nn.Parameter(torch.ones(channels))
        if centred:
            self.body.bias = nn.Parameter(torch.zeros(channels))
        self.centred = centred

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        variance = ((x - mean) ** 2).mean(1, keepdim=True)
        weight = self.body.get_parameter("weight")[:, None, None]
        if not self.centred:
            return x / torch.sqrt(variance + EPSILON) * weight
        return (x - mean) / torch.sqrt(variance + EPSILON) * weight + self.body.get_parameter("bias")[:, None, None]


class _Attention(nn.Module):
    """Attention over channels, with queries and keys of unit length."""

    def __init__(self, channels: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=bias)
        self.qkv_dwconv = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=bias)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv_dwconv(self.qkv(x)).chunk(3, 1)
        query, key, value = (part.unflatten(1, (self.heads, -1)).flatten(3) for part in parts)
        likeness = functional.normalize(query, dim=-1) @ functional.normalize(key, dim=-1).transpose(-2, -1)
        mixed = (likeness * self.temperature).softmax(-1) @ value
        result: Tensor = self.project_out(mixed.reshape(x.shape))
        return result


class _FeedForward(nn.Module):
    """Two branches, of which one gates the other."""

    def __init__(self, channels: int, hidden: int, bias: bool) -> None:
        super().__init__()
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=bias)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=bias)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.dwconv(self.project_in(x)).chunk(2, 1)
        result: Tensor = self.project_out(functional.gelu(gate) * value)
        return result


class _Block(nn.Module):
    def __init__(self, sizes: Sizes, channels: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = _Norm(channels, sizes.centred)
        self.attn = _Attention(channels, heads, sizes.bias)
        self.norm2 = _Norm(channels, sizes.centred)
        self.ffn = _FeedForward(channels, hidden, sizes.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        result: Tensor = x + self.ffn(self.norm2(x))
        return result


class _Resize(nn.Module):
    """Change of size by a convolution and shuffled pixels."""

    def __init__(self, channels: int, up: bool) -> None:
        super().__init__()
        outputs = 2 * channels if up else channels // 2
        shuffle = nn.PixelShuffle(2) if up else nn.PixelUnshuffle(2)
        self.body = nn.Sequential(nn.Conv2d(channels, outputs, 3, padding=1, bias=False), shuffle)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.body(x)
        return result


class Restormer(nn.Module):
    """U-shaped network of four levels.

    Input and output are float32 [N, C, H, W] in 0..1, with H and W multiples of 8.
    """

    def __init__(self, sizes: Sizes) -> None:
        """Make the network with fresh weights."""
        super().__init__()
        wide = [sizes.width << level for level in range(4)]

        def sequence(level: int, channels: int, count: int, hidden: int) -> nn.Sequential:
            return nn.Sequential(*(_Block(sizes, channels, sizes.heads[level], hidden) for _ in range(count)))

        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(sizes.colours, wide[0], 3, padding=1, bias=False)})
        self.encoder_level1, self.encoder_level2, self.encoder_level3, self.latent = [
            sequence(level, wide[level], sizes.blocks[level], sizes.hidden[level]) for level in range(4)
        ]
        self.down1_2, self.down2_3, self.down3_4 = [_Resize(channels, up=False) for channels in wide[:3]]
        self.up4_3, self.up3_2, self.up2_1 = [_Resize(channels, up=True) for channels in wide[:0:-1]]
        self.reduce_chan_level3 = nn.Conv2d(wide[3], wide[2], 1, bias=sizes.bias)
        self.reduce_chan_level2 = nn.Conv2d(wide[2], wide[1], 1, bias=sizes.bias)
        self.decoder_level3 = sequence(2, wide[2], sizes.blocks[2], sizes.hidden[2])
        self.decoder_level2 = sequence(1, wide[1], sizes.blocks[1], sizes.hidden[1])
        self.decoder_level1 = sequence(0, wide[1], sizes.blocks[0], sizes.hidden[4])
        self.refinement = sequence(0, wide[1], sizes.refinement, sizes.hidden[4])
        self.output = nn.Conv2d(wide[1], sizes.colours, 3, padding=1, bias=sizes.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Restore pictures [N, C, H, W], float32 in 0..1."""
        one = self.encoder_level1(self.patch_embed["proj"](image))
        two = self.encoder_level2(self.down1_2(one))
        three = self.encoder_level3(self.down2_3(two))
        lowest = self.latent(self.down3_4(three))
        x = self.decoder_level3(self.reduce_chan_level3(torch.cat((self.up4_3(lowest), three), 1)))
        x = self.decoder_level2(self.reduce_chan_level2(torch.cat((self.up3_2(x), two), 1)))
        x = self.refinement(self.decoder_level1(torch.cat((self.up2_1(x), one), 1)))
        result: Tensor = self.output(x) + image
        return result


def _fits(state: State) -> bool:
    width, colours = state["patch_embed.proj.weight"].shape[:2]
    return state["output.weight"].shape[:2] == (colours, 2 * width) and "skip_conv.weight" not in state


def _read_sizes(state: State) -> Sizes:
    width, colours = state["patch_embed.proj.weight"].shape[:2]
    hidden = (*LEVELS, "decoder_level1")
    return Sizes(
        colours,
        width,
        tuple(count_blocks(state, f"{name}.") for name in LEVELS),
        tuple(state[f"{name}.0.attn.temperature"].shape[0] for name in LEVELS),
        tuple(state[f"{name}.0.ffn.project_out.weight"].shape[1] for name in hidden),
        count_blocks(state, "refinement."),
        "output.bias" in state,
        "encoder_level1.0.norm1.body.bias" in state,
    )


def _build(state: State) -> Known:
    sizes = _read_sizes(state)
    module = Restormer(sizes)
    module.load_state_dict(dict(state))
    blocks = "+".join(map(str, sizes.blocks))
    details = (
        f"{sizes.width} features",
        f"{blocks} blocks",
        "LayerNorm" if sizes.centred else "LayerNorm without bias",
    )
    return Known("Restormer", module, sizes.colours, 1, "spair", multiple=8, details=details)


RESTORMER = own_architecture(
    "Restormer",
    (
        "patch_embed.proj.weight",
        *(f"{name}.0.attn.temperature" for name in LEVELS),
        *(f"{name}.0.ffn.project_out.weight" for name in (*LEVELS, "decoder_level1")),
        "encoder_level1.0.norm1.body.weight",
        "refinement.0.attn.qkv_dwconv.weight",
        "output.weight",
    ),
    _fits,
    _build,
)
