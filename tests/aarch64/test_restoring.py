"""Pictures restored on ARM are those of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import pyvips

from tests.aarch64.system import MAX, PROCESSORS
from tests.architecture.tree import ROOT

BACKENDS = ("cpu", "onnxruntime")
SIZES = {"photo.png": (97, 63), "column.png": (1, 40), "row.png": (33, 1), "pixel.png": (1, 1)}
"""Widths and heights."""
ERROR = 1e-5
"""Largest difference of two backends in FP32, of full scale."""
SHARE = 2 * 255 * ERROR
"""Share of values that may round to another of 256 levels: those so near to where rounding changes."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Pieces of a photograph of rain."""
    folder = tmp_path_factory.mktemp("photos")
    rain = pyvips.Image.new_from_file(str(ROOT / "docs" / "rain.jpg"))
    for name, (width, height) in SIZES.items():
        rain.crop(100, 60, width, height).write_to_file(str(folder / name))
    return folder


def restore(photos: Path, out: Path, backend: str) -> list[object]:
    return ["restore", "rain", photos, "--out", out, "--backend", backend, "--save-mask", "--json"]


@pytest.fixture(scope="module")
def here(photos, tmp_path_factory) -> dict[str, Path]:
    """Folder of this machine's results for each backend."""
    folder = tmp_path_factory.mktemp("here")
    for backend in BACKENDS:
        words = map(str, restore(photos, folder / backend, backend))
        subprocess.run([sys.executable, "-m", "spair.cli.main", *words], check=True, stdout=subprocess.DEVNULL)
    return {backend: folder / backend for backend in BACKENDS}


def read(path: Path) -> np.ndarray:
    """Read a picture [H, W, 3] or a mask [H, W, 1], as integers."""
    found = pyvips.Image.new_from_file(str(path)).numpy().astype(int)
    return found.reshape(*found.shape[:2], -1)


@pytest.mark.parametrize("processor", PROCESSORS, ids=lambda one: one.name)
@pytest.mark.parametrize("backend", BACKENDS)
def test_pictures_are_equal_but_for_rounding(system, photos, here, tmp_path, backend, processor):
    done = system.run("spair", *restore(photos, tmp_path / "out", backend), processor=processor)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["backend"], report["failed"], len(report["images"])) == (backend, [], len(SIZES))
    other = total = changed = 0
    for name in SIZES:
        given, expected, got = (read(folder / name) for folder in (photos, here[backend], tmp_path / "out"))
        masks = [read((folder / name).with_suffix(".mask.png")) for folder in (here[backend], tmp_path / "out")]
        np.testing.assert_array_equal(*masks)
        clean = (masks[0] == 0)[..., 0]
        np.testing.assert_array_equal(got[clean], given[clean])
        np.testing.assert_allclose(got, expected, rtol=0, atol=1)
        other, total = other + np.count_nonzero(got != expected), total + got.size
        changed += np.count_nonzero(np.abs(expected - given) > 1)
    assert other <= SHARE * total < changed, "a picture that nobody restored would be refused"


def test_auto_restores_too(system, photos, tmp_path):
    done = system.run("spair", "restore", "rain", photos / "photo.png", "--out", tmp_path / "out", processor=MAX)
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "out" / "photo.png").shape == (63, 97, 3)
