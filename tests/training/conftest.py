"""A small run: pictures that take no time, and the configuration that trains on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from spair.runtime import Picture, UserError, write_image
from spair.training.config import TrainingConfig, load_config

CONFIG = """
name = "test"
task = "rain"
preset = "tiny"
[data]
pairs = [{{ input = "rainy", target = "clean" }}]
photos = ["photos"]
held_out = ["0"]
transplant = {transplant}
simulate = {simulate}
[schedule]
steps = {steps}
batch = 1
patch = 16
warm_up = 1
epoch = 2
validate_every = {validate_every}
"""

DEFAULTS = {"transplant": 0.5, "simulate": 0.2, "steps": 5, "validate_every": 1}

Configure = Callable[..., TrainingConfig]
Refuse = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pairs that differ in one bright column, and three photos."""
    rng = np.random.default_rng(0)
    for name in ("rainy", "clean", "photos"):
        (tmp_path / name).mkdir()
    for stem in range(3):
        clean = rng.integers(0, 200, (24, 33, 3), np.uint8)
        rainy = clean.copy()
        rainy[:, 5 + stem] += 50
        write_image(tmp_path / "clean" / f"{stem}.png", Picture(clean))
        write_image(tmp_path / "rainy" / f"{stem}.png", Picture(rainy))
        write_image(tmp_path / "photos" / f"{stem}.png", Picture(rng.integers(0, 255, (20, 17, 3), np.uint8)))
    return tmp_path


@pytest.fixture
def configure(folder: Path) -> Configure:
    """`configure(("batch = 1", "batch = 2"), steps=3)`: the text of `folder / "run.toml"` with changes, loaded."""
    torch.set_num_threads(1)

    def load(*changes: tuple[str, str], **values: float) -> TrainingConfig:
        text = CONFIG.format(**DEFAULTS | values)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = folder / "run.toml"
        path.write_text(text)
        return load_config(path)

    return load


@pytest.fixture
def refuse() -> Refuse:
    """`refuse(message, call, *arguments)`: the call raises a UserError of one line that matches."""

    def check(message: str, call: Callable, *arguments: object) -> None:
        with pytest.raises(UserError, match=message) as caught:
            call(*arguments)
        assert "\n" not in str(caught.value)

    return check
