"""The data loader script works alone, wherever it is copied to."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np

from spair.export.polygraphy import loader
from spair.export.polygraphy.pictures import format_npz, make_pictures


def test_it_yields_the_pictures_beside_it_in_order(tmp_path):
    pictures = make_pictures((40, 30))
    (tmp_path / "inputs.npz").write_bytes(format_npz(pictures))
    (tmp_path / "loader.py").write_bytes(Path(loader.__file__).read_bytes())
    found = list(runpy.run_path(str(tmp_path / "loader.py"))["load_data"]())
    assert [list(entry) for entry in found] == [["image"]] * len(pictures)
    for entry, picture in zip(found, pictures, strict=True):
        np.testing.assert_array_equal(entry["image"], picture[None])
        assert entry["image"].dtype == np.uint8


def test_it_needs_nothing_of_ours():
    code = (
        f"import runpy, sys; runpy.run_path({loader.__file__!r}); "
        "sys.exit(any(name.split('.')[0] == 'spair' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
