"""A small run: pictures that take no time, the configuration that trains on them, and one run that is over."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spair.runtime import Picture, UserError, write_image
from spair.training.config import TrainingConfig
from spair.training.config_file import load_config
from spair.training.evaluation.comparison import Example, MeasureSetting, compare
from spair.training.evaluation.masks import Located
from spair.training.evaluation.metrics import MaskCounts
from spair.training.evaluation.protocols import PROTOCOLS

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
{stages}
[schedule]
epoch = 2
validate_every = {validate_every}
[hardware]
workers = 0
precision = "32-true"
[log]
every = 1
"""

STAGE = """
[[stages]]
train = "{}"
steps = {}
batch = 1
patch = 16
warm_up = 1
"""

DEFAULTS = {"transplant": 0.5, "simulate": 0.2, "validate_every": 1}

Stages = Sequence[tuple[str, int]]
Configure = Callable[..., TrainingConfig]
Refuse = Callable[..., None]

THREE: Stages = (("net_l", 3), ("net_r", 3), ("both", 3))


def write_pictures(folder: Path) -> Path:
    """Three pairs that differ in one bright column, and three photos."""
    rng = np.random.default_rng(0)
    for name in ("rainy", "clean", "photos"):
        (folder / name).mkdir(parents=True)
    for stem in range(3):
        clean = rng.integers(0, 200, (24, 33, 3), np.uint8)
        rainy = clean.copy()
        rainy[:, 5 + stem] += 50
        write_image(folder / "clean" / f"{stem}.png", Picture(clean))
        write_image(folder / "rainy" / f"{stem}.png", Picture(rainy))
        write_image(folder / "photos" / f"{stem}.png", Picture(rng.integers(0, 255, (20, 17, 3), np.uint8)))
    return folder


def write_config(folder: Path, changes: Sequence[tuple[str, str]], stages: Stages, values: dict[str, float]) -> Path:
    """`run.toml` in the folder, with changes made to its text."""
    parts = "".join(STAGE.format(*stage) for stage in stages)
    text = CONFIG.format(**DEFAULTS | values, stages=parts)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "run.toml"
    path.write_text(text)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The pictures of `write_pictures`, always in a folder of the same name: scores are reported under it."""
    torch.set_num_threads(1)
    return write_pictures(tmp_path / "pictures")


@pytest.fixture
def configure(folder: Path) -> Configure:
    """`configure(("batch = 1", "batch = 2"), stages=[("net_l", 3)])`: `folder / "run.toml"` with changes, loaded."""

    def load(*changes: tuple[str, str], stages: Stages = (("both", 5),), **values: float) -> TrainingConfig:
        return load_config(write_config(folder, changes, stages, values))

    return load


@pytest.fixture
def masked(folder: Path) -> tuple[str, str]:
    """Two degraded photographs with masks in `wet` and `drops`, and the change that adds them to the configuration."""
    rng = np.random.default_rng(1)
    for name in ("wet", "drops"):
        (folder / name).mkdir()
    for stem in ("a", "b"):
        write_image(folder / "wet" / f"{stem}.png", Picture(rng.integers(0, 255, (18, 21, 3), np.uint8)))
        drops = (rng.random((18, 21, 1)) < 0.3).astype(np.uint8) * np.uint8(255)
        write_image(folder / "drops" / f"{stem}.png", Picture(drops))
    return ('photos = ["photos"]', 'photos = ["photos"]\nmasked = [{ input = "wet", mask = "drops" }]')


@pytest.fixture
def refuse() -> Refuse:
    """`refuse(message, call, *arguments)`: the call raises a UserError of one line that matches."""

    def check(message: str, call: Callable, *arguments: object) -> None:
        with pytest.raises(UserError, match=message) as caught:
            call(*arguments)
        assert "\n" not in str(caught.value)

    return check


@dataclasses.dataclass(frozen=True)
class Whole:
    """A run of three stages that nothing interrupted."""

    config: TrainingConfig
    """The same as `configure(stages=whole.stages)`."""
    stages: Stages
    out: Path
    report: dict[str, Any]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Trained once for all tests: read it, change nothing."""
    from spair.training.run import train

    torch.set_num_threads(1)
    folder = write_pictures(tmp_path_factory.mktemp("whole") / "pictures")
    config = load_config(write_config(folder, (), THREE, {}))
    return Whole(config, THREE, folder / "runs", train(config, folder / "runs", progress=False))


@pytest.fixture
def lay(tmp_path):
    """`lay("train/blur/1.png", size=(4, 6))`: pictures below the root."""

    def write(*names, size=(4, 6)):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, Picture(np.full((*size, 3), 90, np.uint8)))
        return tmp_path

    return write


@pytest.fixture
def measure_picture():
    """`measure_picture(20, 30, "rain", predicted=True, name="7")`: noise, half restored, as it was measured."""

    def measure(height=20, width=30, task="rain", predicted=True, name="7"):
        random = np.random.default_rng(4)
        target = random.random((height, width, 3)).astype(np.float32)
        image = np.clip(target + random.normal(0, 0.1, target.shape), 0, 1).astype(np.float32)
        mask = random.random((height, width)) < 0.3 if predicted else None
        return compare(Example(name, image, target, (image + target) / 2, mask, None), MeasureSetting(PROTOCOLS[task]))

    return measure


@pytest.fixture
def locate_picture():
    """`locate_picture(20, 30, name="7")`: noise with a found and a true mask."""

    def locate(height, width, name="7"):
        random = np.random.default_rng(5)
        image, (predicted, truth) = random.random((height, width, 3)), random.random((2, height, width)) < 0.3
        counts = MaskCounts.of(predicted, truth)
        row = {"name": name, "width": width, "height": height, "mask": counts.measures(), **counts.densities()}
        return Located(row, image.astype(np.float32), predicted, truth)

    return locate
