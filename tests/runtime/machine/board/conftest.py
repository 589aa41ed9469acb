"""Folders of boards."""

import pytest

from tests.runtime.machine.board.trees import write


@pytest.fixture
def board(tmp_path):
    """Writer of a board's files, which gives their root."""
    return lambda files: write(tmp_path / "root", files)
