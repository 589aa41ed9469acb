"""The suite of this room passes on NVIDIA's bindings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.emulated.fixtures import BINDINGS
from tests.emulated.setup.bindings_wheel import RELEASES, DownloadError, find_bindings

pytestmark = pytest.mark.early

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.sampled(2)
@pytest.mark.skipif(BINDINGS in os.environ, reason=f"this is a run with ${BINDINGS}")
@pytest.mark.parametrize("name", ["10.3", "11.4"])
def test_the_suite_passes_on_real_bindings(name):
    try:
        find_bindings(RELEASES[name])
    except DownloadError as error:
        pytest.skip(str(error))
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "tests/emulated"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, BINDINGS: name}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout.splitlines()[-1], done.stdout[-500:]
