"""Fixtures for the whole test suite."""

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The development images; they are not part of the project, so tests that use them skip without them."""
    if not DATA.is_dir():
        pytest.skip(f"the development images are absent: no folder {DATA}")
    return DATA
