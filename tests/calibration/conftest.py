"""Small network and pictures for tests of calibration."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spair.calibration import Options
from spair.calibration.statistics.pictures import CalibrationPicture
from spair.calibration.variants import Variant
from spair.runtime import Bundle
from spair.runtime.images import Picture as FilePicture
from spair.runtime.images import write_image
from tests.plugins.conftest import kernel_settings, plugins  # noqa: F401

SIDE = 48


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export a small SPAIR with random weights.

    Its masks are neither empty nor full.
    """
    import torch

    from spair.network import SPAIR, Preset, save_checkpoint
    from tests.sharing import share_bundle

    folder = tmp_path_factory.mktemp("small")
    state = torch.random.get_rng_state()
    torch.manual_seed(3)
    preset = Preset("small", (8, 8, 8), 4, (8, 12, 12), (1, 1, 1), 8, 4)
    model = SPAIR(preset).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("second.weight") and "net_r" in name:
                parameter.normal_(0.0, 0.1)
        model.net_r.out.weight.normal_(0.0, 0.03)
        logits, _ = model.net_l(torch.from_numpy(make_picture(0).transpose(2, 0, 1)[None]))
        assert model.net_l.head.bias is not None
        model.net_l.head.bias[:4] += model.logit_threshold - logits.quantile(0.6)
    save_checkpoint(model, folder / "small.safetensors", task="rain")
    torch.random.set_rng_state(state)
    return share_bundle(tmp_path_factory, "small-bundle", folder / "small.safetensors")


@pytest.fixture(scope="session")
def calibrate_once(small_bundle: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make the function that calibrates the small bundle to a precision, once a run.

    The folder that it returns has the bundle small.spair, the report.json, and the cache of what was measured.
    """

    def once(precision: str) -> Path:
        from spair.calibration import calibrate_bundle
        from tests.sharing import share

        def calibrate(folder: Path) -> None:
            shutil.copytree(small_bundle, folder / "small.spair")
            settings = Options(precision, tile=32, tiles=4, threads=1)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("SPAIR_CACHE", str(folder / "cache"))
                report = calibrate_bundle(folder / "small.spair", pairs / "input", settings, targets=pairs / "target")
            (folder / "report.json").write_text(json.dumps(report))

        return share(tmp_path_factory, f"calibrated-{precision}", calibrate)

    return once


@pytest.fixture
def bundle(small_bundle: Path, tmp_path: Path) -> Path:
    """Copy the small bundle, so that a test may change it."""
    return Path(shutil.copytree(small_bundle, tmp_path / "copy.spair"))


@pytest.fixture(scope="session")
def network(small_bundle: Path) -> Variant:
    """Load the network of the small bundle, which no test changes."""
    return Variant(Bundle.open(small_bundle), threads=1)


def make_picture(seed: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """Make a picture, float32 [H, W, 3], with bright streaks.

    The share of columns with streaks grows with the seed.
    """
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    phase = random.random(3) * 6
    smooth = 0.35 + 0.25 * np.sin(rows[..., None] / 9.0 + phase) * np.cos(columns[..., None] / 13.0 + phase)
    streaks = (random.random((1, width, 1)) < 0.08 * (seed % 8)) * random.random((height, width, 1)) * 0.4
    return np.clip(smooth + streaks, 0.0, 1.0).astype(np.float32)


@pytest.fixture
def tiles(network: Variant) -> list[CalibrationPicture]:
    """Make three tiles."""
    return [CalibrationPicture(f"tile {seed}", make_picture(seed)) for seed in (1, 4, 7)]


@pytest.fixture
def options() -> Options:
    """Make options for tiles of SIDE."""
    return Options("int8", tile=32, tiles=4, threads=1)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write five pictures of awkward sizes and their clean partners."""
    folder = tmp_path_factory.mktemp("pairs")
    for role in ("input", "target"):
        (folder / role).mkdir()
    for seed, (height, width) in enumerate([(48, 48), (41, 57), (33, 49), (50, 37), (64, 40)]):
        rainy = make_picture(seed + 2, height, width)
        clean = make_picture(0, height, width)
        for role, pixels in (("input", rainy), ("target", clean)):
            values = np.rint(pixels * 255).astype(np.uint8)
            write_image(folder / role / f"{seed}.png", FilePicture(values))
    return folder
