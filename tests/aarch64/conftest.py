"""The system that all tests of this folder share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aarch64.packages import SetupError
from tests.aarch64.system import System
from tests.plugins.conftest import header_folders, kernel_settings  # noqa: F401

VARIABLE = "SPAIR_AARCH64"


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with the wheel for ARM in it."""
    wheel = Path(os.environ.get(VARIABLE) or "")
    if not wheel.name:
        pytest.skip("slow: make aarch64 runs it, which sets SPAIR_AARCH64")
    if not wheel.is_file():
        raise SetupError(
            f"{VARIABLE} is {wheel}, which is no wheel; make wheel makes it with the compiler aarch64-linux-gnu-g++"
        )
    folder = tmp_path_factory.mktemp("aarch64")
    made = System(folder, tmp_path_factory.getbasetemp(), wheel.parent)
    made.install(wheel)
    yield made
    shutil.rmtree(folder / "environment")
