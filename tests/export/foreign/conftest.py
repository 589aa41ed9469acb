"""Small networks of other people, in a module of their own."""

import pytest
import torch
from torch import nn

SOURCE = """
import torch
from torch import nn

class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(6, 3, 3, padding=1)
    def forward(self, image):
        state = image
        for _ in range(3):
            state = torch.sigmoid(self.conv(torch.cat((image, state), 1)))
        return state

class TwoInTwoOut(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, stride=2)
    def forward(self, image, mask):
        x = nn.functional.interpolate(self.conv(torch.cat((image, mask), 1)), scale_factor=2.0)
        return {"picture": x[:, :3], "rest": [x[:, 3:]]}

class Reflecting(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 7, padding=3, padding_mode="reflect")
    def forward(self, image):
        return image + self.conv(image)

class Gray(nn.Module):
    # One input channel, and an output that happens to be called mask and is none.
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
    def forward(self, image):
        x = self.conv(image)
        return x[:, :1], x[:, 1:]

class Doubling(nn.Module):
    # Takes two sizes alone unless it is told otherwise.
    free = False
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)
    def forward(self, image):
        assert self.free or tuple(image.shape[2:]) in ((16, 24), (48, 40)), "16x24 or 48x40"
        return nn.functional.pixel_shuffle(self.conv(image), 2) * 0.3 + 0.4

def doubling(): return Doubling()
def reflecting(): return Reflecting()
def gray(): return Gray()
def recurrent(): return Recurrent()
def two(): return TwoInTwoOut()
def number(): return 3
def broken(): raise RuntimeError("no weights for you")
def leaves(): raise SystemExit(0)
"""
LAYERS = {"recurrent": (6, 3, 3), "two": (4, 4, 3), "reflecting": (3, 3, 7), "gray": (1, 2, 3), "doubling": (3, 12, 3)}
"""In and out channels and kernel of each network's convolution."""


@pytest.fixture
def factory(tmp_path, monkeypatch):
    """Writes the networks' module into the current folder; returns (name -> factory, name -> checkpoint path)."""
    monkeypatch.chdir(tmp_path)
    name = f"networks_{abs(hash(tmp_path)) % 10**8}"  # a module name of its own: imports are cached
    (tmp_path / f"{name}.py").write_text(SOURCE)

    def make(function: str):
        checkpoint = tmp_path / f"{function}.pth"
        torch.manual_seed(0)
        layer = nn.Conv2d(*LAYERS[function])
        torch.save({f"conv.{key}": value for key, value in layer.state_dict().items()}, checkpoint)
        return f"{name}:{function}", checkpoint

    return make
