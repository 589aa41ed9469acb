"""The examples run and print what their pages promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.early

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """The folder of all examples.

    They share it, so that the shipped weights are exported once.
    """
    return tmp_path_factory.mktemp("examples")


def run_example(name: str, work: Path, *arguments: str) -> str:
    """Run a script in a folder as users do and return its output.

    The script runs away from the root of the repository, so that it must find the installed package.
    """
    command = [sys.executable, str(EXAMPLES / name / f"{name}.py"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=work, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found is not None, f"no {pattern!r} in {text}"
    return float(found.group(1))


def test_every_example_has_a_script_a_page_and_a_test():
    tests = set(re.findall(r"run_example\(\"(\w+)\"", Path(__file__).read_text(encoding="utf-8")))
    assert set(FOLDERS) == tests
    for name in FOLDERS:
        assert (EXAMPLES / name / f"{name}.py").is_file()
        page = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
        assert f"python examples/{name}/{name}.py" in page
        assert f"]({name}/README.md)" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_a_file_is_restored_and_its_mask_written(work):
    from spair.runtime import read_image

    printed = run_example("restore_file", work)
    restored, mask = (read_image(work / "work" / f"coffee.{what}.png").pixels for what in ("restored", "mask"))
    assert restored.shape[:2] == mask.shape[:2]
    assert read_number(r"([\d.]+)% of", printed) == pytest.approx(100 * (mask > 0).mean(), abs=0.06)


def test_an_array_is_restored_and_clean_pixels_are_kept(work):
    printed = run_example("restore_array", work)
    before, after = (read_number(pattern, printed) for pattern in (r"PSNR ([\d.]+) dB", r"([\d.]+) dB restored"))
    assert after > before + 3.0
    assert "the others unchanged: True" in printed


def test_a_foreign_network_is_exported_and_restores(work):
    printed = run_example("foreign_network", work)
    before, after = (read_number(pattern, printed) for pattern in (r"PSNR ([\d.]+) dB", r"([\d.]+) dB restored"))
    assert after > before
    assert "mask: None" in printed


def test_a_calibration_passes_its_gate(work):
    printed = run_example("calibrate", work)
    assert "passed: True" in printed
    assert read_number(r"size: ([\d.]+) of FP32", printed) < 1.0
    assert read_number(r"mask: (\d+) of 9216", printed) <= 9216 * 5e-3  # pixels whose logits round to the other side
    assert read_number(r"largest difference under one mask: (\d+) of 255", printed) <= 2


def test_a_short_run_leaves_a_checkpoint(work):
    printed = run_example("train", work, "--steps", "6")
    assert "trained 6 steps" in printed
    assert (work / "work" / "runs" / "short" / "short.safetensors").is_file()
